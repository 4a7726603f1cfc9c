// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const zeros64 = "0000000000000000000000000000000000000000000000000000000000000000"

// Every refusal has Rekor's status, code and words.
func TestErrors(t *testing.T) {
	e := newEnv(t, options{maxBody: 200_000})
	s := newSigner(t)
	good := string(compact(t, s.hashedrekord(t, "artifact", s.publicPEM(t))))
	tree := fmt.Sprintf("%016x", e.active().Row().TreeID)
	numbers := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	const (
		entries  = "/api/v1/log/entries"
		retrieve = entries + "/retrieve"
		search   = "/api/v1/index/retrieve"
		proof    = "/api/v1/log/proof"
		key      = "/api/v1/log/publicKey"
		pattern  = `^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$`
	)
	for _, tc := range []struct {
		method, path, body string
		status, code       int
		message            string // a part of it if it ends in …
	}{
		{"GET", "/api/v1/nothing", "", 404, 404, "path /api/v1/nothing was not found"},
		{"GET", "/api/v1/log/entries/a/b", "", 404, 404, "path /api/v1/log/entries/a/b was not found"},
		{"GET", "/api/v1/lo%67", "", 404, 404, "path /api/v1/lo%67 was not found"},
		{"GET", "/api/v1/log%2Fentries?logIndex=0", "", 404, 404, "path /api/v1/log%2Fentries was not found"},
		{"PUT", entries, "", 405, 405, "method PUT is not allowed, but [POST,GET] are"},
		{"DELETE", "/api/v1/log", "", 405, 405, "method DELETE is not allowed, but [GET] are"},
		{"GET", search, "", 405, 405, "method GET is not allowed, but [POST] are"},

		{"GET", entries, "", 422, 602, "logIndex in query is required"},
		{"GET", entries + "?logIndex=", "", 422, 602, "logIndex in query is required"},
		{"GET", entries + "?logIndex=-1", "", 422, 609, "logIndex in query should be greater than or equal to 0"},
		{"GET", entries + "?logIndex=x", "", 422, 601, `logIndex in query must be of type int64: "x"`},
		{"GET", entries + "?logIndex=1e3", "", 422, 601, `logIndex in query must be of type int64: "1e3"`},
		{"GET", entries + "?logIndex=99999999999999999999", "", 422, 601, `logIndex in query must be of type int64: "99999999999999999999"`},
		{"GET", entries + "?logIndex=9223372036854775807", "", 404, 0, ""},
		{"GET", entries + "?logIndex=1", "", 404, 0, ""},

		{"GET", entries + "/abc", "", 422, 605, "entryUUID in path should match '" + pattern + "'"},
		{"GET", entries + "/" + zeros64 + "0", "", 422, 605, "entryUUID in path should match '" + pattern + "'"},
		{"GET", entries + "/" + zeros64[:63] + "g", "", 422, 605, "entryUUID in path should match '" + pattern + "'"},
		{"GET", retrieve, "", 422, 605, "entryUUID in path should match '" + pattern + "'"},
		{"GET", entries + "/" + zeros64, "", 404, 0, ""},
		{"GET", entries + "/" + tree + zeros64, "", 404, 0, ""},
		{"GET", entries + "/" + "00000000000000ff" + zeros64, "", 404, 0, ""},
		{"GET", entries + "/" + "0000000000000000" + zeros64, "", 400, 400, "validation error: 0000000000000000 is not a valid TreeID"},
		{"GET", entries + "/" + "ffffffffffffffff" + zeros64, "", 400, 400, "validation error: ffffffffffffffff is not a valid TreeID"},

		{"POST", entries, "", 422, 602, "proposedEntry in body is required"},
		{"POST", entries, "null", 422, 602, "proposedEntry in body is required"},
		{"POST", entries, `{"kind"`, 400, 400, "request is not strict JSON: …"},
		{"POST", entries, `[]`, 400, 400, "…"},
		{"POST", entries, good + "x", 400, 400, "request is not strict JSON: something follows it…"},
		{"POST", entries, strings.Replace(good, `{`, `{"kind":"dsse",`, 1), 400, 400, `request is not strict JSON: duplicate key "kind"…`},
		{"POST", entries, strings.Replace(good, `{`, `{"Kind":"dsse",`, 1), 400, 400, `request is not strict JSON: duplicate key "kind"…`},
		{"POST", entries, strings.Replace(good, `"value":`, `"value":"00","value":`, 1), 400, 400, `request is not strict JSON: duplicate key "value"…`},
		{"POST", entries, strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), 400, 400, "request is not strict JSON: nested deeper than…"},
		{"POST", entries, numbers(60_000), 400, 400, "request is not strict JSON: more than…"},
		{"POST", entries, strings.Repeat(" ", 200_001), 413, 413, "Request Entity Too Large"},
		{"POST", entries, `{}`, 422, 602, "kind in body is required"},
		{"POST", entries, `{"kind":"nope"}`, 422, 422, `invalid kind value: "nope"`},
		{"POST", entries, `{"kind":"dsse"}`, 422, 602, "apiVersion in body is required"},
		{"POST", entries, `{"kind":"dsse","apiVersion":"0.0.1"}`, 422, 602, "spec in body is required"},
		{"POST", entries, `{"kind":"dsse","apiVersion":"x","spec":{}}`, 422, 605, "apiVersion in body should match '…"},
		{"POST", entries, `{"kind":"dsse","apiVersion":"0.0.9","spec":{}}`, 400, 400, "error processing entry: …"},
		{"POST", entries, `{"kind":"dsse","apiVersion":"0.0.1","spec":{}}`, 400, 400, "error processing entry: …"},
		{"POST", entries, `{"kind":"jar","apiVersion":"0.0.1","spec":{}}`, 400, 400, "error processing entry: entry kind 'jar' is not enabled for submission on this server"},
		{"POST", entries, strings.Replace(good, `"content":"`, `"content":"!`, 1), 400, 400, "error processing entry: …"},
		{"POST", entries, strings.Replace(good, `"sha256"`, `"sha512"`, 1), 400, 400, "error processing entry: invalid value for hash"},

		{"POST", retrieve, "", 422, 602, "entry in body is required"},
		{"POST", retrieve, `{"logIndexes":[]}`, 422, 612, "logIndexes in body should have at least 1 items"},
		{"POST", retrieve, `{"entryUUIDs":[]}`, 422, 612, "entryUUIDs in body should have at least 1 items"},
		{"POST", retrieve, `{"logIndexes":` + numbers(11) + `}`, 422, 611, "logIndexes in body should have at most 10 items"},
		{"POST", retrieve, `{"logIndexes":` + numbers(10_000) + `}`, 422, 611, "logIndexes in body should have at most 10 items"},
		{"POST", retrieve, `{"entries":` + numbers(10_000) + `}`, 422, 611, "entries in body should have at most 10 items"},
		{"POST", retrieve, `{"logIndexes":` + numbers(6) + `,"entryUUIDs":["` + strings.Repeat(zeros64+`","`, 4) + zeros64 + `"]}`, 422, 422, "more than max allowed 10 entries in request"},
		{"POST", retrieve, `{"logIndexes":[-1]}`, 422, 609, "logIndexes.0 in body should be greater than or equal to 0"},
		{"POST", retrieve, `{"logIndexes":[99999999999999999999]}`, 422, 601, "logIndexes in body must be of type int64…"},
		{"POST", retrieve, `{"logIndexes":["x"]}`, 422, 601, "logIndexes in body must be of type int64…"},
		{"POST", retrieve, `{"logIndexes":[null]}`, 422, 601, "logIndexes.0 in body must be of type int64…"},
		{"POST", retrieve, `{"logIndexes":1}`, 422, 601, "logIndexes in body must be of type array"},
		{"POST", retrieve, `{"entryUUIDs":["abc"]}`, 422, 605, "entryUUIDs.0 in body should match '" + pattern + "'"},
		{"POST", retrieve, `{"entryUUIDs":["0000000000000000` + zeros64 + `"]}`, 400, 400, "invalid entryID 0000000000000000" + zeros64},
		{"POST", retrieve, `{"entries":[{"kind":"jar","apiVersion":"0.0.1","spec":{}}]}`, 400, 400, "could not unmarshal entry for kind 'jar'"},
		{"POST", retrieve, `{"entries":[{"kind":"nope"}]}`, 422, 422, `invalid kind value: "nope"`},

		{"POST", search, "", 422, 602, "query in body is required"},
		{"POST", search, `{"hash":"xyz"}`, 422, 605, "hash in body should match '…"},
		{"POST", search, `{"hash":"` + zeros64[:48] + zeros64[:48] + `"}`, 422, 605, "hash in body should match '…"},
		{"POST", search, `{"operator":"nor"}`, 422, 606, "operator in body should be one of [and or]"},
		{"POST", search, `{"email":"nobody"}`, 422, 601, `email in body must be of type email: "nobody"`},
		{"POST", search, `{"subject":"` + strings.Repeat("x", 513) + `"}`, 422, 603, "subject in body should be at most 512 chars long"},
		{"POST", search, `{"publicKey":{}}`, 422, 602, "publicKey.publicKey.format in body is required"},
		{"POST", search, `{"publicKey":{"format":"gif"}}`, 422, 606, "publicKey.publicKey.format in body should be one of …"},
		{"POST", search, `{"publicKey":{"format":"x509","content":"AAAA"}}`, 400, 400, "public key provided could not be parsed"},
		{"POST", search, `{"publicKey":{"format":"pgp","content":"` + strings.Repeat("AAAA", 22_000) + `"}}`, 400, 400, "public key provided could not be parsed"},
		{"POST", search, `{"publicKey":{"format":"x509","content":"!"}}`, 400, 400, "…"},
		{"POST", search, `{"hash":1}`, 422, 601, "hash in body must be of type string…"},

		{"GET", proof, "", 422, 602, "lastSize in query is required"},
		{"GET", proof + "?lastSize=0", "", 422, 609, "lastSize in query should be greater than or equal to 1"},
		{"GET", proof + "?lastSize=1&firstSize=0", "", 422, 609, "firstSize in query should be greater than or equal to 1"},
		{"GET", proof + "?lastSize=1&firstSize=2", "", 400, 400, "firstSize(2) must be less than lastSize(1)"},
		{"GET", proof + "?lastSize=2", "", 400, 400, "the tree size requested(2) was greater than what is currently observable(1)"},
		{"GET", proof + "?lastSize=1&treeID=7", "", 400, 400, "no log range found for tree ID 7"},
		{"GET", proof + "?lastSize=1&treeID=0", "", 400, 400, "no log range found for tree ID 0"},
		{"GET", proof + "?lastSize=1&treeID=x", "", 422, 605, "treeID in query should match '^[0-9]+$'"},
		{"GET", proof + "?lastSize=1&treeID=-1", "", 422, 605, "treeID in query should match '^[0-9]+$'"},
		{"GET", proof + "?lastSize=1&treeID=99999999999999999999", "", 400, 400, "invalid tree ID specified: 99999999999999999999"},
		{"GET", key + "?treeID=7", "", 400, 400, "no log range found for tree ID 7"},
		{"GET", key + "?treeID=4", "", 400, 400, "no log range found for tree ID 4"}, // the v2 log's
	} {
		name := tc.method + " " + tc.path + " " + tc.body
		t.Run(name[:min(len(name), 90)], func(t *testing.T) {
			got := e.in(t).call(tc.method, tc.path, tc.body)
			if tc.code == 0 {
				if got.status != tc.status || got.body != "" || got.header.Get("Content-Type") != "" {
					t.Errorf("%d %q %q, want a bare %d", got.status, got.header.Get("Content-Type"), got.body, tc.status)
				}
				return
			}
			want := string(compact(t, struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			}{tc.code, tc.message}))
			begin, isPart := strings.CutSuffix(want, `…"}`)
			body := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(got.body)
			if got.status != tc.status || (isPart && !strings.HasPrefix(body, begin)) || (!isPart && body != want) {
				t.Errorf("%d %s\nwant %d %s", got.status, got.body, tc.status, want)
			}
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("content type %q", got.header.Get("Content-Type"))
			}
		})
	}
	// What is repeated of a request is bounded.
	for name, body := range map[string]string{
		"kind": `{"kind":"` + strings.Repeat("k", 100_000) + `"}`, "member": `{"` + strings.Repeat("k", 100_000) + `":1,"` + strings.Repeat("k", 100_000) + `":2}`,
	} {
		if got := e.call("POST", entries, body); got.status < 400 || got.status > 422 || len(got.body) > 2000 {
			t.Errorf("long %s: %d, %d bytes", name, got.status, len(got.body))
		}
	}
	if size := e.active().Size(); size != 1 {
		t.Errorf("the log has grown to %d entries", size)
	}
}

