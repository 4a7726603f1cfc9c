// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// clone copies a bundle deeply enough that damage to one does not show in the other.
func (p parts) clone() parts {
	p.payload, p.digest, p.sig, p.cert = bytes.Clone(p.payload), bytes.Clone(p.digest), bytes.Clone(p.sig), bytes.Clone(p.cert)
	p.tokens = cloneAll(p.tokens)
	p.entries = slices.Clone(p.entries)
	for i := range p.entries {
		e := &p.entries[i]
		e.body, e.logID, e.set, e.root, e.hashes = bytes.Clone(e.body), bytes.Clone(e.logID), bytes.Clone(e.set), bytes.Clone(e.root), cloneAll(e.hashes)
	}
	return p
}

func cloneAll(list [][]byte) [][]byte {
	list = slices.Clone(list)
	for i := range list {
		list[i] = bytes.Clone(list[i])
	}
	return list
}

// fields are the members of a bundle that consist of bytes.
func (p *parts) fields() map[string][]byte {
	f := map[string][]byte{"payload": p.payload, "signature": p.sig, "certificate": p.cert}
	if p.spki != nil {
		delete(f, "certificate")
	}
	if p.payload == nil {
		f["message digest"] = p.digest
	}
	for i := range p.entries {
		e := &p.entries[i]
		at := fmt.Sprintf("entry %d ", i)
		f[at+"body"], f[at+"log id"], f[at+"root"], f[at+"SET"] = e.body, e.logID, e.root, e.set
		for j, h := range e.hashes {
			f[fmt.Sprintf("%shash %d", at, j)] = h
		}
	}
	for i, token := range p.tokens {
		f[fmt.Sprintf("token %d", i)] = token
	}
	return f
}

// sameFact compares everything but the digest of the bundle's bytes.
func sameFact(a, b policy.Fact) bool {
	a.Bundle, b.Bundle = "", ""
	return reflect.DeepEqual(a, b)
}

// flipStep is how many bytes are stepped over in the long fields. A prime, so that over the fields every bit position and every part of
// an ASN.1 structure is met; one flip costs up to three milliseconds.
const flipStep = 7

// TestEveryFlippedBitDenies damages each field of good bundles. No damage may leave a fact, with one exception: an RFC 3161 token has a
// few bytes outside its signature (the CMS wrapper's versions and algorithm parameters); flipping those must not change the fact.
func TestEveryFlippedBitDenies(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{
		"v2": {payload: payload}, "v1": {payload: payload, v1: true}, "message": {blob: imageBytes}, "both": {payload: payload, v1: true, v2: true},
	} {
		good := l.sign(t, s)
		want, err := c.Facts(image, good.encode(t))
		must(t, err)
		for field, b := range good.fields() {
			t.Run(name+" "+field, func(t *testing.T) {
				t.Parallel()
				unsigned := 0
				for i := 0; i < len(b); i += flipStep {
					bad := good.clone()
					bad.fields()[field][i] ^= 1 << (i % 8)
					fact, err := c.Facts(image, bad.encode(t))
					switch {
					case err == nil && field == "token 0" && sameFact(fact, want):
						unsigned++
					case err == nil:
						t.Errorf("byte %d flipped, still a fact", i)
					}
				}
				if unsigned*10 > len(b) {
					t.Errorf("%d of %d flips of the token went unnoticed", unsigned, len(b)/flipStep)
				}
			})
		}
	}
}

// TestEveryRemovedMemberDenies takes away each member of the JSON document, at every depth, and puts null in its place.
func TestEveryRemovedMemberDenies(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{"v2": {payload: payload}, "v1": {payload: payload, v1: true}} {
		bundle := l.sign(t, s).encode(t)
		want, err := c.Facts(image, bundle)
		must(t, err)
		var doc any
		must(t, json.Unmarshal(bundle, &doc))
		for _, path := range paths(doc, nil) {
			for _, null := range []bool{false, true} {
				var edited any
				must(t, json.Unmarshal(bundle, &edited))
				remove(t, edited, path, null)
				b, err := json.Marshal(edited)
				must(t, err)
				fact, err := c.Facts(image, b)
				last := path[len(path)-1]
				if s.v1 && (last == "timestampVerificationData" || last == "rfc3161Timestamps") {
					continue // the SET proves a time as well
				}
				if !s.v1 && last == "integratedTime" && sameFact(fact, want) {
					continue // zero, and absent means zero
				}
				if err == nil {
					t.Errorf("%s without %v: still a fact", name, path)
				}
			}
		}
	}
}

