// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/evidence"
)

const (
	vulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"
	vexType  = "https://openvex.dev/ns"
	vex      = `{"@context": "https://openvex.dev/ns", "statements": [{"vulnerability": {"name": "CVE-1"}, "status": "fixed", "products": [{"@id": "pkg:oci/a"}]}]}`
)

// scanBy is a report of a scanner that found nothing.
func scanBy(tool string) string {
	result := `{"descriptor": {"name": "grype"}, "matches": []}`
	if tool == "trivy" {
		result = `{"SchemaVersion": 2, "ArtifactName": "a", "ArtifactType": "container_image", "CreatedAt": "2020-01-01T00:00:00Z", "Results": [{"Target": "a", "Class": "os-pkgs", "Vulnerabilities": []}]}`
	}
	return `{"invocation": {}, "scanner": {"result": ` + result + `}}`
}

// pile is a store about one image whose receipts are given a minute apart.
type pile struct {
	*places
	t *testing.T
	n int
}

func newPile(t *testing.T) *pile {
	return &pile{places: &places{receipts: map[attest.Digest][]signer.Receipt{}, attached: map[attest.Digest][][]byte{}}, t: t}
}

// add adds a receipt that is an hour newer than the last.
func (p *pile) add(kind, document string) int64 {
	p.t.Helper()
	p.n++
	m := made{about: image, san: origin + "/attestor", index: int64(p.n), proves: true, document: document, kind: kind}
	r := receipt(p.t, m)
	r.SignedAt = time.Unix(int64(p.n)*3600, 0)
	p.receipts[image] = append(p.receipts[image], r)
	return m.index
}

