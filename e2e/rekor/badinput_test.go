// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// request is one that the service has to refuse.
type request struct {
	name, method, path, contentType string
	body                            []byte
	status                          int
	says                            string
}

// refuses sends requests and wants the status, the API's own form of an error,
// no word of the inside, and no entry.
func refuses(t *testing.T, l *lab.Lab, requests []request, form func(t *testing.T, name string, got answered)) {
	t.Helper()
	before := sizes(t, l)
	for _, r := range requests {
		if r.method == "" {
			r.method = http.MethodPost
		}
		if r.contentType == "" && r.method == http.MethodPost {
			r.contentType = "application/json"
		}
		got := send(t, r.method, l.URL+r.path, r.contentType, r.body)
		if got.status != r.status || !strings.Contains(string(got.body), r.says) {
			t.Errorf("%s: %d, want %d and %q: %.300s", r.name, got.status, r.status, r.says, got.body)
			continue
		}
		for _, leak := range []string{"goroutine", ".go:", "sqlite", "postgres", "SQLSTATE", l.Dir} {
			if bytes.Contains(got.body, []byte(leak)) {
				t.Errorf("%s: the answer tells of the inside: %.300s", r.name, got.body)
			}
		}
		form(t, r.name, got)
	}
	if after := sizes(t, l); after["v1"] != before["v1"] || after["v2"] != before["v2"] {
		t.Errorf("bad input made entries: %v, before %v", after, before)
	}
	if strings.Contains(l.Log(), "panic") {
		t.Error("the service panicked")
	}
}

// v1Error is Rekor's Error schema, or the bare 404 of entries.
func v1Error(t *testing.T, name string, got answered) {
	t.Helper()
	if got.status == http.StatusNotFound && len(got.body) == 0 {
		return
	}
	var e struct {
		Code    int
		Message string
	}
	if err := json.Unmarshal(got.body, &e); err != nil || e.Message == "" || e.Code == 0 || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: not an error of Rekor v1: %s %.200s", name, got.header.Get("Content-Type"), got.body)
	}
}

// v2Error is google.rpc.Status in JSON.
func v2Error(t *testing.T, name string, got answered) {
	t.Helper()
	if got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed {
		return // a tile that is not there; a path for reading
	}
	var e struct {
		Code    int
		Message string
		Details []any
	}
	if err := json.Unmarshal(got.body, &e); err != nil || e.Message == "" || e.Code == 0 || !bytes.Contains(got.body, []byte(`"details"`)) {
		t.Errorf("%s: not an error of Rekor v2: %.200s", name, got.body)
	}
}

// maxBody is above what the service reads of a request.
const maxBody = 64 << 20

