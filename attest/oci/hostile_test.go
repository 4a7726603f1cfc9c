// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// TestContent: what an image is made of is in the registry and named by what it
// is.
func TestContent(t *testing.T) {
	const sha256, sha512 = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "sha512:%0128d"
	layer := func(mediaType, digest string, size int64, more string) string {
		l := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, digest, size, more)
		return strings.Replace(string(image(imageConfig)), `"layers":[]`, `"layers":[`+l+`]`, 1)
	}
	const ordinary = "application/vnd.oci.image.layer.v1.tar+gzip"
	config := func(from, to string) string { return strings.Replace(string(image(imageConfig)), from, to, 1) }
	for name, tc := range map[string]struct {
		body string
		ok   bool
	}{
		"ordinary":                {layer(ordinary, sha256, 10<<30, ""), true},
		"SHA-512":                 {layer(ordinary, fmt.Sprintf(sha512, 1), 1, ""), true},
		"no places":               {layer(ordinary, sha256, 1, `,"urls":[]`), true},
		"embedded":                {layer(ordinary, sha256, 2, `,"data":"e30="`), true},
		"foreign":                 {layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", sha256, 1, ""), false},
		"non-distributable":       {layer("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", sha256, 1, ""), false},
		"with a place of its own": {layer(ordinary, sha256, 1, `,"urls":["https://evil.example/layer"]`), false},
		"metadata address":        {layer(ordinary, sha256, 1, `,"urls":["http://169.254.169.254/latest/meta-data/"]`), false},
		"URLs":                    {layer(ordinary, sha256, 1, `,"URLs":["https://evil.example/layer"]`), false},
		"MD5":                     {layer(ordinary, "md5:"+strings.Repeat("0", 32), 1, ""), false},
		"short":                   {layer(ordinary, sha256[:70], 1, ""), false},
		"upper case":              {layer(ordinary, strings.ToUpper(sha256), 1, ""), false},
		"negative":                {layer(ordinary, sha256, -1, ""), false},
		"not a number":            {layer(ordinary, sha256, 1, `,"size":1e400`), false},
		"something else embedded": {layer(ordinary, sha256, 2, `,"data":"W10="`), false},
		"more embedded":           {layer(ordinary, sha256, 1, `,"data":"e30="`), false},
		"huge config":             {config(`"size":2`, `"size":4194305`), false},
		"config elsewhere":        {config(`"size":2`, `"size":2,"urls":["https://evil.example/c"]`), false},
		"config without a digest": {config(sha256, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			f.misbehave(serving(ociManifest, []byte(tc.body)))
			got, err := f.client().Resolve(t.Context(), f.host+"/acme/app:1")
			if tc.ok && (err != nil || got.Digest != attest.DigestOf([]byte(tc.body))) || !tc.ok && (!errors.Is(err, oci.ErrBadManifest) || got != (oci.Artifact{})) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// serving answers everything with one body.
func serving(contentType string, body []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
		return true
	}
}

// endless writes for as long as somebody reads.
func endless(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", ociManifest)
	for chunk := make([]byte, 64<<10); ; {
		if _, err := w.Write(chunk); err != nil {
			return true
		}
	}
}

// drip writes a byte now and then.
func drip(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Content-Type", ociManifest)
	for {
		if _, err := w.Write([]byte("{")); err != nil || http.NewResponseController(w).Flush() != nil {
			return true
		}
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestHostileAnswers: whatever a registry sends, the answer is a typed error
// soon after, and costs no more memory than the limits say.
func TestHostileAnswers(t *testing.T) {
	var bomb strings.Builder
	zip := gzip.NewWriter(&bomb)
	for range 256 {
		_, _ = zip.Write(make([]byte, 1<<20))
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	encoded := func(encoding, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("compression is asked for")
			}
			w.Header().Set("Content-Encoding", encoding)
			return serving(ociManifest, []byte(body))(w, r)
		}
	}
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	nested := strings.Replace(string(image(imageConfig)), `"layers"`, `"annotations":`+deep+`,"layers"`, 1)
	for name, tc := range map[string]struct {
		trick func(http.ResponseWriter, *http.Request) bool
		want  error
	}{
		"endless body":      {endless, oci.ErrTooLarge},
		"slow drip":         {drip, oci.ErrUnavailable},
		"gzip bomb":         {encoded("gzip", bomb.String()), oci.ErrRejected},
		"unknown encoding":  {encoded("x-bomb", string(image(imageConfig))), oci.ErrRejected},
		"bomb undeclared":   {serving(ociManifest, []byte(bomb.String())), oci.ErrBadManifest},
		"10,000 deep":       {serving(ociManifest, []byte(deep)), oci.ErrBadManifest},
		"deep in an image":  {serving(ociManifest, []byte(nested)), oci.ErrBadManifest},
		"deep array":        {serving(ociManifest, []byte(strings.Repeat("[", 1<<20))), oci.ErrBadManifest},
		"duplicate key":     {serving(ociManifest, []byte(strings.Replace(string(image(imageConfig)), `"layers"`, `"layers":[],"layers"`, 1))), oci.ErrBadManifest},
		"escaped duplicate": {serving(ociManifest, []byte(strings.Replace(string(image(imageConfig)), `"layers"`, `"l\u0061yers":[],"layers"`, 1))), oci.ErrBadManifest},
		"bad UTF-8":         {serving(ociManifest, []byte(strings.Replace(string(image(imageConfig)), imageConfig, "\xff", 1))), oci.ErrBadManifest},
		"endless headers": {func(w http.ResponseWriter, r *http.Request) bool {
			for i := range 256 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1<<10))
			}
			return serving(ociManifest, image(imageConfig))(w, r)
		}, oci.ErrUnavailable},
		"drip of headers": {hijacked(func(conn net.Conn) {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(conn, "X-%d: x\r\n", i); err != nil {
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
		}), oci.ErrUnavailable},
		"endless early hints": {hijacked(func(conn net.Conn) {
			for {
				if _, err := fmt.Fprintf(conn, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"); err != nil {
					return
				}
			}
		}), oci.ErrUnavailable},
		"length of a terabyte": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", ociManifest)
			w.Header().Set("Content-Length", "1099511627776")
			_, _ = w.Write([]byte("{}"))
			panic(http.ErrAbortHandler)
		}, oci.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			f.misbehave(tc.trick)
			c := f.client(withMembers, patience(tc.want))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got, err := c.Resolve(t.Context(), f.host+"/acme/app:1")
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tc.want) || got != (oci.Artifact{}) {
				t.Errorf("%+v, %v", got, err)
			}
			if took > 20*time.Second { // on a machine that does much else
				t.Errorf("took %s", took)
			}
			// Reading 4 MiB into a buffer that grows allocates several times that;
			// the server of the test is in the same process.
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 64<<20 {
				t.Errorf("allocated %d MiB", grown>>20)
			}
			if !c.Idle() {
				t.Error("memory stays reserved")
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// patience is short where it must end, and long where a limit must end it.
func patience(want error) func(*oci.Config) {
	return func(c *oci.Config) {
		if errors.Is(want, oci.ErrUnavailable) {
			c.Timeout = 300 * time.Millisecond
		}
	}
}

// hijacked answers below HTTP.
func hijacked(answer func(net.Conn)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return true
		}
		defer func() { _ = conn.Close() }() // the client has gone
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n")[:17])
		answer(conn)
		return true
	}
}

// TestHostileBlobs: the same for what Bundles reads.
func TestHostileBlobs(t *testing.T) {
	crowd := hundredThousand()
	for name, tc := range map[string]struct {
		part  string
		trick func(http.ResponseWriter, *http.Request) bool
		want  error
	}{
		"endless blob": {"/blobs/", endless, oci.ErrDigestMismatch},
		"slow blob":    {"/blobs/", drip, oci.ErrUnavailable},
		"slow list":    {"/referrers/", drip, oci.ErrUnavailable},
		"endless list": {"/referrers/", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", ociIndex)
			return endlessAs(ociIndex, w, r)
		}, oci.ErrTooLarge},
		"compressed blob": {"/blobs/", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			return serving("x/y", nil)(w, r)
		}, oci.ErrRejected},
		"slow referrer":     {"/manifests/sha256:", drip, oci.ErrUnavailable},
		"endless referrer":  {"/manifests/sha256:", endless, oci.ErrTooLarge},
		"100,000 referrers": {"/referrers/", func(w http.ResponseWriter, r *http.Request) bool { return serving(ociIndex, crowd)(w, r) }, oci.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			if _, err := f.client().AttachBundle(t.Context(), subject, blob(1)); err != nil {
				t.Fatal(err)
			}
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				return strings.Contains(r.URL.Path, tc.part) && tc.trick(w, r)
			})
			c := f.client(patience(tc.want))
			found, err := c.Bundles(t.Context(), subject)
			if !errors.Is(err, tc.want) || len(found) != 0 {
				t.Errorf("%d bundles, %v", len(found), err)
			}
			if !c.Idle() {
				t.Error("memory stays reserved")
			}
		})
	}
}

