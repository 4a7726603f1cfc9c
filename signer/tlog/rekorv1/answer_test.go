// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// The value of an answer, in the order in which its members are written.
type (
	answeredEntry struct {
		timestamped
		Verification struct {
			InclusionProof struct {
				Checkpoint string   `json:"checkpoint"`
				Hashes     []string `json:"hashes"`
				LogIndex   int64    `json:"logIndex"`
				RootHash   string   `json:"rootHash"`
				TreeSize   int64    `json:"treeSize"`
			} `json:"inclusionProof"`
			SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
		} `json:"verification"`
	}
	timestamped struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogID          string `json:"logID"`
		LogIndex       int64  `json:"logIndex"`
	}
)

// What is written by hand is what encoding/json writes, byte for byte, and its
// timestamp is over the RFC 8785 form of what it says.
func TestAnswerIsJSON(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	st, cfg := storagetest.NewMemory(), tlog.Config{Name: "v1", Origin: "log.example - 7", Signer: key}
	if err := tlog.Create(t.Context(), st, cfg, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	l, err := tlog.Load(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) }) // nobody waits
	hash := func(n byte) tlog.Hash { return tlog.Hash(bytes.Repeat([]byte{n}, len(tlog.Hash{}))) }
	checkpoint := []byte("log.example - 7\n9\nAAAA\n\n\u2014 log.example AAAA\n")
	for name, rec := range map[string]record{
		"first entry": {body: []byte("{}"), in: tlog.Inclusion{TreeSize: 1, Checkpoint: checkpoint}},
		"one hash":    {body: []byte("{} "), in: tlog.Inclusion{Index: 1, TreeSize: 2, Time: 1_760_000_000, Root: hash(0xff), Proof: []tlog.Hash{hash(0)}, Checkpoint: checkpoint}},
		"largest": {body: bytes.Repeat([]byte{0xff}, tlog.MaxLeaf), in: tlog.Inclusion{
			Index: math.MaxInt64 - 1, TreeSize: math.MaxInt64, Time: math.MaxInt64, Root: hash(1), Proof: slices.Repeat([]tlog.Hash{hash(0xab)}, 63), Checkpoint: checkpoint,
		}},
		"odd origin": {body: []byte("x"), in: tlog.Inclusion{TreeSize: 1, Checkpoint: []byte("a\"b\\c<d>&\u2028\x01 - 7\n")}},
	} {
		t.Run(name, func(t *testing.T) {
			rec.log = l
			got, id, err := rec.encode()
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]answeredEntry
			decoder := json.NewDecoder(bytes.NewReader(got))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&all); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			again, err := json.Marshal(all)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("written\n%s\nwhere encoding/json has\n%s\n%v", got, again, err)
			}
			e := all[id]
			proof := &e.Verification.InclusionProof
			if len(all) != 1 || id != rec.id().String() || !bytes.Equal(e.Body, rec.body) || e.IntegratedTime != rec.in.Time ||
				e.LogIndex != rec.in.Index || e.LogID != hex.EncodeToString(l.ID()) || proof.LogIndex != rec.in.Index ||
				proof.TreeSize != rec.in.TreeSize || proof.RootHash != hex.EncodeToString(rec.in.Root[:]) || !slices.Equal(proof.Hashes, hexHashes(rec.in.Proof)) ||
				proof.Checkpoint != string(rec.in.Checkpoint) {
				t.Errorf("%+v of %+v", e, rec.in)
			}
			wantTimestamp(t, &key.PublicKey, e)
		})
	}
}

// wantTimestamp checks a signed entry timestamp as verifiers do.
func wantTimestamp(t *testing.T, key *ecdsa.PublicKey, e answeredEntry) {
	t.Helper()
	raw, err := json.Marshal(e.timestamped)
	if err != nil {
		t.Fatal(err)
	}
	if e.IntegratedTime < 1<<53 { // larger numbers have no RFC 8785 form of their own
		if raw, err = jsoncanonicalizer.Transform(raw); err != nil {
			t.Fatal(err)
		}
	}
	digest := sha256.Sum256(raw)
	if !ecdsa.VerifyASN1(key, digest[:], e.Verification.SignedEntryTimestamp) {
		t.Errorf("the timestamp is not over %s", raw)
	}
}
