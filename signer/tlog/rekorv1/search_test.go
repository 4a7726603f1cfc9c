// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// search asks for entry ids.
func (e *env) search(query obj) []string {
	e.Helper()
	got := e.call(http.MethodPost, "/api/v1/index/retrieve", string(compact(e, query)))
	var ids []string
	if err := json.Unmarshal([]byte(got.body), &ids); got.status != http.StatusOK || err != nil || ids == nil {
		e.Fatalf("search %v: %d %s", query, got.status, got.body)
	}
	return ids
}

func (e *env) id(p obj) string {
	e.Helper()
	return e.submit(compact(e, p), http.StatusCreated).header.Get("Etag")
}

func TestSearch(t *testing.T) {
	e := newEnv(t, options{})
	s, other := newSigner(t), newSigner(t)
	ca := newIssuer(t)
	cert := s.certificate(t, ca)
	byCert := e.id(s.hashedrekord(t, "a", certPEM(cert)))
	byKey := e.id(s.hashedrekord(t, "b", s.publicPEM(t)))
	att := e.id(dsse(s.envelope(t, statement("app")), certPEM(cert)))
	e.rotate("v1-2")
	sameDigest := e.id(other.hashedrekord(t, "a", other.publicPEM(t)))
	chart := helm(t, "app.tgz")
	byPGP := e.id(chart)
	pgpKey := at[[]byte](t, chart, "spec", "publicKey", "content")

	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("a")))
	payload := sha256.Sum256(statement("app"))
	const workflow = "https://github.com/acme/app/.github/workflows/Release.yml@refs/heads/main"
	for _, tc := range []struct {
		name  string
		query obj
		want  []string
	}{
		{"nothing", obj{}, []string{}},
		{"hash, oldest first, over shards", obj{"hash": "sha256:" + digest}, []string{byCert, sameDigest}},
		{"bare hash", obj{"hash": digest}, []string{byCert, sameDigest}},
		{"capitals", obj{"hash": strings.ToUpper(digest)}, []string{byCert, sameDigest}},
		{"subject of a statement", obj{"hash": fmt.Sprintf("%x", sha256.Sum256([]byte("app")))}, []string{att}},
		{"payload", obj{"hash": fmt.Sprintf("sha256:%x", payload)}, []string{att}},
		{"dependency", obj{"hash": fmt.Sprintf("sha1:%040x", 3)}, []string{att}},
		{"file of a chart", obj{"hash": fmt.Sprintf("%x", sha256.Sum256([]byte("app.tgz")))}, []string{byPGP}},
		{"unknown hash", obj{"hash": zeros64[:40]}, []string{}},
		{"key, whatever holds it", obj{"publicKey": obj{"format": "x509", "content": s.publicPEM(t)}}, []string{byCert, byKey, att}},
		{"certificate", obj{"publicKey": obj{"format": "x509", "content": certPEM(cert)}}, []string{byCert, byKey, att}},
		{"PGP key", obj{"publicKey": obj{"format": "pgp", "content": pgpKey}}, []string{byPGP}},
		{"email", obj{"email": "dev@acme.example"}, []string{byCert, att}},
		{"email of a PGP key", obj{"email": "Chart@acme.example"}, []string{byPGP}},
		{"subject", obj{"subject": strings.ToUpper(workflow)}, []string{byCert, att}},
		{"email as subject", obj{"subject": "dev@acme.example"}, []string{byCert, att}},
		{"or", obj{"email": "dev@acme.example", "hash": digest}, []string{byCert, att, sameDigest}},
		{"or, said", obj{"email": "dev@acme.example", "hash": digest, "operator": "or"}, []string{byCert, att, sameDigest}},
		{"and", obj{"email": "dev@acme.example", "hash": digest, "operator": "and"}, []string{byCert}},
		{"and, of three", obj{"email": "dev@acme.example", "hash": digest, "subject": workflow, "operator": "and"}, []string{byCert}},
		{"and, none", obj{"email": "nobody@acme.example", "hash": digest, "operator": "and"}, []string{}},
	} {
		if got := e.search(tc.query); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	// What a search names can be retrieved.
	got := e.call(http.MethodPost, "/api/v1/log/entries/retrieve", string(compact(t, obj{"entryUUIDs": []string{byCert, byPGP, byKey[16:]}, "logIndexes": []int{0, 99}})))
	var entries []models.LogEntry
	e.must(json.Unmarshal([]byte(got.body), &entries))
	if len(entries) != 4 || entries[0][byCert].Body == nil || entries[1][byPGP].Body == nil || entries[2][byKey].Body == nil {
		t.Errorf("%.300s", got.body)
	}
}