func endlessAs(contentType string, w http.ResponseWriter, r *http.Request) bool {
	return endless(typed{w, contentType}, r)
}

// typed keeps the content type that it was given.
type typed struct {
	http.ResponseWriter
	contentType string
}

func (t typed) Write(b []byte) (int, error) {
	t.Header().Set("Content-Type", t.contentType)
	return t.ResponseWriter.Write(b)
}

func hundredThousand() []byte {
	var b strings.Builder
	b.WriteString(`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[`)
	for i := range 100_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":%q,"size":1,"digest":%q}`, ociManifest, attest.DigestOf(fmt.Append(nil, i)))
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// accounts has a password of its own for each host.
type accounts map[string]string

func (a accounts) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if p, ok := a[r.RegistryStr()]; ok {
		return authn.FromConfig(authn.AuthConfig{Username: "robot", Password: p}), nil
	}
	return authn.Anonymous, nil
}

// TestCredentialsOfEachHost: two registries, each with its own password, and
// each sees its own only, whatever they ask for.
func TestCredentialsOfEachHost(t *testing.T) {
	one, two := newFake(t, true), newFake(t, true)
	digest := one.push("1", ociManifest, image(imageConfig))
	two.push("1", ociManifest, image(imageConfig))
	keychain := accounts{one.host: "password of one", two.host: "password of two"}
	c := one.client(withKeychain(keychain), func(c *oci.Config) {
		c.Registries = append(c.Registries, oci.Registry{Host: two.host, Insecure: true})
	})
	var mu sync.Mutex
	seen := map[*fake]map[string]bool{one: {}, two: {}}
	for _, f := range []*fake{one, two} {
		f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			_, password, ok := r.BasicAuth()
			mu.Lock()
			defer mu.Unlock()
			seen[f][password] = true
			if !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
			return !ok
		})
	}
	var wg sync.WaitGroup
	for range 8 {
		for _, f := range []*fake{one, two} {
			wg.Go(func() {
				if a, err := c.Resolve(t.Context(), f.host+"/acme/app:1"); err != nil || a.Digest != digest {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
	}
	wg.Wait()
	if fmt.Sprint(seen[one]) != "map[:true password of one:true]" || fmt.Sprint(seen[two]) != "map[:true password of two:true]" {
		t.Errorf("one saw %v, two saw %v", seen[one], seen[two])
	}
	// One sends the client to two, for a manifest, a blob or a token: two is
	// allowed, but not as a part of one.
	for name, trick := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://"+two.host+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		},
		"token": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+two.host+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		},
	} {
		var visits atomic.Int64
		two.misbehave(func(http.ResponseWriter, *http.Request) bool { visits.Add(1); return false })
		one.misbehave(trick)
		if _, err := c.Resolve(t.Context(), one.host+"/acme/app:1"); !errors.Is(err, oci.ErrForeignRegistry) || visits.Load() != 0 {
			t.Errorf("%s: %v, %d visits", name, err, visits.Load())
		}
	}
}

// TestConnectionsAreReused: sixty signatures of four clients at a time need
// no more connections than they have requests at the same time.
func TestConnectionsAreReused(t *testing.T) {
	f := newFake(t, true)
	var opened atomic.Int64
	counted := httptest.NewUnstartedServer(f)
	counted.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	counted.Start()
	t.Cleanup(counted.Close)
	f.host = strings.TrimPrefix(counted.URL, "http://")
	subject := f.subject()
	c := f.client(withMembers)
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			for i := range 15 { // 60 referrers
				if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
					t.Error(err)
				}
				if _, err := c.AttachBundle(t.Context(), subject, blob(100*client+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// Four clients with two requests at a time each; a connection that is opened
	// while another becomes free is one more.
	if n := opened.Load(); n > 24 {
		t.Errorf("%d connections for %d requests", n, len(f.seen()))
	}
}
