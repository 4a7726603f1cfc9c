// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxReceipts bounds the receipts of evidence about one digest: five scans a
	// day by two scanners for a year. The registry may list fewer bundles of it
	// (package oci); what this service has attested is read from its own store.
	maxReceipts = 4096
	// maxRead bounds the bytes of bundles that are read of one digest: the SBOM,
	// scans and VEX documents that decide, or those that cannot be read and are
	// newer than what decides.
	maxRead = 256 << 20
	// clockSkew is how far the clocks of timestamp authority, logs, database and
	// replicas may be apart, or one was set back: who finishes what another one has
	// signed gives a receipt from before the signature. As far ahead a time is
	// believed (verifier.FutureTolerance, and policy's), so that beyond it a
	// statement does not count anyway.
	clockSkew = 15 * time.Minute
)

// place is what there is about one digest.
type place struct {
	subject  oci.Artifact
	receipts []receipt
	attached []oci.ListedBundle // beside those of receipts
	known    map[logged]bool
}

// receipt is what is remembered of one until its bundle is read.
type receipt struct {
	id       string
	kinds    []string // that its document can be of
	finished time.Time
	seq      int64
	size     int64
}

// keeps is how many bytes its document may take.
func (r receipt) keeps() int64 {
	numbers := func(kind string) bool {
		return kind == policy.EvidenceSBOM || kind == policy.EvidenceTest || kind == policy.EvidenceProvenance
	}
	if !slices.ContainsFunc(r.kinds, func(kind string) bool { return !numbers(kind) }) {
		return 4 << 10 // a few numbers, or why it cannot be read
	}
	return keptCost*r.size + small
}

// logged is a place in a log.
type logged struct {
	log   string
	index int64
}

// gathering is one call of Gather.
type gathering struct {
	*Source
	room int64 // that documents may take

	mu    sync.Mutex // guards sieve
	sieve *policy.Sieve

	kin sync.Map // of what relatives has answered
}

// relatives asks the registry which of the digests are the subject's next of kin,
// and remembers the answer: the reports of one pipeline name the same.
func (g *gathering) relatives(ctx context.Context, subject oci.Artifact, named []attest.Digest) ([]attest.Digest, error) {
	key := fmt.Sprint(subject.Digest, named)
	if known, ok := g.kin.Load(key); ok {
		kin, _ := known.([]attest.Digest) // nothing else is in it
		return kin, nil
	}
	kin, err := g.cfg.Registry.Relatives(ctx, subject, named)
	if err != nil {
		return nil, fmt.Errorf("look up what a report of %s is about: %w", subject, err)
	}
	g.kin.Store(key, kin)
	return kin, nil
}

// list finds what there is about a digest. Receipts are listed to the last one,
// and bundles in the registry are left out that receipts are about.
func (g *gathering) list(ctx context.Context, subject oci.Artifact, kinds []string) (place, error) {
	p := place{subject: subject, known: map[logged]bool{}}
	ours := map[attest.Digest]bool{}
	types, err := g.types(ctx, subject.Digest, kinds)
	if err != nil {
		return p, err
	}
	if len(types) > 0 {
		query := signer.ReceiptQuery{Digest: subject.Digest, Types: types}
		err := signer.WalkReceipts(ctx, g.cfg.Receipts, query, maxReceipts, func(r signer.ReceiptOutline) error {
			p.receipts = append(p.receipts, receipt{
				id: r.ID, kinds: document.Kinds(r.PredicateType), finished: r.Finished, seq: r.Seq, size: r.Size,
			})
			for _, a := range append([]signer.Attached{r.Attached}, r.Others...) {
				p.known[logged{a.LogID, a.LogIndex}] = true
				ours[a.BundleDigest] = true
			}
			return nil
		})
		if err != nil {
			return p, err
		}
	}
	// The newest first: no proof of a time is from after its receipt.
	slices.SortStableFunc(p.receipts, func(a, b receipt) int { return cmp.Or(b.finished.Compare(a.finished), cmp.Compare(b.seq, a.seq)) })
	attached, err := g.cfg.Registry.ListBundles(ctx, subject)
	switch {
	case isJunk(err):
		g.junk(ctx, subject, err)
	case err != nil:
		return p, err
	}
	for _, b := range attached {
		if !ours[b.Blob] {
			p.attached = append(p.attached, b)
		}
	}
	return p, nil
}

// types are the predicate types of evidence of some kinds that there are
// receipts of.
func (g *gathering) types(ctx context.Context, digest attest.Digest, kinds []string) ([]string, error) {
	all, err := g.cfg.Receipts.ReceiptTypes(ctx, digest)
	if err != nil {
		return nil, err
	}
	if len(all) > signer.MaxReceiptTypes {
		return nil, &signer.TooMuchEvidence{Digest: digest, Limit: fmt.Sprintf("receipts of more than %d predicate types", signer.MaxReceiptTypes)}
	}
	return slices.DeleteFunc(all, func(t string) bool {
		return !slices.ContainsFunc(document.Kinds(t), func(kind string) bool { return slices.Contains(kinds, kind) })
	}), nil
}

// junk says that something in the registry is not looked at. Anybody who may
// push can attach too much, and what cannot be read. It must not keep others
// from signing, and hides nothing: what we attested is in the store.
func (g *gathering) junk(ctx context.Context, subject oci.Artifact, err error) {
	g.cfg.Logger.WarnContext(ctx, "what is attached to an artifact cannot be used, evidence is taken from the rest and the store", "artifact", subject.String(), "error", err)
}

