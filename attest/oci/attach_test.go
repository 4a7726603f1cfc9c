// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// both runs a test on a registry with the referrers API and on one without.
func both(t *testing.T, test func(t *testing.T, f *fake)) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %v", referrers), func(t *testing.T) { test(t, newFake(t, referrers)) })
	}
}

func fallback(subject oci.Artifact) string { return "sha256-" + subject.Digest.Hex() }

func TestAttachBundle(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		c, subject, b := f.client(), f.subject(), blob(1)
		digest, err := c.AttachBundle(t.Context(), subject, b)
		if err != nil {
			t.Fatal(err)
		}
		// The bytes that stock cosign was shown to read, in our order.
		want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",` +
			`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"},` +
			`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":"` + string(attest.DigestOf(b.Bytes)) + `","size":` + fmt.Sprint(len(b.Bytes)) + `}],` +
			`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + string(subject.Digest) + `","size":` + fmt.Sprint(subject.Size) + `},` +
			`"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-01-02T02:04:05Z"}}`
		if got := string(f.get(string(digest))); got != want || digest != attest.DigestOf([]byte(want)) {
			t.Errorf("manifest\n%s\nwant\n%s", got, want)
		}
		// Again, by another client: same digest, listed once.
		if again, err := f.client().AttachBundle(t.Context(), subject, b); err != nil || again != digest {
			t.Errorf("again: %s, %v", again, err)
		}
		found, err := c.Bundles(t.Context(), subject)
		wantFound := []oci.StoredBundle{{Manifest: digest, Blob: attest.DigestOf(b.Bytes), Bytes: b.Bytes, PredicateTypeHint: attest.PredicateSignature}}
		if err != nil || fmt.Sprint(found) != fmt.Sprint(wantFound) {
			t.Errorf("bundles %+v, %v", found, err)
		}
		// The field's client lists it as well.
		theirs, err := name.NewDigest(subject.String())
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Referrers(theirs)
		if err != nil {
			t.Fatal(err)
		}
		list, err := index.IndexManifest()
		if err != nil || len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != string(digest) {
			t.Errorf("go-containerregistry lists %+v, %v", list, err)
		}
	})
}

// TestAttachRoundTrips: a warm client makes four requests, no ping and no
// token, one more where a registry takes no blob in one request, three more
// where it has no referrers API; and Resolve makes one.
func TestAttachRoundTrips(t *testing.T) {
	for name, tc := range map[string]struct {
		referrers bool
		trick     func(http.ResponseWriter, *http.Request) bool
		want      []string
	}{
		"current":        {true, nil, []string{"POST blob", "PUT manifest", "GET manifest", "GET referrers"}},
		"no single POST": {true, inTwo(nil), []string{"POST blob", "PUT blob", "PUT manifest", "GET manifest", "GET referrers"}},
		"no referrers API": {false, inTwo(nil), []string{"POST blob", "PUT blob", "PUT manifest", "GET manifest", "GET referrers",
			"GET manifest", "PUT manifest", "GET manifest"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, tc.referrers)
			c, subject := f.client(), f.subject()
			f.misbehave(tc.trick)
			if _, err := c.AttachBundle(t.Context(), subject, blob(1)); err != nil {
				t.Fatal(err)
			}
			f.misbehave(tc.trick)
			if _, err := c.AttachBundle(t.Context(), subject, blob(2)); err != nil {
				t.Fatal(err)
			}
			got := kinds(f.seen())
			if len(got) == len(tc.want) && got[len(got)-1] == "GET manifest" && got[len(got)-2] == "GET referrers" {
				got[len(got)-1], got[len(got)-2] = got[len(got)-2], got[len(got)-1] // at once, in either order
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("attach makes %d requests, want %d: %v", len(got), len(tc.want), f.seen())
			}
			f.misbehave(nil)
			if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
				t.Fatal(err)
			}
			if seen := f.seen(); len(seen) != 1 {
				t.Errorf("resolve takes %d requests: %v", len(seen), seen)
			}
		})
	}
}

// kinds reduces requests to what is asked.
func kinds(requests []string) []string {
	var all []string
	for _, r := range requests {
		method, path, _ := strings.Cut(r, " ")
		for _, kind := range []string{"blob", "manifest", "referrers"} {
			if strings.Contains(path, "/"+kind) {
				all = append(all, method+" "+kind)
			}
		}
	}
	return all
}

// inTwo is a registry that does not take a blob in one request, and otherwise
// behaves as trick says.
func inTwo(trick func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.RawQuery != "" {
			_, _ = io.Copy(io.Discard, r.Body) // as if it were not there
			r.URL.RawQuery, r.Body = "", http.NoBody
		}
		return trick != nil && trick(w, r)
	}
}

