// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// movingRegistry serves an index under app:v1 and an image under app:one, and
// moves each tag to another image as soon as somebody has asked for it.
type movingRegistry struct {
	host          string
	index, one    string // digests
	amd64, arm64  string // of images of the index
	movedToDigest string
	restore       func() // the tags
}

func newMovingRegistry(t *testing.T) *movingRegistry {
	t.Helper()
	r := &movingRegistry{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	moving := false
	point := func(tag, digest string) {
		got := httptest.NewRecorder()
		inner.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/acme/app/manifests/"+digest, nil))
		put := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/acme/app/manifests/"+tag, got.Body)
		put.Header.Set("Content-Type", got.Header().Get("Content-Type"))
		inner.ServeHTTP(httptest.NewRecorder(), put)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		inner.ServeHTTP(w, q)
		tag := q.URL.Path[strings.LastIndex(q.URL.Path, "/")+1:]
		if moving && strings.Contains(q.URL.Path, "/manifests/") && !strings.Contains(tag, ":") {
			point(tag, r.movedToDigest)
		}
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	push := func(tag string) (v1.Image, string) {
		content, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(r.host + "/acme/app:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, content); err != nil {
			t.Fatal(err)
		}
		digest, err := content.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return content, digest.String()
	}
	_, r.one = push("one")
	_, r.movedToDigest = push("other")
	amd, amdDigest := push("amd64")
	arm, armDigest := push("arm64")
	r.amd64, r.arm64 = amdDigest, armDigest
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	ref, err := name.ParseReference(r.host + "/acme/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	r.index, moving = digest.String(), true
	r.restore = func() { point("v1", r.index); point("one", r.one) }
	return r
}

// askedFor is what reached the service.
type askedFor struct {
	Image, Platform string
	Evidence        []struct {
		Name, Kind, Platform string
		Document             json.RawMessage
	}
	parts string // the body, if it came in parts
}

// newRecorder is a service that writes down what it is asked, and refuses.
func newRecorder(t *testing.T) (url string, asked *[]askedFor) {
	t.Helper()
	asked = &[]askedFor{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var a askedFor
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.HasPrefix(q.Header.Get("Content-Type"), "multipart/") {
			a.parts = string(body)
		} else if err := json.Unmarshal(body, &a); err != nil {
			t.Error(err)
		}
		*asked = append(*asked, a)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"type": "urn:hallmark:problem:refused", "title": "Forbidden", "status": 403, "detail": "no reason"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// writesSBOM is a syft that writes an SBOM of what it is asked about.
const writesSBOM = `digest=${2#*@}; printf '{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"version":"%s"}},"components":[{"name":"a"}]}' "$digest"`

func TestSignAutoSBOM(t *testing.T) {
	r := newMovingRegistry(t)
	service, asked := newRecorder(t)
	syft := stubProgram(t, writesSBOM)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	scan := filepath.Join(t.TempDir(), "scan.json")
	if err := os.WriteFile(scan, []byte(`{"SchemaVersion": 2, "ArtifactName": "app", "Results": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		args      []string
		code      int
		says      string
		image     string   // that the service is asked about
		documents []string // "name about, of the digest"
	}{
		"an image": {[]string{"sign", "one", "--sbom", "auto"}, exitNo, "CycloneDX of", r.one, []string{"sbom.cdx.json of " + r.one}},
		"an index": {[]string{"sign", "v1", "--sbom", "auto"}, exitNo, "describes one of its platforms", r.index, []string{"sbom.cdx.json of " + r.index}},
		"the index, and a scan": {
			[]string{"sign", "v1", "--sbom", "auto", "--scan", scan, "--platform", "index"}, exitNo, "describes one of its platforms", r.index,
			[]string{"sbom.cdx.json of " + r.index, "scan.json"},
		},
		"every platform, and a scan": {
			[]string{"sign", "v1", "--sbom", "auto", "--scan", scan, "--platform", "all"}, exitNo, "CycloneDX of linux/arm64", r.index,
			[]string{"linux-amd64.sbom.cdx.json about " + r.amd64 + " of " + r.amd64, "linux-arm64.sbom.cdx.json about " + r.arm64 + " of " + r.arm64, "scan.json"},
		},
		"one platform":              {[]string{"sign", "v1", "--sbom", "auto", "--platform", "linux/arm64"}, exitNo, "", r.index, []string{"linux-arm64.sbom.cdx.json about " + r.arm64 + " of " + r.arm64}},
		"a digest of the index":     {[]string{"sign", "v1", "--sbom", "auto", "--platform", r.arm64}, exitNo, "", r.index, []string{"linux-arm64.sbom.cdx.json about " + r.arm64 + " of " + r.arm64}},
		"a platform that is not":    {[]string{"sign", "v1", "--sbom", "auto", "--platform", "plan9/arm64"}, exitNo, "it has linux/amd64, linux/arm64", "", nil},
		"another word for it":       {[]string{"sign", "v1", "--sbom", "auto", "--platform", "linux/aarch64"}, exitNo, "", r.index, []string{"linux-arm64.sbom.cdx.json about " + r.arm64 + " of " + r.arm64}},
		"one platform, by the flag": {[]string{"sign", "v1", "--sbom", "linux/x86_64=auto"}, exitNo, "", r.index, []string{"linux-amd64.sbom.cdx.json about " + r.amd64 + " of " + r.amd64}},
		"the same, twice": {
			[]string{"sign", "v1", "--sbom", "linux/x86_64=auto", "--sbom", "all=auto"}, exitNo, "", r.index,
			[]string{"linux-amd64.sbom.cdx.json about " + r.amd64 + " of " + r.amd64, "linux-arm64.sbom.cdx.json about " + r.arm64 + " of " + r.arm64},
		},
		"a platform, by the flag, that is not": {[]string{"sign", "v1", "--sbom", "linux/arm/v7=auto"}, exitNo, "--sbom linux/arm/v7: " + r.host + "/acme/app@" + r.index + " has no such image (hint: it has linux/amd64, linux/arm64)", "", nil},
		"a format of a file":                   {[]string{"sign", "one", "--sbom", scan, "--sbom-format", "spdx-json"}, exitUsage, "--sbom-format goes with --sbom auto", "", nil},
		"a syft of a file":                     {[]string{"attest", "one", "--sbom", scan, "--syft", syft}, exitUsage, "--syft goes with --sbom auto", "", nil},
		"a type of a file":                     {[]string{"sign", "one", "--sbom", scan, "--type", "spdx"}, exitUsage, "--type spdx says what the files of --evidence are", "", nil},
		"attest a type of a file":              {[]string{"attest", "one", "--sbom", scan, "--type", "spdx"}, exitUsage, "--type spdx says what the files of --evidence are", "", nil},
		"a type that is not":                   {[]string{"attest", "one", "--evidence", scan, "--type", "chek"}, exitUsage, "hallmark: --type: no kind or format", "", nil},
		"a platform of an image":               {[]string{"sign", "one", "--sbom", "auto", "--platform", "all"}, exitUsage, "is no index", "", nil},
		"a format that is not":                 {[]string{"sign", "one", "--sbom", "auto", "--sbom-format", "table"}, exitUsage, "--sbom-format", "", nil},
		"what was asked for":                   {[]string{"sign", "one", "--sbom", "auto", "--sbom-format", "spdx-json"}, exitUndecided, "is cyclonedx, not SPDX", "", nil},
		"no service":                           {[]string{"sign", "one", "--sbom", "auto", "--server", "ftp://x"}, exitUsage, "is not a URL", "", nil},
		"with a predicate":                     {[]string{"attest", "one", "--sbom", "auto", "--predicate", scan, "--type", "https://x.example"}, exitUsage, "--predicate goes alone", "", nil},
		"a file of that name":                  {[]string{"sign", "one", "--sbom", "./auto"}, exitUsage, "no such file", "", nil},
		"a document that is missing":           {[]string{"sign", "one", "--sbom", "auto", "--scan", "none.json"}, exitUsage, "none.json", "", nil},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			r.restore()
			*asked = nil
			args := []string{tc.args[0], r.host + "/acme/app:" + tc.args[1]}
			args = append(args, tc.args[2:]...)
			if !slices.Contains(args, "--server") {
				args = append(args, "--server", service)
			}
			code, stderr := runWith(t.Context(), t, map[string]string{"HALLMARK_ID_TOKEN": "x.y.z", "HALLMARK_SYFT": syft}, args...)
			if code != tc.code || !strings.Contains(stderr, tc.says) {
				t.Fatalf("exit %d: %s", code, stderr)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
				t.Errorf("left %v, %v", left, err)
			}
			if tc.image == "" {
				if len(*asked) != 0 {
					t.Errorf("the service was asked %+v", *asked)
				}
				return
			}
			if len(*asked) != 1 || (*asked)[0].Image != r.host+"/acme/app@"+tc.image {
				t.Fatalf("asked %+v", *asked)
			}
			var got []string
			for _, d := range (*asked)[0].Evidence {
				said := d.Name
				if d.Platform != "" {
					said += " about " + d.Platform
				}
				var sbom struct {
					Metadata struct{ Component struct{ Version string } }
				}
				if err := json.Unmarshal(d.Document, &sbom); err != nil {
					t.Fatal(err)
				}
				if v := sbom.Metadata.Component.Version; v != "" {
					said += " of " + v
				}
				got = append(got, said)
			}
			if !slices.Equal(got, tc.documents) {
				t.Errorf("documents %q, want %q", got, tc.documents)
			}
		})
	}
}

// runWith runs the program.
func runWith(ctx context.Context, t *testing.T, vars map[string]string, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(ctx, args, environment{getenv: func(n string) string { return vars[n] }, stdin: strings.NewReader(""), stdout: &out, stderr: &errs})
	return code, out.String() + errs.String()
}

// TestSignAutoSBOMLarge: what does not fit a JSON request goes in parts, and says
// what it is about.
func TestSignAutoSBOMLarge(t *testing.T) {
	r := newMovingRegistry(t)
	service, asked := newRecorder(t)
	syft := stubProgram(t, strings.Replace(writesSBOM, `"}]}' "$digest"`, `","description":"' "$digest"; head -c 9000000 /dev/zero | tr '\000' x; printf '"}]}'`, 1))
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	code, stderr := runWith(t.Context(), t, map[string]string{"HALLMARK_ID_TOKEN": "x.y.z", "HALLMARK_SYFT": syft},
		"attest", r.host+"/acme/app:v1", "--sbom", "auto", "--platform", "linux/amd64", "--server", service)
	if code != exitNo || len(*asked) != 1 || !strings.Contains((*asked)[0].parts, `"kind":"sbom","platform":"`+r.amd64+`"`) || !strings.Contains((*asked)[0].parts, `"image":"`+r.host+"/acme/app@"+r.index+`"`) {
		t.Errorf("exit %d, asked %.300v: %s", code, *asked, stderr)
	}
}

// TestSignAutoSBOMInterrupted: ^C ends syft and leaves nothing.
func TestSignAutoSBOMInterrupted(t *testing.T) {
	r := newMovingRegistry(t)
	service, asked := newRecorder(t)
	temporary, started := t.TempDir(), filepath.Join(t.TempDir(), "started")
	t.Setenv("TMPDIR", temporary)
	syft := stubProgram(t, "echo '{' ; touch "+started+"; exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	code, stderr := runWith(ctx, t, map[string]string{"HALLMARK_ID_TOKEN": "x.y.z", "HALLMARK_SYFT": syft}, "sign", r.host+"/acme/app:one", "--sbom", "auto", "--server", service)
	if code != exitUndecided || !strings.Contains(stderr, "interrupted while syft made the SBOM") || len(*asked) != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestSignAutoSBOMWithoutSyft says where to get it, before anything is asked.
func TestSignAutoSBOMWithoutSyft(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	code, stderr := runWith(t.Context(), t, nil, "sign", "127.0.0.1:1/acme/app:v1", "--sbom", "auto", "--server", "http://127.0.0.1:1")
	if code != exitUsage || !strings.Contains(stderr, "go install github.com/anchore/syft/cmd/syft@v1.57.0") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