// An entry is found by everything that Rekor finds it by.
func TestFoundAsInRekor(t *testing.T) {
	e := newEnv(t, options{})
	for name, p := range allKinds(t) {
		raw := compact(t, p)
		_, keys, err := rekorv1.Slow(t.Context(), e.service, raw)
		e.must(err)
		proposed, err := models.UnmarshalProposedEntry(strings.NewReader(string(raw)), nil)
		e.must(err)
		impl, err := types.CreateVersionedEntry(proposed)
		e.must(err)
		_, err = types.CanonicalizeEntry(t.Context(), impl)
		e.must(err)
		theirs, err := impl.IndexKeys()
		e.must(err)
		for _, key := range theirs {
			if len(key) == 64 || (p["kind"] != "hashedrekord" && strings.HasPrefix(key, "sha256:") && isKeyHash(t, p, key)) {
				continue // the hash of a key's PEM: it is found by the hash of the key
			}
			want := index.Identity(key)
			if hash, err := index.ParseHash(key); err == nil {
				want = hash
			}
			if !slices.Contains(keys, want) {
				t.Errorf("%s: %s is not among %q", name, want, keys)
			}
		}
	}
}

// isKeyHash says whether a key is "sha256:" and the hash of a verifier's PEM.
func isKeyHash(t *testing.T, p obj, key string) bool {
	t.Helper()
	var verifiers [][]byte
	switch p["kind"] {
	case "dsse":
		verifiers = at[[][]byte](t, p, "spec", "proposedContent", "verifiers")
	case "intoto":
		if p["apiVersion"] == "0.0.1" {
			verifiers = [][]byte{at[[]byte](t, p, "spec", "publicKey")}
		} else {
			verifiers = [][]byte{at[[]byte](t, at[[]obj](t, p, "spec", "content", "envelope", "signatures")[0], "publicKey")}
		}
	}
	for _, v := range verifiers {
		if key == fmt.Sprintf("sha256:%x", sha256.Sum256(v)) {
			return true
		}
	}
	return false
}

// The answer has no pages, so it is the newest of too many.
func TestSearchIsBounded(t *testing.T) {
	e := newEnv(t, options{})
	log := e.active()
	key := index.Identity("many@acme.example")
	const extra = 30
	done := make(chan error)
	for i := range tlog.MaxPage + extra {
		go func() {
			_, err := log.Append(t.Context(), tlog.Leaf{Body: fmt.Append(nil, i), Keys: []string{key}})
			done <- err
		}()
	}
	for range tlog.MaxPage + extra {
		e.must(<-done)
	}
	// Entries of the v2 log are found elsewhere, and take no room here.
	_, _, err := e.set.Append(t.Context(), tlog.V2, tlog.Leaf{Body: []byte("v2"), Keys: []string{key}})
	e.must(err)
	ids := e.search(obj{"email": "many@acme.example"})
	if len(ids) != tlog.MaxPage {
		t.Fatalf("%d ids", len(ids))
	}
	for i, id := range ids {
		entry, _, err := log.Entry(t.Context(), int64(1+extra+i))
		e.must(err)
		if want := fmt.Sprintf("%x", sha256.Sum256(append([]byte{0}, entry.Body...))); id[16:] != want {
			t.Fatalf("hit %d is %s, want %s", i, id[16:], want)
		}
	}
}
