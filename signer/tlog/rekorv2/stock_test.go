// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/client/read"
	"github.com/sigstore/rekor-tiles/v2/pkg/client/write"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	rekorverify "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	tessera "github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	merkle "golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

func asInvalid(err error, target **rekorv2.Invalid) bool { return errors.As(err, target) }

// client is the stock write client.
func (e *env) client() write.Client {
	e.Helper()
	c, err := write.NewWriter(e.url)
	if err != nil {
		e.Fatal(err)
	}
	return c
}

// sigstoreVerifier is the log's key as the stock clients take it.
func (e *env) sigstoreVerifier() signature.Verifier {
	e.Helper()
	v, err := signature.LoadDefaultVerifier(e.key.Public())
	if err != nil {
		e.Fatal(err)
	}
	return v
}

// noteVerifier is the stock note verifier.
func (e *env) noteVerifier() note.Verifier {
	e.Helper()
	v, err := rekornote.NewNoteVerifier(origin, e.sigstoreVerifier())
	if err != nil {
		e.Fatal(err)
	}
	return v
}

// ed25519Log makes the log's key an Ed25519 one.
func ed25519Log(t testing.TB) func(*tlog.Config, *writers.Config) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *tlog.Config, _ *writers.Config) { cfg.Signer = key }
}

// bothKeys runs a test with either kind of log key.
func bothKeys(t *testing.T, test func(t *testing.T, e *env)) {
	t.Run("ECDSA log", func(t *testing.T) { test(t, newEnv(t, nil)) })
	t.Run("Ed25519 log", func(t *testing.T) { test(t, newEnv(t, ed25519Log(t))) })
}

func TestStockWriteClient(t *testing.T) {
	bothKeys(t, func(t *testing.T, e *env) {
		index := int64(0)
		for _, w := range signers(t) {
			for _, withCert := range []bool{false, true} {
				req := w.request(t, fmt.Sprintf("artifact of %s, %v", w.name, withCert))
				if withCert {
					req = w.withCertificate(t, req, 0)
				}
				first, err := e.client().Add(t.Context(), req)
				if err != nil {
					t.Fatalf("%s: %v", w.name, err)
				}
				e.verifyEntry(req, first, index)
				again, err := e.client().Add(t.Context(), req)
				if err != nil {
					t.Fatalf("%s, again: %v", w.name, err)
				}
				e.verifyEntry(req, again, index)
				index++
			}
		}
		if e.log.Size() != index {
			t.Errorf("%d entries, want %d", e.log.Size(), index)
		}
		if _, id, err := rekornote.KeyHash(origin, e.key.Public()); err != nil || !bytes.Equal(id, e.log.ID()) {
			t.Errorf("log id %x, upstream's is %x, %v", e.log.ID(), id, err)
		}
	})
}

// verifyEntry checks an answer with rekor-tiles' verifier, from the answer
// alone and from the request alone.
func (e *env) verifyEntry(req *pb.HashedRekordRequestV002, got *rekorv1.TransparencyLogEntry, index int64) {
	e.Helper()
	v := e.noteVerifier()
	if err := rekorverify.VerifyLogEntry(got, v); err != nil {
		e.Errorf("verify entry %d: %v", index, err)
	}
	leaf, err := hashedrekord.ToEntryHash(req.Digest, req.Signature)
	if err != nil {
		e.Fatal(err)
	}
	if err := rekorverify.VerifyLogEntryWithHash(got, v, leaf); err != nil {
		e.Errorf("verify entry %d against the request: %v", index, err)
	}
	if got.LogIndex != index || got.InclusionProof.LogIndex != index || got.IntegratedTime != 0 || got.InclusionPromise != nil ||
		got.KindVersion.Kind != "hashedrekord" || got.KindVersion.Version != "0.0.2" {
		e.Errorf("entry %d: %v", index, got)
	}
}