func TestContentTypes(t *testing.T) {
	e := newEnv(t, options{})
	for _, tc := range []struct {
		contentType string
		status      int
		body        string
	}{
		{"", 415, `{"code":415,"message":"unsupported media type \"application/octet-stream\", only [application/json] are allowed"}`},
		{"text/plain; charset=utf-8", 415, `{"code":415,"message":"unsupported media type \"text/plain\", only [application/json] are allowed"}`},
		{"application/json; charset=utf-8", 200, "[]"},
		{"Application/JSON", 200, "[]"},
	} {
		got := e.send(http.MethodPost, "/api/v1/index/retrieve", "{}", tc.contentType)
		if got.status != tc.status || got.body != tc.body {
			t.Errorf("%q: %d %s", tc.contentType, got.status, got.body)
		}
	}
}

// What every answer has, good or bad.
func TestHeaders(t *testing.T) {
	e := newEnv(t, options{})
	for _, path := range []string{"/api/v1/log", "/api/v1/log/entries?logIndex=0", "/api/v1/log/entries?logIndex=7", "/api/v1/x"} {
		got := e.call(http.MethodGet, path, "")
		if got.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.header.Get("Cache-Control"), "no-store") ||
			got.header.Get("Etag") != "" || got.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	if got := e.call(http.MethodPatch, "/api/v1/log/entries", ""); got.header.Get("Allow") != "POST,GET" {
		t.Errorf("allow %q", got.header.Get("Allow"))
	}
	if got := e.call(http.MethodGet, "/ping", ""); got.body != "." || got.header.Get("Content-Type") != "text/plain" {
		t.Errorf("ping %+v", got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, e.url+"/api/v1/index/retrieve", nil)
	e.must(err)
	req.Header.Set("Origin", "https://search.example")
	req.Header.Set("Access-Control-Request-Method", "POST")
	resp, err := http.DefaultClient.Do(req)
	e.must(err)
	e.must(resp.Body.Close())
	if resp.StatusCode != http.StatusNoContent || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight %d %v", resp.StatusCode, resp.Header)
	}
}