// TestAttachWithoutShortcuts: a registry that has lost the empty config since,
// or says that it has taken a blob in one request and has not, or does not know
// the question at all, costs a longer way and nothing else.
func TestAttachWithoutShortcuts(t *testing.T) {
	single := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("digest") }
	for name, trick := range map[string]func(f *fake) func(http.ResponseWriter, *http.Request) bool{
		"not kept": func(*fake) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if single(r) {
					w.WriteHeader(http.StatusCreated)
				}
				return single(r)
			}
		},
		"not known": func(*fake) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if single(r) {
					w.WriteHeader(http.StatusBadRequest)
				}
				return single(r)
			}
		},
		"config lost": func(*fake) func(http.ResponseWriter, *http.Request) bool {
			lost := true
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					b, _ := io.ReadAll(r.Body)
					lost = lost && string(b) != "{}"
					r.Body = io.NopCloser(bytes.NewReader(b))
				}
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") {
					lost = false
				}
				if r.Method == http.MethodHead && lost {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && lost {
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				return false
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			c, subject := f.client(), f.subject()
			if _, err := c.AttachBundle(t.Context(), subject, blob(1)); err != nil {
				t.Fatal(err)
			}
			// go-containerregistry's registry takes a manifest whose blobs it
			// has not: this one does not.
			missing := trick(f)
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && !f.hasBlob(blob(2).Bytes) {
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				return missing(w, r)
			})
			if _, err := c.AttachBundle(t.Context(), subject, blob(2)); err != nil {
				t.Errorf("%v: %v", err, f.seen())
			}
			if found, err := c.Bundles(t.Context(), subject); err != nil || len(found) != 2 {
				t.Errorf("%d bundles, %v", len(found), err)
			}
		})
	}
}

// TestAttachToRegistryWithStorage: a registry that answers even the question
// whether it has a blob with its storage's address is not followed there.
func TestAttachToRegistryWithStorage(t *testing.T) {
	f := newFake(t, true)
	other, visits := stranger(t)
	subject := f.subject()
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		http.Redirect(w, r, "http://"+other+"/blob", http.StatusTemporaryRedirect)
		return true
	})
	if _, err := f.client().AttachBundle(t.Context(), subject, blob(1)); err != nil || visits.Load() != 0 {
		t.Errorf("%v, %d visits", err, visits.Load())
	}
}

// TestConcurrentAttachLosesNothing: one client, one subject, no referrers API.
func TestConcurrentAttachLosesNothing(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		const n = 20
		c, subject := f.client(), f.subject()
		want := make([]attest.Digest, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				digest, err := c.AttachBundle(t.Context(), subject, blob(i))
				if err != nil {
					t.Error(err)
				}
				want[i] = digest
			})
		}
		wg.Wait()
		found, err := c.Bundles(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		var got []attest.Digest
		for _, b := range found {
			got = append(got, b.Manifest)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("found %d of %d: %v", len(got), n, got)
		}
	})
}

