// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/transparency-dev/tessera/client"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// tracker follows a log as a monitor with Tessera's client does: it remembers
// one checkpoint, and every later one must be proved to continue it.
type tracker struct {
	*client.LogStateTracker
	log *tlog.Log // whom to ask: any replica
}

// tile is Tessera's TileFetcherFunc over a log's read path.
func (tr *tracker) tile(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
	data, err := tr.log.Tile(ctx, int(level), int64(index), width(p))
	return data, asNotExist(err)
}

// bundle is Tessera's EntryBundleFetcherFunc.
func (tr *tracker) bundle(ctx context.Context, index uint64, p uint8) ([]byte, error) {
	data, err := tr.log.EntryBundle(ctx, int64(index), width(p))
	return data, asNotExist(err)
}

func (tr *tracker) checkpoint(ctx context.Context) ([]byte, error) { return tr.log.Checkpoint(ctx) }

func width(p uint8) int {
	if p == 0 {
		return tlog.TileWidth
	}
	return int(p)
}

func asNotExist(err error) error {
	if errors.Is(err, tlog.ErrNotFound) {
		return fmt.Errorf("%w: %w", os.ErrNotExist, err)
	}
	return err
}

// tessera asks for a third opinion on what a replica serves: that its
// checkpoint continues all before it, its leaf hashes and bundles are those of
// the entries, and Tessera's proofs verify and are the same as ours.
func (m *model) tessera(l *tlog.Log, entries []tlog.Entry, tree *recomputed) error {
	ctx, name, size := context.Background(), l.Row().Name, int64(len(entries))
	tr := m.trackers[name]
	if tr == nil {
		tr = &tracker{log: l}
		var err error
		consensus := client.UnilateralConsensus(tr.checkpoint)
		tr.LogStateTracker, err = client.NewLogStateTracker(ctx, tr.tile, nil, newVerifier(l), l.Origin(), consensus)
		if err != nil {
			return fmt.Errorf("track log %s: %w", name, err)
		}
		m.trackers[name] = tr
	}
	tr.log = l
	if _, _, _, err := tr.Update(ctx); err != nil {
		return fmt.Errorf("follow log %s: %w", name, err)
	}
	root, err := merkle.TreeHash(size, tree)
	if err != nil {
		return err
	}
	if latest := tr.Latest(); latest.Size != uint64(size) || !bytes.Equal(latest.Hash, root[:]) {
		return fmt.Errorf("log %s: Tessera has size %d and root %x, the entries have %d and %x", name, latest.Size, latest.Hash, size, root)
	}
	if size == 0 {
		return nil
	}
	if err := tr.entries(ctx, entries); err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	return m.proofs(ctx, tr, entries, root)
}

// entries compares leaf hashes and bundles.
func (tr *tracker) entries(ctx context.Context, entries []tlog.Entry) error {
	size := uint64(len(entries))
	hashes, err := client.FetchLeafHashes(ctx, tr.tile, 0, size, size)
	if err != nil {
		return err
	}
	var bodies [][]byte
	for n := uint64(0); n<<tlog.TileHeight < size; n++ {
		bundle, err := client.GetEntryBundle(ctx, tr.bundle, n, size)
		if err != nil {
			return err
		}
		bodies = append(bodies, bundle.Entries...)
	}
	if len(bodies) != len(entries) {
		return fmt.Errorf("bundles have %d entries of %d", len(bodies), size)
	}
	for i, e := range entries {
		if want := merkle.RecordHash(e.Body); !bytes.Equal(hashes[i], want[:]) || !bytes.Equal(bodies[i], e.Body) {
			return fmt.Errorf("entry %d is not what tiles and bundles say", i)
		}
	}
	return nil
}

// proofs compares inclusion proofs of some entries, and consistency proofs from
// some of the trees that were served.
func (m *model) proofs(ctx context.Context, tr *tracker, entries []tlog.Entry, root tlog.Hash) error {
	size := int64(len(entries))
	builder, err := client.NewProofBuilder(ctx, uint64(size), tr.tile)
	if err != nil {
		return err
	}
	for _, index := range slices.Compact([]int64{0, size / 3, size / 2, size - 1}) {
		theirs, err := builder.InclusionProof(ctx, uint64(index))
		if err != nil {
			return err
		}
		_, in, err := tr.log.Entry(ctx, index)
		if err != nil {
			return err
		}
		if !slices.Equal(in.Proof, asHashes(theirs)) {
			return fmt.Errorf("inclusion of entry %d of %d: our proof is not Tessera's", index, size)
		}
		if err := merkle.CheckRecord(asHashes(theirs), size, root, index, merkle.RecordHash(entries[index].Body)); err != nil {
			return err
		}
	}
	served := m.served[tr.log.Row().Name]
	sizes := slices.Sorted(maps.Keys(served))
	for _, older := range []int64{sizes[0], sizes[len(sizes)/3], sizes[len(sizes)/2], sizes[max(0, len(sizes)-2)]} {
		if older == 0 {
			continue
		}
		theirs, err := builder.ConsistencyProof(ctx, uint64(older), uint64(size))
		if err != nil {
			return err
		}
		ours, err := tr.log.ProveConsistency(ctx, older, size)
		if err != nil {
			return err
		}
		if !slices.Equal(ours, asHashes(theirs)) {
			return fmt.Errorf("consistency of %d and %d: our proof is not Tessera's", older, size)
		}
		if err := merkle.CheckTree(ours, size, root, older, served[older]); err != nil {
			return err
		}
	}
	return nil
}

func asHashes(proof [][]byte) []tlog.Hash {
	var hashes []tlog.Hash
	for _, h := range proof {
		hashes = append(hashes, tlog.Hash(h))
	}
	return hashes
}

// verifier is a note.Verifier written from the Rekor format alone: ECDSA over
// SHA-256, and a hint that is the beginning of the key's SHA-256.
type verifier struct {
	name string
	hint uint32
	key  *ecdsa.PublicKey
}

func newVerifier(l *tlog.Log) *verifier {
	key := l.PublicKey().(*ecdsa.PublicKey) //nolint:errcheck,forcetypeassert // the model makes no others
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	id := sha256.Sum256(der)
	name, _, _ := strings.Cut(l.Origin(), " - ")
	return &verifier{name: name, hint: binary.BigEndian.Uint32(id[:]), key: key}
}

// Name implements note.Verifier.
func (v *verifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v *verifier) KeyHash() uint32 { return v.hint }

// Verify implements note.Verifier.
func (v *verifier) Verify(msg, sig []byte) bool {
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, digest[:], sig)
}
