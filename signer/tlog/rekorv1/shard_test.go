// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Three shards: indexes go on, every entry is read from its own shard under its
// own key, and a repeated entry is answered by the shard that has it.
func TestShards(t *testing.T) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	e := newEnv(t, options{config: tlog.Config{Clock: c.Now}})
	s := newSigner(t)
	type known struct {
		name, id, body string
		proposal       []byte
		time           int64
	}
	var all []known
	add := func(name string, n int) {
		for range n {
			p := compact(t, s.hashedrekord(t, fmt.Sprint(len(all)), s.publicPEM(t)))
			id, entry := only(t, e.submit(p, http.StatusCreated).body)
			all = append(all, known{name, id, at[string](t, entry.Body), p, *entry.IntegratedTime})
		}
	}
	add("v1", 3)
	c.Set(c.Now().Add(time.Hour))
	e.rotate("v1-2")
	add("v1-2", 2)
	e.rotate("v1-3")
	c.Set(c.Now().Add(time.Hour))
	add("v1-3", 1)

	// Three genesis entries, at 0, 4 and 7.
	wantIndex := []int64{1, 2, 3, 5, 6, 8}
	wantLeaf := []int64{1, 2, 3, 1, 2, 1}
	for i, k := range all {
		for how, got := range map[string]reply{
			"index":    e.call(http.MethodGet, fmt.Sprintf("/api/v1/log/entries?logIndex=%d", wantIndex[i]), ""),
			"entry id": e.call(http.MethodGet, "/api/v1/log/entries/"+k.id, ""),
			"UUID":     e.call(http.MethodGet, "/api/v1/log/entries/"+k.id[16:], ""),
			"capitals": e.call(http.MethodGet, "/api/v1/log/entries/"+strings.ToUpper(k.id), ""),
			"again":    e.submit(k.proposal, http.StatusCreated),
		} {
			if got.status >= 300 {
				t.Fatalf("entry %d by %s: %d %s", i, how, got.status, got.body)
			}
			id, entry := only(t, got.body)
			if id != k.id || *entry.LogIndex != wantIndex[i] || *entry.Verification.InclusionProof.LogIndex != wantLeaf[i] ||
				*entry.IntegratedTime != k.time || entry.Body != k.body {
				t.Errorf("entry %d by %s: %s at %d, %d in its tree, time %d", i, how, id, *entry.LogIndex, *entry.Verification.InclusionProof.LogIndex, *entry.IntegratedTime)
			}
			verifier, err := signature.LoadVerifier(e.keys[k.name].Public(), crypto.SHA256)
			e.must(err)
			if err := verify.VerifyLogEntry(t.Context(), &entry, verifier); err != nil {
				t.Errorf("entry %d by %s: %v", i, how, err)
			}
		}
		// The same leaf is in no other shard.
		for _, other := range all {
			if other.name == k.name {
				continue
			}
			if got := e.call(http.MethodGet, "/api/v1/log/entries/"+other.id[:16]+k.id[16:], ""); got.status != http.StatusNotFound {
				t.Errorf("entry %d in %s: %d", i, other.name, got.status)
			}
		}
	}
	if got := e.call(http.MethodGet, "/api/v1/log/entries?logIndex=9", ""); got.status != http.StatusNotFound {
		t.Errorf("beyond the end: %+v", got)
	}

	var info models.LogInfo
	e.must(json.Unmarshal([]byte(e.call(http.MethodGet, "/api/v1/log", "").body), &info))
	if *info.TreeSize != 2 || len(info.InactiveShards) != 2 || *info.InactiveShards[0].TreeSize != 4 || *info.InactiveShards[1].TreeSize != 3 {
		t.Errorf("log info %+v", info)
	}
	trees := []string{*info.InactiveShards[0].TreeID, *info.InactiveShards[1].TreeID, *info.TreeID}
	for i, name := range []string{"v1", "v1-2", "v1-3"} {
		got := e.call(http.MethodGet, "/api/v1/log/publicKey?treeID="+trees[i], "")
		if want := string((signer{key: e.keys[name]}).publicPEM(t)); got.body != want || got.header.Get("Content-Type") != "application/x-pem-file" {
			t.Errorf("public key of %s: %+v", name, got)
		}
		if got := e.call(http.MethodGet, "/api/v1/log/proof?firstSize=1&lastSize=2&treeID="+trees[i], ""); got.status != http.StatusOK {
			t.Errorf("proof of %s: %+v", name, got)
		}
	}
	// A shard that is not yet active is nobody's business.
	e.birth("v1-4", tlog.Pending)
	row, err := e.storage.Log(t.Context(), "v1-4")
	e.must(err)
	if got := e.call(http.MethodGet, fmt.Sprintf("/api/v1/log/publicKey?treeID=%d", row.TreeID), ""); got.status != http.StatusBadRequest {
		t.Errorf("public key of a pending log: %+v", got)
	}
	if got := e.call(http.MethodGet, "/api/v1/log", ""); strings.Contains(got.body, fmt.Sprint(row.TreeID)) {
		t.Errorf("a pending log is listed: %s", got.body)
	}

	// Frozen for good: what is logged is answered, what is new is not.
	e.must(e.storage.Freeze(t.Context(), "v1-3"))
	fresh := compact(t, s.hashedrekord(t, "new", s.publicPEM(t)))
	got := e.call(http.MethodPost, "/api/v1/log/entries", string(fresh))
	if got.status != http.StatusNotImplemented || got.body != `{"code":501,"message":"Create Entry API not enabled in this Rekor instance"}` {
		t.Errorf("a frozen log: %+v", got)
	}
	for _, k := range all {
		if got := e.submit(k.proposal, http.StatusCreated); got.header.Get("Etag") != k.id {
			t.Errorf("repeated in a frozen log: %+v", got)
		}
	}
	if got := e.call(http.MethodGet, "/api/v1/log", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"treeSize":2`) {
		t.Errorf("info of a frozen log: %+v", got)
	}
}

// Consistency proofs of one shard, from every size to every other.
func TestConsistency(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	const size = 9
	roots := map[uint64][]byte{}
	for i := range size {
		if i > 0 {
			e.submit(compact(t, s.hashedrekord(t, fmt.Sprint(i), s.publicPEM(t))), http.StatusCreated)
		}
		var info models.LogInfo
		e.must(json.Unmarshal([]byte(e.call(http.MethodGet, "/api/v1/log", "").body), &info))
		root, err := hex.DecodeString(*info.RootHash)
		e.must(err)
		roots[uint64(*info.TreeSize)] = root
	}
	for last := uint64(1); last <= size; last++ {
		for first := uint64(1); first <= last; first++ {
			got := e.call(http.MethodGet, fmt.Sprintf("/api/v1/log/proof?firstSize=%d&lastSize=%d", first, last), "")
			var answer models.ConsistencyProof
			if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Hashes == nil {
				t.Fatalf("%d to %d: %s", first, last, got.body)
			}
			var hashes [][]byte
			for _, h := range answer.Hashes {
				hash, err := hex.DecodeString(h)
				e.must(err)
				hashes = append(hashes, hash)
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, first, last, hashes, roots[first], roots[last]); err != nil {
				t.Errorf("%d to %d: %v", first, last, err)
			}
		}
	}
	// Without firstSize it is from 1.
	if a, b := e.call(http.MethodGet, "/api/v1/log/proof?lastSize=9", ""), e.call(http.MethodGet, "/api/v1/log/proof?firstSize=1&lastSize=9", ""); a.body != b.body {
		t.Errorf("%s\n%s", a.body, b.body)
	}
}