// at has the verifier say that a statement is as old as its receipt.
func (p *pile) source(needs policy.Needs) (func() (signer.Gathered, error), *evidence.Source) {
	p.t.Helper()
	s, err := evidence.New(evidence.Config{
		Registry: p.places, Receipts: p.places, Origin: origin, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Unix(int64(p.n)*3600+3600, 0) },
		Facts: func(ctx context.Context, digest attest.Digest, raw []byte) (policy.Fact, error) {
			f, err := facts(ctx, digest, raw)
			f.SignedAt = time.Unix(f.LogIndex*3600-1, 0)
			return f, err
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return func() (signer.Gathered, error) { return s.Gather(p.t.Context(), oci.Artifact{Digest: image}, needs) }, s
}

// TestBuriedEvidence: no number of newer statements of other kinds, of other
// scanners or about other things hides what somebody has attested.
func TestBuriedEvidence(t *testing.T) {
	p := newPile(t)
	sbom := p.add(spdxType, spdx)
	grype := p.add(vulnType, scanBy("grype"))
	for range 700 { // more than two pages, and than there ever were limits
		p.add(attest.PredicateSignature, "{}")
		p.add("https://example.com/notes", "{}")
		p.add(vulnType, scanBy("trivy"))
	}
	newest := int64(p.n)
	gather, _ := p.source(everything)
	got, err := gather()
	if err != nil || !slices.Equal(indexes(got), []int64{sbom, grype, newest}) {
		t.Fatalf("gathered %v, %v, want %d, %d and %d", indexes(got), err, sbom, grype, newest)
	}

	// What is too old to say anything is not read: a statement was made each hour.
	p.read = nil
	needs := everything
	needs.Ages = map[string]time.Duration{policy.EvidenceScan: 12 * time.Hour}
	gather, _ = p.source(needs)
	if got, err = gather(); err != nil || !slices.Equal(indexes(got), []int64{sbom, newest}) {
		t.Fatalf("gathered %v, %v", indexes(got), err)
	}
	if len(p.read) > 12 {
		t.Errorf("%d bundles were read for two documents", len(p.read))
	}
}

// TestNewerJunkIsReadPast: what counts for nothing does not end the search.
func TestNewerJunkIsReadPast(t *testing.T) {
	p := newPile(t)
	sbom := p.add(spdxType, spdx)
	for range 300 {
		p.add(spdxType, `{"spdxVersion": "SPDX-2.3"}`) // unreadable
	}
	gather, _ := p.source(everything)
	got, err := gather()
	if err != nil || !slices.Contains(indexes(got), sbom) || len(got.Documents) > 16 {
		t.Fatalf("gathered %v, %v, want %d", indexes(got), err, sbom)
	}
}

// TestLateReceipt: an intent that waited for the registry has its receipt last,
// and an old signature. What is newest is told by the log's time.
func TestLateReceipt(t *testing.T) {
	p := newPile(t)
	p.add(spdxType, spdx)
	newest := p.add(spdxType, spdx)
	all := p.receipts[image]
	all[0].SignedAt = all[1].SignedAt.Add(time.Hour) // given last
	slices.Reverse(all)
	gather, _ := p.source(everything)
	if got, err := gather(); err != nil || !slices.Equal(indexes(got), []int64{newest}) {
		t.Errorf("gathered %v, %v, want %d", indexes(got), err, newest)
	}
}

// TestReceiptByASlowClock: a statement whose server died has its receipt from
// another one, whose clock is behind, and so before its own proven time. As far
// as a time from ahead is believed (policy), it is looked for.
func TestReceiptByASlowClock(t *testing.T) {
	p := newPile(t)
	p.add(vulnType, scanBy("grype"))
	newest := p.add(vulnType, scanBy("grype"))
	all := p.receipts[image]
	all[1].SignedAt = all[1].SignedAt.Add(-14 * time.Minute)
	all[0].SignedAt = all[1].SignedAt.Add(time.Minute)
	s, err := evidence.New(evidence.Config{
		Registry: p.places, Receipts: p.places, Origin: origin, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Unix(3*3600, 0) },
		Facts: func(ctx context.Context, digest attest.Digest, raw []byte) (policy.Fact, error) {
			f, err := facts(ctx, digest, raw)
			if f.SignedAt = time.Unix(2*3600-1, 0); f.LogIndex != newest {
				f.SignedAt = time.Unix(2*3600-5*60, 0)
			}
			return f, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Gather(t.Context(), oci.Artifact{Digest: image}, everything); err != nil || !slices.Equal(indexes(got), []int64{newest}) {
		t.Errorf("gathered %v, %v, want %d", indexes(got), err, newest)
	}
}

// TestTooMuchEvidence: what is more than is looked at is an error that names the
// limit, for whoever signs that image; another image is none the worse.
func TestTooMuchEvidence(t *testing.T) {
	many := func(p *pile) {
		one := made{about: image, san: origin + "/attestor", index: 1, proves: true, document: vex, kind: vexType}
		r := receipt(t, one)
		for range 4097 {
			p.receipts[image] = append(p.receipts[image], r)
		}
	}
	heavy := func(p *pile) {
		p.large = 32 << 20
		for range 9 {
			p.receipts[image] = append(p.receipts[image], signer.Receipt{PredicateType: spdxType})
		}
	}
	types := func(p *pile) {
		for i := range signer.MaxReceiptTypes + 1 {
			p.receipts[image] = append(p.receipts[image], signer.Receipt{PredicateType: fmt.Sprint("type ", i), Attached: signer.Attached{Bundle: []byte("x")}})
		}
	}
	for name, fill := range map[string]func(*pile){"more than 4096 receipts": many, "more than 256 MiB of sbom": heavy, "more than 256 predicate types": types} {
		p := newPile(t)
		fill(p)
		m := made{about: platform, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType}
		p.receipts[platform] = []signer.Receipt{receipt(t, m)}
		gather, source := p.source(everything)
		var more *signer.TooMuchEvidence
		if got, err := gather(); !errors.As(err, &more) || !strings.Contains(err.Error(), name) || more.Digest != image || got.Release != nil {
			t.Errorf("%s: gathered %d, %v", name, len(got.Documents), err)
		}
		if got, err := source.Gather(t.Context(), oci.Artifact{Digest: platform}, everything); err != nil || len(got.Documents) != 1 {
			t.Errorf("%s, and about another image %d, %v", name, len(got.Documents), err)
		}
	}
}

// TestOneBundleAtATime: gathering large evidence, from many requests at the same
// time, holds a few bundles, not all of them.
func TestOneBundleAtATime(t *testing.T) {
	const size, many, requests = 8 << 20, 24, 8
	p := newPile(t)
	p.large = size
	for range many {
		p.receipts[image] = append(p.receipts[image], signer.Receipt{PredicateType: spdxType})
	}
	var mu sync.Mutex
	var most, reads uint64
	inUse := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	source, err := evidence.New(evidence.Config{
		Registry: p.places, Receipts: p.places, Origin: origin, Logger: slog.New(slog.DiscardHandler),
		Facts: func(_ context.Context, _ attest.Digest, raw []byte) (policy.Fact, error) {
			mu.Lock()
			defer mu.Unlock()
			if reads++; reads%8 == 0 {
				most = max(most, inUse())
			}
			runtime.KeepAlive(raw)
			// It lists nothing, so that all are read.
			return policy.Fact{
				PredicateType: spdxType, Bound: true, SAN: origin + "/attestor", Issuer: origin, SignedAt: time.Unix(1, 0), LogIndex: int64(reads),
				Predicate: []byte(`{"spdxVersion": "SPDX-2.3"}`),
			}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := inUse()
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			got, err := source.Gather(t.Context(), oci.Artifact{Digest: image}, everything)
			if err != nil {
				t.Error(err)
				return
			}
			got.Release()
		})
	}
	wg.Wait()
	if reads != many*requests {
		t.Errorf("%d bundles were verified", reads)
	}
	// Each holds one at the most, and room to read is there for three at a time.
	if held := most - min(before, most); held < size || held > 5*size {
		t.Errorf("%d gatherings of %d MiB each held %d MiB", requests, size*many>>20, held>>20)
	}
}

// TestKeptDocumentsWait: who keeps much has others wait until the decision is
// made, and those with little do not wait.
func TestKeptDocumentsWait(t *testing.T) {
	p := newPile(t)
	p.large = 12 << 20
	p.receipts[image] = []signer.Receipt{{PredicateType: vulnType}}
	m := made{about: platform, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType}
	p.receipts[platform] = []signer.Receipt{receipt(t, m)}
	source := p.places.source(t)
	var held []signer.Gathered
	for range 3 { // 48 MiB each
		got, err := source.Gather(t.Context(), oci.Artifact{Digest: image}, everything)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, got)
	}
	if got, err := source.Gather(t.Context(), oci.Artifact{Digest: platform}, everything); err != nil {
		t.Errorf("a small one: %v", err)
	} else {
		defer got.Release()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := source.Gather(ctx, oci.Artifact{Digest: image}, everything); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more did not wait: %v", err)
	}
	held[0].Release()
	held[0].Release()
	if _, err := source.Gather(t.Context(), oci.Artifact{Digest: image}, everything); err != nil {
		t.Error(err)
	}
}

// TestLargeDecisionsQueueAlone: whoever attests a lot about their own image, and
// asks for many decisions about it, makes nobody wait whose image is ordinary.
func TestLargeDecisionsQueueAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPile(t)
		p.large = 12 << 20
		p.receipts[image] = []signer.Receipt{{PredicateType: vulnType}}
		m := made{about: platform, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType}
		p.receipts[platform] = []signer.Receipt{receipt(t, m)}
		source := p.places.source(t)
		ctx, cancel := context.WithCancel(t.Context())
		const asked = 20
		got := make(chan error, asked)
		for range asked { // none gives its memory back
			go func() {
				_, err := source.Gather(ctx, oci.Artifact{Digest: image}, everything)
				got <- err
			}()
		}
		synctest.Wait()
		if len(got) != 3 {
			t.Fatalf("%d large decisions are made at a time", len(got))
		}
		for range 3 {
			if err := <-got; err != nil {
				t.Fatal(err)
			}
		}
		small, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		if found, err := source.Gather(small, oci.Artifact{Digest: platform}, everything); err != nil {
			t.Errorf("an ordinary one: %v", err)
		} else {
			found.Release()
		}
		cancel()
		for range asked - 3 {
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("another large one: %v", err)
			}
		}
	})
}