func badInputV1(t *testing.T, l *lab.Lab) {
	const entries, one, many, index = "/api/v1/log/entries", "/api/v1/log/entries/", "/api/v1/log/entries/retrieve", "/api/v1/index/retrieve"
	a := newAuthor(t)
	good := a.hashedRekord(t, []byte("never sent"))
	replaced := func(old, with string) []byte {
		changed := bytes.Replace(good, []byte(old), []byte(with), 1)
		if bytes.Equal(changed, good) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return changed
	}
	uuids := func(n int) []byte {
		raw, err := json.Marshal(map[string][]string{"entryUUIDs": strings.Split(strings.TrimSuffix(strings.Repeat(strings.Repeat("0", 80)+",", n), ","), ",")})
		check(t, err)
		return raw
	}
	last := strconv.FormatInt(sizes(t, l)["v1"]+1_000_000, 10)
	refuses(t, l, []request{
		{name: "empty", path: entries, status: 422, says: "proposedEntry in body is required"},
		{name: "no JSON", path: entries, body: []byte("hello"), status: 400},
		{name: "half an entry", path: entries, body: good[:len(good)/2], status: 400},
		{name: "a list", path: entries, body: []byte("[]"), status: 400},
		{name: "two values", path: entries, body: append(bytes.Clone(good), good...), status: 400},
		{name: "duplicate member", path: entries, body: replaced(`"kind":`, `"kind":"dsse","kind":`), status: 400},
		{name: "unknown kind", path: entries, body: replaced(`"hashedrekord"`, `"nope"`), status: 422, says: "invalid kind value"},
		{name: "unknown version", path: entries, body: replaced(`"0.0.1"`, `"9.9.9"`), status: 400},
		{name: "no kind", path: entries, body: []byte(`{"apiVersion":"0.0.1","spec":{}}`), status: 422},
		{name: "no spec", path: entries, body: []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord"}`), status: 422},
		{name: "invalid base64", path: entries, body: replaced(`"content":"`, `"content":"!!!`), status: 400},
		{name: "wrong hash", path: entries, body: replaced(`"value":"`, `"value":"00`), status: 400},
		{name: "signature of something else", path: entries, body: bytes.Replace(good, []byte(base64Of(good)), []byte(base64.StdEncoding.EncodeToString(a.sign(t, []byte("else")))), 1), status: 400},
		{name: "no media type", path: entries, body: good, contentType: "text/plain", status: 415},
		{name: "64 MiB", path: entries, body: bytes.Repeat([]byte(" "), maxBody), status: 413},
		{name: "nested", path: entries, body: []byte(strings.Repeat("[", 100_000)), status: 400},
		{name: "get by nothing", method: http.MethodGet, path: entries, status: 422, says: "logIndex in query is required"},
		{name: "get by a word", method: http.MethodGet, path: entries + "?logIndex=one", status: 422},
		{name: "get by -1", method: http.MethodGet, path: entries + "?logIndex=-1", status: 422},
		{name: "get by 2^70", method: http.MethodGet, path: entries + "?logIndex=1180591620717411303424", status: 422},
		{name: "get beyond the end", method: http.MethodGet, path: entries + "?logIndex=" + last, status: 404},
		{name: "UUID of 3 digits", method: http.MethodGet, path: one + "abc", status: 422},
		{name: "UUID of no hex", method: http.MethodGet, path: one + strings.Repeat("z", 64), status: 422},
		{name: "UUID of nothing", method: http.MethodGet, path: one + strings.Repeat("0", 64), status: 404},
		{name: "another log's entry id", method: http.MethodGet, path: one + "0000000000000001" + strings.Repeat("0", 64), status: 404},
		{name: "tree id 2^63", method: http.MethodGet, path: one + "8000000000000000" + strings.Repeat("0", 64), status: 400},
		{name: "retrieve 11", path: many, body: uuids(11), status: 422},
		{name: "retrieve 10,000", path: many, body: uuids(10_000), status: 422},
		{name: "retrieve 11 of two sorts", path: many, body: fmt.Appendf(nil, `{"logIndexes":[1],%s`, uuids(10)[1:]), status: 422, says: "more than max allowed 10 entries"},
		{name: "retrieve words", path: many, body: []byte(`{"logIndexes":["one"]}`), status: 422},
		{name: "retrieve -1", path: many, body: []byte(`{"logIndexes":[-1]}`), status: 422},
		{name: "retrieve a bad entry", path: many, body: []byte(`{"entries":[{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}]}`), status: 400},
		{name: "proof of nothing", method: http.MethodGet, path: "/api/v1/log/proof", status: 422, says: "lastSize"},
		{name: "proof backwards", method: http.MethodGet, path: "/api/v1/log/proof?firstSize=2&lastSize=1", status: 400, says: "must be less than"},
		{name: "proof from 0", method: http.MethodGet, path: "/api/v1/log/proof?firstSize=0&lastSize=1", status: 422},
		{name: "proof beyond the end", method: http.MethodGet, path: "/api/v1/log/proof?lastSize=" + last, status: 400},
		{name: "proof of another tree", method: http.MethodGet, path: "/api/v1/log/proof?lastSize=1&treeID=1", status: 400},
		{name: "key of another tree", method: http.MethodGet, path: "/api/v1/log/publicKey?treeID=1", status: 400},
		{name: "search by a short hash", path: index, body: []byte(`{"hash":"sha256:abc"}`), status: 422},
		{name: "search by a SHA-384", path: index, body: []byte(`{"hash":"` + strings.Repeat("0", 96) + `"}`), status: 422},
		{name: "search by no key", path: index, body: []byte(`{"publicKey":{"format":"x509","content":"AAAA"}}`), status: 400},
		{name: "search by an unknown format", path: index, body: []byte(`{"publicKey":{"format":"rot13","content":"AAAA"}}`), status: 422},
		{name: "search by nor", path: index, body: []byte(`{"email":"a@b.example","operator":"nor"}`), status: 422},
		{name: "unknown path", method: http.MethodGet, path: "/api/v1/log/nope", status: 404, says: "was not found"},
		{name: "wrong verb", method: http.MethodPut, path: entries, contentType: "application/json", body: good, status: 405},
	}, v1Error)

	// A leaf that no tile could hold, because of its certificate, which is in it
	// in base64 of PEM.
	fat := a.fatCertificate(t, 40<<10)
	large := bytes.Replace(a.hashedRekord(t, []byte("large")), []byte(base64.StdEncoding.EncodeToString(a.public)),
		[]byte(base64.StdEncoding.EncodeToString(pemOf(fat))), 1)
	refuses(t, l, []request{{name: "leaf above 65,535 bytes", path: entries, body: large, status: 413, says: "65535"}}, v1Error)
}

// base64Of is the signature's content in a proposed entry.
func base64Of(entry []byte) string {
	const before = `"signature":{"content":"`
	_, rest, _ := strings.Cut(string(entry), before)
	content, _, _ := strings.Cut(rest, `"`)
	return content
}

func badInputV2(t *testing.T, l *lab.Lab) {
	const entries = "/api/v2/log/entries"
	a := newAuthor(t)
	good := a.hashedRekordV2(t, []byte("never sent"))
	replaced := func(old, with string) []byte {
		changed := bytes.Replace(good, []byte(old), []byte(with), 1)
		if bytes.Equal(changed, good) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return changed
	}
	refuses(t, l, []request{
		{name: "empty", path: entries, status: 400},
		{name: "no JSON", path: entries, body: []byte("hello"), status: 400},
		{name: "half a request", path: entries, body: good[:len(good)/2], status: 400},
		{name: "unknown member", path: entries, body: replaced(`{"hashed`, `{"more":1,"hashed`), status: 400},
		{name: "unknown kind", path: entries, body: replaced("hashedRekordRequestV002", "hashedRekordRequestV009"), status: 400},
		{name: "duplicate member", path: entries, body: replaced(`"digest":`, `"digest":"AAAA","digest":`), status: 400},
		{name: "invalid base64", path: entries, body: replaced(`"digest":"`, `"digest":"!!!`), status: 400},
		{name: "signature of something else", path: entries, body: replaced(`"content":"`+v2Content(good), `"content":"`+base64.StdEncoding.EncodeToString(a.sign(t, []byte("else")))), status: 400},
		{name: "another algorithm", path: entries, body: replaced("PKIX_ECDSA_P256_SHA_256", "PKIX_ECDSA_P384_SHA_384"), status: 400},
		{name: "no algorithm", path: entries, body: replaced(`"PKIX_ECDSA_P256_SHA_256"`, `"PUBLIC_KEY_DETAILS_UNSPECIFIED"`), status: 400},
		{name: "64 MiB", path: entries, body: bytes.Repeat([]byte(" "), maxBody), status: 413},
	}, v2Error)
	fat := bytes.Replace(replaced(`"publicKey"`, `"x509Certificate"`), []byte(v2Key(good)), []byte(base64.StdEncoding.EncodeToString(a.fatCertificate(t, 60<<10))), 1)
	refuses(t, l, []request{{name: "leaf above 65,535 bytes", path: entries, body: fat, status: 413, says: "65535"}}, v2Error)
	var tiles []request
	for _, path := range []string{
		"tile/0/-1", "tile/-1/000", "tile/64/000", "tile/0/x000/000", "tile/0/1", "tile/0/0001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
		"tile/0/000.p/257", "tile/0/000.p/-1", "tile/0/00a", "tile/0/%30%30%30.p/x", "tile/0/999", "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/entries/999",
		"tile/entries/000.p/255%00", "tile/0/000.p/1/2", "tile//000", "tile/0/..%2f..%2fcheckpoint", "tile/data/000", "tile", "tile/", "checkpoint/",
	} {
		for _, base := range []string{"/", "/api/v2/", "/hallmark/v1/logs/v2/"} {
			tiles = append(tiles, request{name: base + path, method: http.MethodGet, path: base + path, status: 404})
		}
	}
	refuses(t, l, tiles, func(*testing.T, string, answered) {})
}

// v2Content is the signature in a request.
func v2Content(request []byte) string {
	_, rest, _ := strings.Cut(string(request), `"content":"`)
	content, _, _ := strings.Cut(rest, `"`)
	return content
}

// v2Key is the public key in a request.
func v2Key(request []byte) string {
	_, rest, _ := strings.Cut(string(request), `"rawBytes":"`)
	key, _, _ := strings.Cut(rest, `"`)
	return key
}
