// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// forgetful is a world that keeps nothing large of what is finished, so that what
// is in memory is the service's.
type forgetful struct{ *world }

func (f forgetful) Finish(ctx context.Context, id string, r signer.Receipt, ev signer.AuditEvent) error {
	if err := f.world.Finish(ctx, id, r, ev); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.intents[id]
	outline, _ := signer.OutlineOf(r)
	in.Statement, in.Receipt = nil, &outline
	f.intents[id] = in
	delete(f.attached, r.Manifest)
	for _, l := range f.logs {
		l.entries[r.LogIndex].Payload = nil
	}
	return nil
}

// withPlatforms gives the world an index of so many images.
func (w *world) withPlatforms(n int) {
	w.kind = oci.KindIndex
	for i := range n {
		name := fmt.Sprintf("linux/p%d", i)
		w.images = append(w.images, oci.PlatformImage{Platform: name, Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Digest: attest.DigestOf([]byte(name)), Kind: oci.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1,
		}})
	}
}

// sbomOfSize is an SPDX document of so many bytes.
func sbomOfSize(n int, of string) []byte {
	document := `{"spdxVersion": "SPDX-2.3", "creationInfo": {"created": "2026-01-02T03:04:05Z", "comment": "` + of
	const end = `"}, "packages": [{"name": "a"}]}`
	return []byte(document + strings.Repeat("x", n-len(document)-len(end)) + end)
}

// TestStatementsOfAllPlatforms: what becomes a statement of each platform counts as often, whatever it counts as a body. Several such requests
// wait for each other, and together hold no more than the largest one that there can be.
func TestStatementsOfAllPlatforms(t *testing.T) {
	const size, platforms, requests = 4 << 20, 4, 4 // 16 MiB of statements each
	w := newDocuments(t)
	w.withPlatforms(platforms)
	s := w.startWith(func(c *signer.Config) { c.Journal = forgetful{w} })
	var mu sync.Mutex
	var most, calls uint64
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	w.before = func(port string) {
		mu.Lock()
		defer mu.Unlock()
		if port != "verifier" {
			return
		}
		if calls++; calls%2 == 0 {
			most = max(most, inUse())
		}
	}
	before := inUse()
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			req := documents(signer.Document{Name: "a", Content: sbomOfSize(size, fmt.Sprint(i))})
			req.Platform = "all"
			receipts, err := s.AttestDocuments(t.Context(), req)
			for errors.Is(err, signer.ErrBusy) { // on a slow machine those before it take longer than one waits: it comes again, as it is told
				receipts, err = s.AttestDocuments(t.Context(), req)
			}
			if err != nil || len(receipts) != platforms {
				t.Errorf("%d receipts, %v", len(receipts), err)
			}
		})
	}
	wg.Wait()
	if n := len(w.logs[0].entries); n != requests*platforms {
		t.Errorf("%d entries", n)
	}
	// Beside the documents themselves, which package api counts as bodies.
	if held := int64(most-before) - requests*size; held < platforms*size || held > 7*24<<20 {
		t.Errorf("%d requests of %d MiB for %d platforms held %d MiB", requests, size>>20, platforms, held>>20)
	}
}

// TestTooManyStatements: what no room could ever hold is refused before anything is done, whichever way it is asked for.
func TestTooManyStatements(t *testing.T) {
	predicate := sbomOfSize(3<<20, "")
	for name, req := range map[string]signer.Request{
		"a document":  documents(signer.Document{Name: "a", Content: predicate}),
		"a predicate": {PredicateType: "https://spdx.dev/Document", Predicate: predicate},
		"documents":   documents(signer.Document{Name: "a", Content: sbomOfSize(1<<10, "a")}, signer.Document{Name: "b", Content: predicate}),
	} {
		w := newDocuments(t)
		w.withPlatforms(9)
		whole := goodRequest()
		whole.PredicateType, whole.Predicate, whole.Documents, whole.Platform = req.PredicateType, req.Predicate, req.Documents, "all"
		_, err := w.start().AttestDocuments(t.Context(), whole)
		if !errors.Is(err, signer.ErrBadRequest) || !strings.Contains(err.Error(), "in several calls") {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.logs[0].entries)+len(w.intents)+len(w.attached)+len(w.documents) > 0 || len(w.audit) != 1 || w.audit[0].Requester.SAN != workflow {
			t.Errorf("%s: something was done, or not recorded: %d records", name, len(w.audit))
		}
	}
}