// paths lists the members of objects, depth first.
func paths(v any, at []any) [][]any {
	var all [][]any
	switch v := v.(type) {
	case object:
		for k, child := range v {
			p := append(slices.Clone(at), k)
			all = append(append(all, p), paths(child, p)...)
		}
	case []any:
		for i, child := range v {
			all = append(all, paths(child, append(slices.Clone(at), i))...)
		}
	}
	return all
}

func remove(t testing.TB, v any, path []any, null bool) {
	t.Helper()
	for _, step := range path[:len(path)-1] {
		switch step := step.(type) {
		case string:
			v = as[object](t, v)[step]
		case int:
			v = as[[]any](t, v)[step]
		}
	}
	parent, last := as[object](t, v), as[string](t, path[len(path)-1])
	if null {
		parent[last] = nil
		return
	}
	delete(parent, last)
}

// TestFactsConcurrently runs many verifications of the same bytes; with -race it shows that nothing shared is written.
func TestFactsConcurrently(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	bundle := l.sign(t, signing{payload: statement(t, image, attest.PredicateSignature, "{}"), v1: true, v2: true}).encode(t)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := c.Facts(image, bundle); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// FuzzFacts damages good bundles: at a place it replaces some bytes by others. The invariant: either there is no fact, or it is the fact of
// the good bundle (white space and the order of members are nobody's business). Every process makes keys of its own, so it is the
// damage that is fuzzed and not the bundle.
func FuzzFacts(f *testing.F) {
	l := newLab(f)
	c := newCrypto(f, l)
	payload := statement(f, image, attest.PredicateSignature, "{}")
	bundles := [][]byte{l.sign(f, signing{payload: payload}).encode(f), l.sign(f, signing{payload: payload, v1: true}).encode(f)}
	var facts []policy.Fact
	for _, b := range bundles {
		fact, err := c.Facts(image, b)
		must(f, err)
		facts = append(facts, fact)
	}
	f.Add(uint8(0), uint16(1), uint16(0), []byte(`"mediaType":null,`))
	f.Add(uint8(0), uint16(200), uint16(1), []byte("A"))
	f.Add(uint8(1), uint16(1000), uint16(4), []byte("AAAA"))
	f.Add(uint8(1), uint16(1), uint16(0), []byte(" \n"))
	f.Fuzz(func(t *testing.T, which uint8, at, remove uint16, insert []byte) {
		i := int(which) % len(bundles)
		from := int(at) % len(bundles[i])
		to := min(from+int(remove), len(bundles[i]))
		b := slices.Concat(bundles[i][:from], insert, bundles[i][to:])
		fact, err := c.Facts(image, b)
		if err != nil {
			if !reflect.DeepEqual(fact, policy.Fact{}) {
				t.Fatalf("refused, but there is a fact: %+v", fact)
			}
			return
		}
		if !sameFact(fact, facts[i]) {
			t.Fatalf("a fact that nobody signed: %+v", fact)
		}
		if _, err := c.Facts(otherImage, b); err == nil {
			t.Fatal("the same bundle is a fact about another image")
		}
	})
}

// FuzzRead gives any bytes to a verifier whose authorities never signed anything: it must not panic, and nothing can be a fact.
func FuzzRead(f *testing.F) {
	public, err := os.ReadFile("testdata/public-good/sigstore-js-2.0.0-provenance.sigstore.json")
	must(f, err)
	f.Add(public)
	f.Add([]byte("{}"))
	c := newCrypto(f, newLab(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if fact, err := c.Facts(image, b); err == nil {
			t.Fatalf("a fact of keys that this lab never had: %+v", fact)
		}
	})
}

func BenchmarkFacts(b *testing.B) {
	l := newLab(b)
	c := newCrypto(b, l)
	payload := statement(b, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{"v2": {payload: payload}, "v1": {payload: payload, v1: true}} {
		bundle := l.sign(b, s).encode(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Facts(image, bundle); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
