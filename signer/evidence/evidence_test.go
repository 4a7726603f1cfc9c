// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/evidence"
)

const (
	origin   = "https://hallmark.example"
	spdxType = "https://spdx.dev/Document"
	spdx     = `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}]}`
)

var (
	image    = attest.DigestOf([]byte("image"))
	platform = attest.DigestOf([]byte("platform"))
)

// made is a bundle in a form that the test's verifier understands: what it
// would prove, with the statement as its real payload.
type made struct {
	about    attest.Digest
	san      string
	index    int64
	proves   bool
	document string
	kind     string
	stamp    []byte // its length is the time
}

// bundle is a real encoding; its certificate and proof are not looked at here.
func (m made) bundle(t *testing.T) []byte {
	t.Helper()
	st, err := attest.NewStatement(m.about, m.kind, []byte(m.document))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := st.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := attest.Bundle{
		Payload: payload, Signature: []byte{1}, KeyHint: fmt.Sprintf("%s %t", m.san, m.proves), Timestamp: m.stamp,
		Entry: attest.LogEntry{
			LogIndex: m.index, ProofIndex: m.index, LogID: []byte{1}, Kind: "hashedrekord", Version: "0.0.2", TreeSize: m.index + 1, RootHash: make([]byte, 32),
			Checkpoint: "c", CanonicalizedBody: []byte(`{"apiVersion":"0.0.2","kind":"hashedrekord"}`),
		},
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// facts is the test's verifier.
func facts(_ context.Context, digest attest.Digest, raw []byte) (policy.Fact, error) {
	b, err := attest.ParseBundle(raw)
	if err != nil {
		return policy.Fact{}, err
	}
	san, proves, _ := strings.Cut(b.KeyHint, " ")
	st, err := attest.ParseStatement(b.Payload)
	if err != nil || proves != "true" || !st.Binds(digest) {
		return policy.Fact{}, errors.New("proves nothing")
	}
	issuer, _, _ := strings.Cut(san, "/attestor")
	return policy.Fact{
		PredicateType: st.PredicateType, Bound: true, SAN: san, Issuer: issuer, SignedAt: time.Unix(1+int64(len(b.Timestamp)), 0), LogIndex: b.Entry.LogIndex, LogID: "01",
		Bundle: string(attest.DigestOf(raw)), Predicate: st.Predicate,
	}, nil
}

// places are the registry and the store.
type places struct {
	attached       map[attest.Digest][][]byte
	receipts       map[attest.Digest][]signer.Receipt // oldest first
	large          int                                // bytes of the bundle of receipts that have none
	bundlesDown    error
	readsDown      error
	receiptsDown   error
	platforms      []oci.Artifact
	platformsAsked int
	kin            []attest.Digest // that everything is next of kin of
	kinDown        error

	mu     sync.Mutex // guards what follows
	read   []string   // ids of receipts whose bundles were read
	pulled int        // bundles from the registry
	asked  int        // for relatives
}

func (p *places) ListBundles(_ context.Context, a oci.Artifact) ([]oci.ListedBundle, error) {
	var found []oci.ListedBundle
	for _, b := range p.attached[a.Digest] {
		found = append(found, oci.ListedBundle{Blob: attest.DigestOf(b), Size: int64(len(b))})
	}
	if p.bundlesDown != nil {
		return nil, p.bundlesDown
	}
	return found, nil
}

func (p *places) ReadBundle(_ context.Context, a oci.Artifact, l oci.ListedBundle) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulled++
	for _, b := range p.attached[a.Digest] {
		if attest.DigestOf(b) == l.Blob {
			return b, p.readsDown
		}
	}
	return nil, oci.ErrNotFound
}

func (p *places) Relatives(_ context.Context, _ oci.Artifact, named []attest.Digest) (kin []attest.Digest, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	for _, one := range p.kin {
		if slices.Contains(named, one) {
			kin = append(kin, one)
		}
	}
	return kin, p.kinDown
}

func (p *places) Images(context.Context, oci.Artifact) ([]oci.PlatformImage, error) {
	p.platformsAsked++
	var images []oci.PlatformImage
	for _, a := range p.platforms {
		images = append(images, oci.PlatformImage{Artifact: a, Platform: "linux/amd64", Others: []string{"linux/arm64"}})
	}
	return images, nil
}

func (p *places) ReceiptTypes(_ context.Context, d attest.Digest) ([]string, error) {
	var types []string
	for _, r := range p.receipts[d] {
		if !slices.Contains(types, r.PredicateType) {
			types = append(types, r.PredicateType)
		}
	}
	return types, p.receiptsDown
}

func (p *places) ReceiptPage(_ context.Context, q signer.ReceiptQuery) ([]signer.ReceiptOutline, error) {
	var page []signer.ReceiptOutline
	all := p.receipts[q.Digest]
	for i := len(all) - 1; i >= 0 && len(page) < q.Page(); i-- {
		seq := int64(i) + 1
		if (q.Before == 0 || seq < q.Before) && slices.Contains(q.Types, all[i].PredicateType) {
			o := signer.ReceiptOutline{Seq: seq, Finished: all[i].SignedAt}
			o.Receipt, o.Size = signer.OutlineOf(all[i])
			if all[i].Bundle == nil {
				o.Size = int64(p.large)
			}
			o.ID = fmt.Sprint(q.Digest, " ", seq)
			page = append(page, o)
		}
	}
	return page, p.receiptsDown
}

func (p *places) Receipt(context.Context, string) (signer.Receipt, error) {
	return signer.Receipt{}, errors.New("the whole receipt is not asked for here")
}

func (p *places) ReceiptBundle(_ context.Context, id string) ([]byte, error) {
	p.mu.Lock()
	p.read = append(p.read, id)
	p.mu.Unlock()
	digest, number, _ := strings.Cut(id, " ")
	seq, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	if b := p.receipts[attest.Digest(digest)][seq-1].Bundle; b != nil {
		return b, nil
	}
	return make([]byte, p.large), nil
}

func (p *places) source(t *testing.T) *evidence.Source {
	t.Helper()
	s, err := evidence.New(evidence.Config{
		Registry: p, Receipts: p, Origin: origin, Logger: slog.New(slog.DiscardHandler), Clock: func() time.Time { return time.Unix(1<<20, 0) },
		Facts: facts,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything is what the gates of these tests need.
var everything = policy.Needs{
	Evidence: true, Kinds: []string{policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceTest, policy.EvidenceVEX},
	Ages: map[string]time.Duration{policy.EvidenceScan: 366 * 24 * time.Hour}, // which every gate has, of scans
}

func (p *places) gather(t *testing.T, platforms bool) (signer.Gathered, error) {
	t.Helper()
	needs := everything
	needs.Platforms = platforms
	return p.source(t).Gather(t.Context(), oci.Artifact{Digest: image, Kind: oci.KindIndex}, needs)
}

// indexes are the log indexes of what was gathered, sorted.
func indexes(g signer.Gathered) []int64 {
	var all []int64
	for _, d := range g.Documents {
		all = append(all, d.LogIndex)
	}
	slices.Sort(all)
	return all
}

// receipt is given for a bundle at the time that it proves.
func receipt(t *testing.T, m made) signer.Receipt {
	t.Helper()
	b := m.bundle(t)
	return signer.Receipt{
		PredicateType: m.kind, SignedAt: time.Unix(1+int64(len(m.stamp)), 0),
		Attached: signer.Attached{LogIndex: m.index, LogID: "01", BundleDigest: attest.DigestOf(b), Bundle: b},
	}
}

// Only what the attestor has proven about the digest counts, from either place,
// each entry once.
func TestGather(t *testing.T) {
	good := func(index int64) made {
		return made{about: image, san: origin + "/attestor", index: index, proves: true, document: spdx, kind: spdxType}
	}
	change := func(m made, f func(*made)) made { f(&m); return m }
	p := &places{attached: map[attest.Digest][][]byte{}, receipts: map[attest.Digest][]signer.Receipt{}}
	both := good(1).bundle(t)
	p.receipts[image] = []signer.Receipt{
		receipt(t, good(1)), receipt(t, good(2)),
		receipt(t, change(good(3), func(m *made) { m.kind, m.document = attest.PredicateSignature, "{}" })),
	}
	p.attached[image] = [][]byte{
		both, good(4).bundle(t), []byte("junk"), json.RawMessage(`{}`),
		change(good(5), func(m *made) { m.proves = false }).bundle(t),
		change(good(6), func(m *made) { m.san = "https://github.com/acme/app" }).bundle(t),
		change(good(7), func(m *made) { m.san = "https://elsewhere.example/attestor" }).bundle(t),
		change(good(8), func(m *made) { m.about = platform }).bundle(t),
		change(good(9), func(m *made) { m.kind, m.document = attest.PredicateSignature, "{}" }).bundle(t),
		change(good(10), func(m *made) { m.document = `{"spdxVersion": "SPDX-2.3"}` }).bundle(t), // unreadable, and says so
	}
	got, err := p.gather(t, false)
	// Of those that count the newest, and what a refusal has to name.
	if err != nil || !slices.Equal(indexes(got), []int64{4, 10}) || p.platformsAsked != 0 {
		t.Fatalf("gathered %v, %v", indexes(got), err)
	}
	if p.pulled != len(p.attached[image])-1 {
		t.Errorf("%d bundles were read from the registry, of %d one is in the store", p.pulled, len(p.attached[image]))
	}
	for _, d := range got.Documents {
		if (d.Problem != "") != (d.LogIndex == 10) || d.Digest != string(image) || d.Kind != policy.EvidenceSBOM || d.Bundle == "" {
			t.Errorf("document %+v", d)
		}
	}
}

// stampOf has the form of a TimeStampResp.
func stampOf(t *testing.T, size int) []byte {
	t.Helper()
	stamp, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  struct{ Hash []byte }
	}{Token: struct{ Hash []byte }{make([]byte, size)}})
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}

// A statement is as old as its first timestamp: whoever puts a new one around an
// old report does not make it the newest.
func TestStampedAgain(t *testing.T) {
	m := made{about: image, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType, stamp: stampOf(t, 10)}
	old, first := m, m.bundle(t)
	m.stamp = stampOf(t, 20)
	p := &places{
		receipts: map[attest.Digest][]signer.Receipt{image: {receipt(t, old)}}, attached: map[attest.Digest][][]byte{image: {m.bundle(t)}},
	}
	for _, places := range []*places{p, {attached: map[attest.Digest][][]byte{image: {m.bundle(t), first}}}} {
		got, err := places.gather(t, false)
		if err != nil || len(got.Documents) != 1 || got.Documents[0].At.Unix() != 1+int64(len(stampOf(t, 10))) || got.Documents[0].Bundle != string(attest.DigestOf(first)) {
			t.Fatalf("gathered %+v, %v", got, err)
		}
	}
}

func TestPlatforms(t *testing.T) {
	m := made{about: platform, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType}
	p := &places{
		platforms: []oci.Artifact{{Digest: platform, Kind: oci.KindImage}}, receipts: map[attest.Digest][]signer.Receipt{platform: {receipt(t, m)}},
	}
	got, err := p.gather(t, true)
	if err != nil || !slices.Equal(got.Platforms, []string{string(platform)}) || len(got.Documents) != 1 || got.Documents[0].Digest != string(platform) ||
		!slices.Equal(got.PlatformNames[string(platform)], []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("gathered %+v, %v", got, err)
	}
}

// Too much on an artifact, or what cannot be read, stops nobody; a place that
// does not answer does.
func TestFloodOfReferrers(t *testing.T) {
	m := made{about: image, san: origin + "/attestor", index: 1, proves: true, document: spdx, kind: spdxType}
	for _, tc := range []struct {
		bundles, receipts error
		fails             bool
	}{
		{fmt.Errorf("list: %w", oci.ErrTooMany), nil, false},
		{fmt.Errorf("list: %w", oci.ErrTooLarge), nil, false},
		{fmt.Errorf("referrers tag: %w: not an index", oci.ErrBadManifest), nil, false},
		{fmt.Errorf("bundle of another size than its manifest says: %w", oci.ErrDigestMismatch), nil, false},
		{fmt.Errorf("bundle that is not there: %w", oci.ErrNotFound), nil, false},
		{fmt.Errorf("list: %w", oci.ErrUnavailable), nil, true},
		{oci.ErrDenied, nil, true},
		{nil, errors.New("the database is down"), true},
	} {
		p := &places{bundlesDown: tc.bundles, receiptsDown: tc.receipts, receipts: map[attest.Digest][]signer.Receipt{image: {receipt(t, m)}}}
		got, err := p.gather(t, false)
		if (err != nil) != tc.fails || (!tc.fails && len(got.Documents) != 1) {
			t.Errorf("%v, %v: gathered %+v, %v", tc.bundles, tc.receipts, got, err)
		}
	}
}

func TestIncompleteConfig(t *testing.T) {
	if _, err := evidence.New(evidence.Config{Origin: origin}); err == nil {
		t.Error("a source without a verifier was made")
	}
}