// sigstore-go signs with the log and verifies the bundle, key mode: a message
// and a DSSE envelope.
func TestSigstoreGo(t *testing.T) {
	bothKeys(t, func(t *testing.T, e *env) {
		keypair, err := sign.NewEphemeralKeypair(nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]sign.Content{
			"message": &sign.PlainData{Data: []byte("artifact")},
			"dsse": &sign.DSSEData{
				Data:        []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + fmt.Sprintf("%x", sha256.Sum256([]byte("artifact"))) + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`),
				PayloadType: "application/vnd.in-toto+json",
			},
		} {
			made, err := sign.Bundle(content, keypair, sign.BundleOptions{
				TransparencyLogs: []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: e.url, Version: 2})},
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b, err := bundle.NewBundle(made)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := e.sigstoreGo(keypair).check(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			// The verification must be able to fail.
			b.VerificationMaterial.TlogEntries[0].InclusionProof.RootHash[0] ^= 1
			b.VerificationMaterial.TlogEntries[0].CanonicalizedBody[0] ^= 1
			if proof := b.VerificationMaterial.TlogEntries[0].InclusionProof; len(proof.Hashes) > 0 {
				proof.Hashes[0][0] ^= 1
			} else {
				proof.LogIndex++
			}
			if err := e.sigstoreGo(keypair).check(b); err == nil {
				t.Errorf("%s: a wrong proof passes", name)
			}
		}
	})
}

type bundleChecker struct {
	verifier *verify.Verifier
	policy   verify.PolicyBuilder
}

func (c bundleChecker) check(b *bundle.Bundle) error {
	_, err := c.verifier.Verify(b, c.policy)
	return err
}

func (e *env) sigstoreGo(keypair *sign.EphemeralKeypair) bundleChecker {
	e.Helper()
	start := time.Now().Add(-time.Hour)
	logs := map[string]*root.TransparencyLog{
		fmt.Sprintf("%x", e.log.ID()): {
			BaseURL: "https://" + origin, ID: e.log.ID(), ValidityPeriodStart: start,
			HashFunc: crypto.SHA256, PublicKey: e.key.Public(), SignatureHashFunc: crypto.SHA256,
		},
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, nil, logs)
	if err != nil {
		e.Fatal(err)
	}
	signer, err := signature.LoadDefaultVerifier(keypair.GetPublicKey())
	if err != nil {
		e.Fatal(err)
	}
	keys := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(signer, start, time.Time{}), nil
	})
	v, err := verify.NewVerifier(root.TrustedMaterialCollection{trusted, keys}, verify.WithTransparencyLog(1), verify.WithNoObserverTimestamps())
	if err != nil {
		e.Fatal(err)
	}
	return bundleChecker{v, verify.NewPolicy(verify.WithArtifact(bytes.NewReader([]byte("artifact"))), verify.WithKey())}
}

// fill appends entries from many goroutines.
func (e *env) fill(from, to int) {
	e.Helper()
	const goroutines = 64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := from + g; i < to; i += goroutines {
				if _, err := e.log.Append(context.Background(), tlog.Leaf{Body: binary.BigEndian.AppendUint64(nil, uint64(i))}); err != nil {
					e.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestStockReadClient(t *testing.T) {
	bothKeys(t, func(t *testing.T, e *env) {
		e.fill(0, 700)
		for _, prefix := range []string{"", "/api/v2"} {
			c, err := read.NewReader(e.url+prefix, origin, e.sigstoreVerifier())
			if err != nil {
				t.Fatal(err)
			}
			cp, _, err := c.ReadCheckpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if cp.Size != 700 || cp.Origin != origin {
				t.Errorf("checkpoint %+v", cp)
			}
			full, err := c.ReadTile(t.Context(), 0, 1, 0)
			if err != nil || len(full) != 8192 {
				t.Errorf("full tile: %d bytes, %v", len(full), err)
			}
			partial, err := c.ReadTile(t.Context(), 0, 2, 700-512)
			if err != nil || len(partial) != 32*(700-512) {
				t.Errorf("partial tile: %d bytes, %v", len(partial), err)
			}
			upper, err := c.ReadTile(t.Context(), 1, 0, 2)
			if err != nil || len(upper) != 64 {
				t.Errorf("upper tile: %d bytes, %v", len(upper), err)
			}
			entries, err := c.ReadEntryBundle(t.Context(), 0, 0)
			if err != nil || len(entries) != 256*(2+8) {
				t.Errorf("entry bundle: %d bytes, %v", len(entries), err)
			}
			if _, err := c.ReadTile(t.Context(), 0, 3, 0); err == nil {
				t.Error("a tile beyond the checkpoint is served")
			}
		}
	})
}

// httpLog reads a log over HTTP: as a tlog.Source and as x/mod's TileReader.
type httpLog struct {
	*tiles.Client
	t testing.TB
}

func (e *env) reader(prefix string) *httpLog {
	e.Helper()
	c, err := tiles.NewClient(e.url+prefix, nil)
	if err != nil {
		e.Fatal(err)
	}
	return &httpLog{c, e}
}

func (h *httpLog) Height() int                       { return 8 }
func (h *httpLog) SaveTiles([]merkle.Tile, [][]byte) {}
func (h *httpLog) ReadTiles(tiles []merkle.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if data[i], err = h.Tile(h.t.Context(), tile.L, tile.N, tile.W); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// Tessera's client reads both prefixes, and its proofs are ours.
func TestTesseraClient(t *testing.T) {
	bothKeys(t, func(t *testing.T, e *env) {
		const size = 700
		e.fill(0, size)
		for _, prefix := range []string{"/", "/api/v2/"} {
			base, err := url.Parse(e.url + prefix)
			if err != nil {
				t.Fatal(err)
			}
			f, err := tessera.NewHTTPFetcher(base, nil)
			if err != nil {
				t.Fatal(err)
			}
			cp, _, _, err := tessera.FetchCheckpoint(t.Context(), f.ReadCheckpoint, e.noteVerifier(), origin)
			if err != nil || cp.Size != size {
				t.Fatalf("%+v, %v", cp, err)
			}
			proofs, err := tessera.NewProofBuilder(t.Context(), cp.Size, f.ReadTile)
			if err != nil {
				t.Fatal(err)
			}
			for _, index := range []uint64{0, 255, 256, 511, 512, size - 1} {
				theirs, err := proofs.InclusionProof(t.Context(), index)
				if err != nil {
					t.Fatal(err)
				}
				ours, err := e.log.Prove(t.Context(), int64(index))
				var hashes [][]byte
				for i := range ours.Proof {
					hashes = append(hashes, ours.Proof[i][:])
				}
				if err != nil || fmt.Sprint(theirs) != fmt.Sprint(hashes) {
					t.Errorf("proof of entry %d differs: %v", index, err)
				}
			}
			bundle, err := tessera.GetEntryBundle(t.Context(), f.ReadEntryBundle, 2, size)
			if err != nil || len(bundle.Entries) != size-512 {
				t.Errorf("%d entries, %v", len(bundle.Entries), err)
			}
		}
	})
}

// A tree with tiles of three levels, read by x/mod over HTTP: consistency
// between all the sizes it had, inclusion of entries everywhere, and our own
// fsck as a stranger would run it.
func TestLargeTreeOverHTTP(t *testing.T) {
	e := newEnv(t, nil)
	h := e.reader("")
	var trees []tlog.Checkpoint
	filled := 0
	for _, size := range []int{1, 255, 256, 300, 4096, 65535, 65536, 65537, 70000} {
		e.fill(filled, size)
		filled = size
		signed, err := h.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := tlog.ParseCheckpoint(signed, origin, e.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, c)
	}
	last := trees[len(trees)-1]
	if last.Size != 70000 {
		t.Fatalf("size %d", last.Size)
	}
	hashes := merkle.TileHashReader(merkle.Tree{N: last.Size, Hash: last.Root}, h)
	for _, older := range trees {
		proof, err := merkle.ProveTree(last.Size, older.Size, hashes)
		if err == nil {
			err = merkle.CheckTree(proof, last.Size, last.Root, older.Size, older.Root)
		}
		if err != nil {
			t.Errorf("from %d to %d: %v", older.Size, last.Size, err)
		}
		ours, err := e.log.ProveConsistency(t.Context(), older.Size, last.Size)
		if err == nil {
			err = merkle.CheckTree(ours, last.Size, last.Root, older.Size, older.Root)
		}
		if err != nil {
			t.Errorf("our proof from %d to %d: %v", older.Size, last.Size, err)
		}
	}
	for _, index := range []int64{0, 255, 256, 65535, 65536, 69999} {
		theirs, err := merkle.ProveRecord(last.Size, index, hashes)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := e.log.Prove(t.Context(), index)
		if err != nil || fmt.Sprint(ours.Proof) != fmt.Sprint([]merkle.Hash(theirs)) {
			t.Errorf("proof of entry %d differs: %v", index, err)
		}
	}
	report, err := tlog.FsckSource(t.Context(), h, origin, e.key.Public())
	if err != nil || report.Err() != nil || report.Size != last.Size {
		t.Errorf("fsck over HTTP: %+v, %v", report, err)
	}
}

// 64 stock clients at a time send 40 entries, each of them several times.
func TestManyWritersWithDuplicates(t *testing.T) {
	e := newEnv(t, nil)
	w := signers(t)[0]
	const clients, entries = 64, 40
	var requests [entries]*pb.HashedRekordRequestV002
	for i := range requests {
		requests[i] = w.request(t, fmt.Sprintf("artifact %d", i))
	}
	var mu sync.Mutex
	index := make(map[int]int64)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := range 4 {
				i := (c*7 + n*11) % entries
				got, err := e.client().Add(context.Background(), requests[i])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if before, ok := index[i]; ok && before != got.LogIndex {
					t.Errorf("entry %d is at %d and %d", i, before, got.LogIndex)
				}
				index[i] = got.LogIndex
				e.verifyEntry(requests[i], got, got.LogIndex)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(index) != entries || e.log.Size() != entries {
		t.Errorf("%d entries answered, %d logged, want %d", len(index), e.log.Size(), entries)
	}
	report, err := tlog.Fsck(t.Context(), e.storage, "v2", e.key.Public())
	if err != nil || report.Err() != nil {
		t.Errorf("%v %v", err, report.Err())
	}
}

// canonical is what stock verifiers make of an entry.
func canonical(t testing.TB, entry *pb.Entry) string {
	t.Helper()
	encoded, err := protojson.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	b, err := jsoncanonicalizer.Transform(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