// A new entry and a repeated one have the same headers: the raw id, unquoted,
// and a path that ends in it.
func TestCreateHeaders(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	p := compact(t, s.hashedrekord(t, "artifact", s.publicPEM(t)))
	var before string
	for range 2 {
		got := e.submit(p, http.StatusCreated)
		id, entry := only(t, got.body)
		if got.header.Get("Etag") != id || len(id) != 80 || got.header.Get("Location") != "/api/v1/log/entries/"+id {
			t.Errorf("ETag %q, Location %q, id %q", got.header.Get("Etag"), got.header.Get("Location"), id)
		}
		if !strings.HasPrefix(id, fmt.Sprintf("%016x", e.active().Row().TreeID)) || *entry.LogIndex != 1 {
			t.Errorf("id %s, index %d", id, *entry.LogIndex)
		}
		if before != "" && before != id {
			t.Errorf("id %s became %s", before, id)
		}
		before = id
	}
}

// Limits on what verifying costs, and on what is logged.
func TestCostly(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	key := s.publicPEM(t)
	sig := strings.Repeat(`{"sig":"AAAA"},`, 9)
	many := `{"payloadType":"x","payload":"AAAA","signatures":[` + strings.TrimSuffix(sig, ",") + `]}`
	chain := s.certificate(t, newIssuer(t))
	huge := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: rsaSPKI(t, 8200)})
	large := make([]byte, tlog.MaxLeaf+1)
	for name, p := range map[string]obj{
		"many signatures":   dsse(many, key),
		"many verifiers":    dsse(s.envelope(t, statement("x")), slices.Repeat([][]byte{key}, 9)...),
		"long chain":        s.hashedrekord(t, "a", certPEM(slices.Repeat([][]byte{chain}, 11)...)),
		"large key":         s.hashedrekord(t, "a", huge),
		"large key, dsse":   dsse(s.envelope(t, statement("x")), huge),
		"large key, 0.0.1":  s.intoto1(t, statement("x"), huge),
		"large key, 0.0.2":  s.intoto2(t, statement("x"), huge),
		"large key, rekord": s.rekordX509(t, []byte("x"), huge),
		"large key, cose":   s.coseSign1(t, []byte("x"), huge),
		"not a chain":       s.hashedrekord(t, "a", certPEM(chain, newIssuer(t).cert.Raw)),
		"large PGP key":     rekord("pgp", []byte("x"), []byte("x"), large),
		"large signature":   rekord("pgp", []byte("x"), large, key),
		"large provenance":  proposal("helm", "0.0.1", obj{"publicKey": obj{"content": key}, "chart": obj{"provenance": obj{"content": large}}}),
		"two files":         helm(t, "a.tgz", "b.tgz"),
		"envelope twice":    dsse(`{"payload":"AAAA",`+s.envelope(t, statement("x"))[1:], key),
		"upper case":        upper(t, s.hashedrekord(t, "artifact", key)),
	} {
		got := e.submit(compact(t, p), http.StatusBadRequest)
		if !strings.Contains(got.body, "error processing entry: ") {
			t.Errorf("%s: %s", name, got.body)
		}
		if strings.HasPrefix(name, "large ") && !strings.HasPrefix(name, "large key") && !strings.Contains(got.body, "has at most 65535 bytes") {
			t.Errorf("%s: %s", name, got.body)
		}
		if strings.HasPrefix(name, "large key") && !strings.Contains(got.body, "larger than 8192") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	// The largest leaf, and one byte more.
	e.submit(compact(t, s.sized(t, e.service, tlog.MaxLeaf)), http.StatusCreated)
	got := e.submit(compact(t, s.sized(t, e.service, tlog.MaxLeaf+1)), http.StatusRequestEntityTooLarge)
	if got.body != `{"code":413,"message":"the canonical entry is larger than 65535 bytes"}` {
		t.Error(got.body)
	}
	if size := e.active().Size(); size != 2 {
		t.Errorf("the log has %d entries", size)
	}
}

func upper(t *testing.T, p obj) obj {
	hash := at[obj](t, p, "spec", "data", "hash")
	hash["value"] = strings.ToUpper(at[string](t, hash, "value"))
	return p
}
