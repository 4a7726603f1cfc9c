// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// maxGrowth is how much more memory the service may have after the attacks than
// before: buffers of a few requests, and what the collector leaves.
const maxGrowth = 96 << 20

// TestHostileRegistry: whatever the registry serves, the job gets a reason and
// an exit code, the decision is recorded, nothing is signed, and the service is
// as small and as well as before.
func TestHostileRegistry(t *testing.T) {
	r := newRecorder(t)
	l := lab.Start(t, lab.Options{Registry: r.host})
	good := push(t, r.host, "acme/app")
	before := residentBytes(t, l.PID())

	const config = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`
	image := func(layers string) string { return `{"schemaVersion":2,` + config + `,"layers":[` + layers + `]}` }
	index := func(members ...string) string {
		return `{"schemaVersion":2,"manifests":[` + strings.Join(members, ",") + `]}`
	}
	member := func(body string) string {
		return fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q}`, ociManifest, len(body), attest.DigestOf([]byte(body)))
	}
	var crowd []string
	for i := range 1000 {
		crowd = append(crowd, member(strconv.Itoa(i)))
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	for range 512 {
		_, err := zip.Write(make([]byte, 1<<20))
		check(t, err)
	}
	check(t, zip.Close())
	serve := func(contentType, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if len(header) == 2 {
				w.Header().Set(header[0], header[1])
			}
			_, _ = w.Write([]byte(body))
		}
	}
	attacks := []struct {
		name   string
		answer http.HandlerFunc // to every question for a manifest
		code   int
		says   string
	}{
		{"schema 1", serve("application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[],"history":[]}`), 2, "schema 1"},
		{"schema 1 in disguise", serve(ociManifest, `{"schemaVersion":1,`+config+`,"layers":[],"fsLayers":[]}`), 2, "schema 1"},
		{"foreign layer", serve(ociManifest, image(`{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","size":1,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`)), 2, "foreign"},
		{"layer at a metadata address", serve(ociManifest, image(`{"mediaType":"x/y","size":1,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","urls":["http://169.254.169.254/"]}`)), 2, "not in the registry"},
		{"both image and index", serve(ociManifest, `{"schemaVersion":2,`+config+`,"layers":[],"manifests":[]}`), 2, "both manifests and layers"},
		{"served as another", serve(ociIndex, image("")), 2, "another shape"},
		{"duplicate keys", serve(ociManifest, `{"schemaVersion":2,`+config+`,"layers":[],"layers":[]}`), 2, "twice"},
		{"10,000 deep", serve(ociManifest, strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000)), 2, "deeper than"},
		{"index whose member differs", serve(ociIndex, index(member(image("")))), 3, "digest mismatch"},
		{"a thousand platforms", serve(ociIndex, index(crowd...)), 2, "too many"},
		{"other digest in the header", serve(ociManifest, image(""), "Docker-Content-Digest", string(attest.DigestOf(nil))), 3, "digest mismatch"},
		{"gzip bomb", serve(ociManifest, bomb.String(), "Content-Encoding", "gzip"), 3, "nobody asked for"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ociManifest)
			for chunk := make([]byte, 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, 2, "too large"},
		{"to the metadata service", func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
		}, 1, "redirects to"},
		{"token from the metadata service", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, 1, "169.254.169.254"},
	}
	for _, tc := range attacks {
		t.Run(tc.name, func(t *testing.T) {
			r.record(func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.Contains(req.URL.Path, "/manifests/") {
					return false
				}
				tc.answer(w, req)
				return true
			})
			if _, words := sign(t, l, tc.code, r.host+"/acme/app:1"); !strings.Contains(words, tc.says) {
				t.Errorf("the job is not told %q: %s", tc.says, words)
			}
		})
	}
	r.record(nil)
	for _, ref := range []string{"169.254.169.254/acme/app:1", "metadata.google.internal/acme/app:1", "[fd00:ec2::254]/acme/app:1", "0x7f000001/acme/app:1", "127.1:5000/acme/app:1", r.host + "/acme/app@sha512:" + strings.Repeat("0", 128), r.host + "/../acme/app:1", "user@" + r.host + "/acme/app:1"} {
		got := l.Hallmark(t, l.Token(t, "github"), "sign", ref)
		if got.Code != 1 && got.Code != 2 {
			t.Errorf("%s: exit code %d: %s", ref, got.Code, got.Stderr)
		}
	}
	if requests, _ := r.seen(); len(requests) != 0 {
		t.Errorf("the registry was asked %v", requests)
	}
	if grown := residentBytes(t, l.PID()) - before; grown > maxGrowth {
		t.Errorf("the service grew by %d MiB", grown>>20)
	}
	if got, _ := sign(t, l, 0, good); got.LogIndex != genesis {
		t.Errorf("the first signature has log index %d", got.LogIndex)
	}
	l.Stop(t)
	recorded := map[string]int{}
	for _, e := range decisions(t, l) {
		if e.Image == r.host+"/acme/app:1" {
			recorded[e.Decision]++
			if len(e.Reasons) == 0 {
				t.Errorf("decision %d has no reason", e.Seq)
			}
		}
	}
	if n := recorded[signer.DecisionRefused] + recorded[signer.DecisionFailed]; n != len(attacks) || len(recorded) > 2 {
		t.Errorf("recorded %v for %d attacks", recorded, len(attacks))
	}
	l.Fsck(t)
}

// residentBytes is the memory that a process has now.
func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			check(t, err)
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