// TestTurnsKeepOthersFromLosing: clients of several processes, which share no
// memory but a Turn, write the list of one subject at the same time. Without it
// one that has read the list before another wrote it takes that away, and
// neither can see it.
func TestTurnsKeepOthersFromLosing(t *testing.T) {
	const clients, each = 4, 6
	f := newFake(t, false)
	subject := f.subject()
	var turn sync.Mutex
	names := map[string]bool{}
	shared := func(c *oci.Config) {
		c.Turn = func(_ context.Context, name string) (func(), error) {
			turn.Lock()
			names[name] = true
			return turn.Unlock, nil
		}
	}
	var wg sync.WaitGroup
	for client := range clients {
		c := f.client(shared)
		for i := range each {
			wg.Go(func() {
				if _, err := c.AttachBundle(t.Context(), subject, blob(100*client+i)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	reader := f.client()
	found, err := reader.Bundles(t.Context(), subject)
	if err != nil || len(found) != clients*each || !reader.Idle() {
		t.Errorf("%d of %d bundles are listed, %v", len(found), clients*each, err)
	}
	if len(names) != 1 {
		t.Errorf("turns of %v", names)
	}
	// A turn that cannot be had is no permission.
	broken := func(c *oci.Config) {
		c.Turn = func(context.Context, string) (func(), error) { return nil, errors.New("database is gone") }
	}
	before := f.get(fallback(subject))
	if _, err := f.client(broken).AttachBundle(t.Context(), subject, blob(1000)); !errors.Is(err, oci.ErrUnavailable) || !bytes.Equal(before, f.get(fallback(subject))) {
		t.Errorf("without a turn: %v", err)
	}
}

// TestAttachSurvivesAnotherWriter: somebody who read the list before us writes
// it after us.
func TestAttachSurvivesAnotherWriter(t *testing.T) {
	f := newFake(t, false)
	c, subject := f.client(), f.subject()
	first, err := c.AttachBundle(t.Context(), subject, blob(1))
	if err != nil {
		t.Fatal(err)
	}
	stale := f.get(fallback(subject))
	losses := 2
	overwrite := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, fallback(subject)) || losses == 0 {
			return false
		}
		losses--
		f.inner.ServeHTTP(w, r)
		f.push(fallback(subject), ociIndex, stale)
		return true
	}
	f.misbehave(overwrite)
	second, err := c.AttachBundle(t.Context(), subject, blob(2))
	if err != nil {
		t.Fatal(err)
	}
	if list := string(f.get(fallback(subject))); losses != 0 || !strings.Contains(list, string(first)) || !strings.Contains(list, string(second)) {
		t.Errorf("%d losses left, list %s", losses, list)
	}
	// Somebody who never stops is not waited for.
	losses = 1 << 30
	if _, err := c.AttachBundle(t.Context(), subject, blob(3)); !errors.Is(err, oci.ErrUnavailable) {
		t.Errorf("endless overwriting: %v", err)
	}
}

// TestFallbackKeepsWhatOthersWrote: descriptors and members we know nothing of
// survive, and an image under that tag is not overwritten.
func TestFallbackKeepsWhatOthersWrote(t *testing.T) {
	f := newFake(t, false)
	subject := f.subject()
	child := f.push("", ociManifest, image("application/x"))
	theirs := `{"schemaVersion":2,"annotations":{"a":"1.50"},"new-member":{"z":9007199254740993},"manifests":[{"size":1,"mediaType":"` + ociManifest + `","digest":"` + string(child) + `","urls":["u"]}]}`
	f.push(fallback(subject), ociIndex, []byte(theirs))
	digest, err := f.client().AttachBundle(t.Context(), subject, blob(1))
	if err != nil {
		t.Fatal(err)
	}
	list := f.get(fallback(subject))
	for _, want := range []string{`"a":"1.50"`, `"new-member":{"z":9007199254740993}`, `"urls":["u"]`, string(child), `"digest":"` + string(digest) + `"`, `"artifactType":"` + attest.BundleMediaType + `"`} {
		if !bytes.Contains(list, []byte(want)) {
			t.Errorf("list lacks %s:\n%s", want, list)
		}
	}
	f.push(fallback(subject), ociManifest, image("application/y"))
	if _, err := f.client().AttachBundle(t.Context(), subject, blob(2)); !errors.Is(err, oci.ErrBadManifest) {
		t.Errorf("an image under the tag: %v", err)
	}
	if !bytes.Equal(f.get(fallback(subject)), image("application/y")) {
		t.Error("the image was overwritten")
	}
}

// TestAttachUsesTheTagIfTheAPIDoesNotList: some registries answer the
// referrers API with an empty list.
func TestAttachUsesTheTagIfTheAPIDoesNotList(t *testing.T) {
	f := newFake(t, false)
	subject := f.subject()
	f.misbehave(emptyReferrers)
	digest, err := f.client().AttachBundle(t.Context(), subject, blob(1))
	if err != nil || !bytes.Contains(f.get(fallback(subject)), []byte(digest)) {
		t.Errorf("%s, %v", digest, err)
	}
	if found, err := f.client().Bundles(t.Context(), subject); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

func emptyReferrers(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.URL.Path, "/referrers/") {
		return false
	}
	w.Header().Set("Content-Type", ociIndex)
	_, _ = w.Write([]byte(`{"schemaVersion":2,"manifests":[]}`))
	return true
}

func TestAttachErrors(t *testing.T) {
	other, visits := stranger(t)
	on := func(method, part string, handle http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || !strings.Contains(r.URL.Path, part) {
				return false
			}
			handle(w, r)
			return true
		}
	}
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, tc := range map[string]struct {
		trick func(http.ResponseWriter, *http.Request) bool
		want  error
	}{
		"upload denied":            {on("POST", "/uploads/", answer(403)), oci.ErrDenied},
		"upload fails":             {on("PUT", "/uploads/", answer(500)), oci.ErrUnavailable},
		"upload too large":         {on("PUT", "/uploads/", answer(413)), oci.ErrTooLarge},
		"upload not started":       {on("POST", "/uploads/", answer(200)), oci.ErrRejected},
		"no location":              {on("POST", "/uploads/", answer(202)), oci.ErrRejected},
		"config check fails":       {on("HEAD", "/blobs/", answer(503)), oci.ErrUnavailable},
		"manifest refused":         {on("PUT", "/manifests/", answer(400)), oci.ErrRejected},
		"manifest not created":     {on("PUT", "/manifests/", answer(202)), oci.ErrRejected},
		"acknowledged, not stored": {on("PUT", "/manifests/", answer(201)), oci.ErrNotFound},
		"read back differs": {on("GET", "/manifests/sha256:", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ociManifest)
			_, _ = w.Write(image("application/x"))
		}), oci.ErrDigestMismatch},
		"referrers fail":   {on("GET", "/referrers/", answer(500)), oci.ErrUnavailable},
		"referrers denied": {on("GET", "/referrers/", answer(403)), oci.ErrDenied},
		"location elsewhere": {on("POST", "/uploads/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://"+other+"/upload")
			w.WriteHeader(202)
		}), oci.ErrForeignRegistry},
		"upload redirected": {on("PUT", "/uploads/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+other+"/upload", http.StatusTemporaryRedirect)
		}), oci.ErrForeignRegistry},
		"write redirected on its own host": {on("PUT", "/manifests/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
		}), oci.ErrForeignRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			f.misbehave(inTwo(tc.trick))
			if digest, err := f.client().AttachBundle(t.Context(), subject, blob(1)); !errors.Is(err, tc.want) || digest != "" {
				t.Errorf("%s, %v", digest, err)
			}
		})
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("another host was visited %d times", n)
	}
}

