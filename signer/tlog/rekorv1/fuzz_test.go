// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sigstore/rekor/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// FuzzRequests sends anything to any path. Every answer is one of the API's, an
// error has its shape, and what is logged verifies by Rekor's code.
func FuzzRequests(f *testing.F) {
	e := newEnv(f, options{maxBody: 1 << 17})
	s := newSigner(f)
	id := e.id(s.hashedrekord(f, "a", s.publicPEM(f)))
	for _, p := range allKinds(f) {
		f.Add(true, "/api/v1/log/entries", string(compact(f, p)))
		f.Add(true, "/api/v1/log/entries/retrieve", string(compact(f, obj{"entries": []obj{p}})))
	}
	f.Add(true, "/api/v1/log/entries/retrieve", `{"entryUUIDs":["`+id+`"],"logIndexes":[0,1]}`)
	for _, body := range []string{
		`{"email":"a@b.example","hash":"sha256:` + zeros64 + `","operator":"and"}`, `{"publicKey":{"format":"ssh","content":"AAAA"}}`,
		`{"publicKey":{"format":"tuf","content":"e30="}}`, `{"publicKey":{"format":"minisign","content":"AAAA"}}`, `{"publicKey":{"format":"pgp","content":"AAAA"}}`,
	} {
		f.Add(true, "/api/v1/index/retrieve", body)
	}
	for _, path := range []string{
		"/api/v1/log", "/api/v1/log/publicKey?treeID=1", "/api/v1/log/proof?firstSize=1&lastSize=2", "/api/v1/log/entries?logIndex=1",
		"/api/v1/log/entries/" + id, "/api/v1/log/entries/" + id[16:], "/ping", "/", "",
	} {
		f.Add(false, path, "")
	}
	verifier, err := signature.LoadVerifier(e.keys["v1"].Public(), crypto.SHA256)
	e.must(err)
	statuses := []int{200, 201, 204, 400, 404, 405, 413, 415, 422}
	f.Fuzz(func(t *testing.T, post bool, path, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}, Body: http.NoBody}
		if post {
			r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			r.URL = u
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		e.service.ServeHTTP(w, r)
		switch {
		case !slices.Contains(statuses, w.Code):
			t.Fatalf("%d %s", w.Code, w.Body)
		case w.Code == http.StatusCreated:
			_, entry := only(t, w.Body.String())
			if err := verify.VerifyLogEntry(t.Context(), &entry, verifier); err != nil {
				t.Fatal(err)
			}
		case w.Code >= 400 && w.Body.Len() > 0:
			var problem struct {
				Code    int
				Message string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Code < 400 || problem.Message == "" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	})
}