// isJunk tells what somebody has pushed from a registry that does not answer:
// too much, a list that is none, a bundle of another size or without its bytes.
func isJunk(err error) bool {
	for _, junk := range []error{oci.ErrTooMany, oci.ErrTooLarge, oci.ErrBadManifest, oci.ErrDigestMismatch, oci.ErrNotFound} {
		if errors.Is(err, junk) {
			return true
		}
	}
	return false
}

// read reads bundles until no other one can change the decision.
func (g *gathering) read(ctx context.Context, p place) error {
	if err := g.readAttached(ctx, p); err != nil {
		return err
	}
	// The kinds side by side: of each, one bundle is in memory.
	kinds := map[string][]receipt{}
	for _, r := range p.receipts {
		kind := strings.Join(r.kinds, " or ")
		kinds[kind] = append(kinds[kind], r)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, receipts := range kinds {
		group.Go(func() error { return g.readReceipts(ctx, p.subject, receipts) })
	}
	return group.Wait()
}

// readAttached reads what hangs on the artifact and is of no receipt. Of one log
// entry the earliest counts: anybody may have another timestamp made of the
// same signature while its certificate lives, so that it looks newer than what
// has taken it back since. For the same reason nothing here counts that the
// store has the entry of.
func (g *gathering) readAttached(ctx context.Context, p place) error {
	earliest := map[logged]policy.Document{}
	for _, b := range p.attached {
		d, ok, err := g.document(ctx, p.subject, b.Size, string(b.Blob), func() ([]byte, error) {
			raw, err := g.cfg.Registry.ReadBundle(ctx, p.subject, b)
			switch {
			case isJunk(err):
				g.junk(ctx, p.subject, err)
				return nil, nil
			case err == nil && !isEvidence(raw):
				return nil, nil
			}
			return raw, err
		})
		if err != nil {
			return err
		}
		at := logged{d.LogID, d.LogIndex}
		if !ok || p.known[at] {
			continue
		}
		if first, again := earliest[at]; !again || d.At.Before(first.At) {
			earliest[at] = d
		}
	}
	for _, d := range earliest {
		if err := g.add(p.subject.Digest, d); err != nil {
			return err
		}
	}
	return nil
}

// readReceipts reads the bundles of receipts of one kind, newest first.
func (g *gathering) readReceipts(ctx context.Context, subject oci.Artifact, receipts []receipt) error {
	digest := subject.Digest
	var read int64
	for _, r := range receipts {
		if !g.wants(r, digest) {
			continue // nor the ones behind it, unless clocks are further apart
		}
		if read += r.size; read > maxRead {
			return &signer.TooMuchEvidence{Digest: digest, Limit: fmt.Sprintf("more than %d MiB of %s evidence would have to be read", maxRead>>20, strings.Join(r.kinds, " or "))}
		}
		d, ok, err := g.document(ctx, subject, r.size, "of receipt "+r.id, func() ([]byte, error) { return g.cfg.Receipts.ReceiptBundle(ctx, r.id) })
		if err != nil {
			return err
		}
		if ok {
			if err := g.add(digest, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// wants says whether a receipt may change the decision.
func (g *gathering) wants(r receipt, digest attest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(r.kinds, func(kind string) bool { return g.sieve.Wants(kind, string(digest), r.finished.Add(clockSkew)) })
}

func (g *gathering) add(digest attest.Digest, d policy.Document) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sieve.Add(d); g.sieve.Size() > g.room {
		return &signer.TooMuchEvidence{Digest: digest, Limit: fmt.Sprintf("what is read of it takes more than %d KiB of memory", g.room>>10)}
	}
	return nil
}

// document reads one bundle and returns what it proves. A bundle that proves
// nothing about the digest is somebody's junk, and no reason not to decide; so
// is one that there is none of, nil.
func (g *gathering) document(ctx context.Context, subject oci.Artifact, size int64, name string, read func() ([]byte, error)) (policy.Document, bool, error) {
	release, err := g.forReading(ctx, size)
	if err != nil {
		return policy.Document{}, false, err
	}
	defer release()
	raw, err := read()
	if err != nil || raw == nil {
		return policy.Document{}, false, err
	}
	digest := subject.Digest
	fact, err := g.cfg.Facts(ctx, digest, raw)
	switch {
	case ctx.Err() != nil:
		return policy.Document{}, false, ctx.Err()
	case err != nil:
		g.cfg.Logger.DebugContext(ctx, "a bundle proves nothing", "artifact", string(digest), "bundle", name, "error", err)
		return policy.Document{}, false, nil
	case fact.SAN != signer.AttestorSAN(g.cfg.Origin) || fact.Issuer != g.cfg.Origin:
		return policy.Document{}, false, nil // somebody else's word
	}
	return document.OfRelated(fact, digest, func(named []attest.Digest) ([]attest.Digest, error) { return g.relatives(ctx, subject, named) })
}

// isEvidence looks into a bundle before it is verified, which costs more: most
// of what hangs on an artifact are signatures.
func isEvidence(bundle []byte) bool {
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		return false
	}
	var st struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	return json.Unmarshal(b.Payload, &st) == nil && attest.IsEvidence(st.PredicateType)
}