// TestAttachErrorHidesUploadState: the query of an upload location is a secret
// of the registry.
func TestAttachErrorHidesUploadState(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", r.URL.Path+"1?_state=secret")
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Query().Get("_state") == "secret" && r.URL.Query().Get("digest") != "":
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	})
	_, err := f.client().AttachBundle(t.Context(), subject, blob(1))
	if !errors.Is(err, oci.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestAttachRefusesInput(t *testing.T) {
	f := newFake(t, true)
	good := f.subject()
	f.misbehave(nil)
	for name, tc := range map[string]struct {
		change func(*oci.Artifact, *oci.BundleBlob)
		want   error
	}{
		"zero artifact":    {func(a *oci.Artifact, _ *oci.BundleBlob) { *a = oci.Artifact{} }, oci.ErrBadReference},
		"no digest":        {func(a *oci.Artifact, _ *oci.BundleBlob) { a.Digest = "" }, oci.ErrBadReference},
		"foreign registry": {func(a *oci.Artifact, _ *oci.BundleBlob) { a.Registry = "registry.example" }, oci.ErrForeignRegistry},
		"no media type":    {func(a *oci.Artifact, _ *oci.BundleBlob) { a.MediaType = "" }, oci.ErrBadManifest},
		"no size":          {func(a *oci.Artifact, _ *oci.BundleBlob) { a.Size = 0 }, oci.ErrBadManifest},
		"no bytes":         {func(_ *oci.Artifact, b *oci.BundleBlob) { b.Bytes = nil }, oci.ErrBadManifest},
		"too large":        {func(_ *oci.Artifact, b *oci.BundleBlob) { b.Bytes = make([]byte, attest.MaxBundleBytes+1) }, oci.ErrTooLarge},
		"no type":          {func(_ *oci.Artifact, b *oci.BundleBlob) { b.PredicateType = "" }, oci.ErrBadManifest},
		"no time":          {func(_ *oci.Artifact, b *oci.BundleBlob) { b.Created = time.Time{} }, oci.ErrBadManifest},
	} {
		a, b := good, blob(1)
		tc.change(&a, &b)
		if digest, err := f.client().AttachBundle(t.Context(), a, b); !errors.Is(err, tc.want) || digest != "" {
			t.Errorf("%s: %s, %v", name, digest, err)
		}
	}
	if seen := f.seen(); len(seen) != 0 {
		t.Errorf("requests were made: %v", seen)
	}
}

// TestAttachToFullSubject: a subject with so many referrers that nobody would
// read them all is refused by name, with and without the API.
func TestAttachToFullSubject(t *testing.T) {
	f := newFake(t, false)
	subject := f.subject()
	var list []map[string]any
	for i := range 256 {
		list = append(list, map[string]any{"mediaType": "application/x", "size": 1, "digest": string(attest.DigestOf(fmt.Append(nil, i)))})
	}
	full := referrerIndex(t, list...)
	f.push(fallback(subject), ociIndex, full)
	if _, err := f.client().AttachBundle(t.Context(), subject, blob(1)); !errors.Is(err, oci.ErrTooMany) {
		t.Error(err)
	}
	if !bytes.Equal(f.get(fallback(subject)), full) {
		t.Error("the list was changed")
	}
}
