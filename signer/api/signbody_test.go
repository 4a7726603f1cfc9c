// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// gatesService is a service that signs and explains as the test says.
type gatesService struct {
	service
	sign func(signer.Request) (signer.Receipt, error)
	dry  func(signer.Request) (signer.Explanation, error)
}

func (s gatesService) Sign(_ context.Context, req signer.Request) (signer.Receipt, error) {
	return s.sign(req)
}

func (s gatesService) DryRun(_ context.Context, req signer.Request) (signer.Explanation, error) {
	return s.dry(req)
}

func postSign(ctx context.Context, handler http.Handler, token string, body io.Reader, length int64) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/hallmark/v1/sign", body)
	if length != 0 {
		r.ContentLength = length
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestSignBody(t *testing.T) {
	var got signer.Request
	s := gatesService{
		sign: func(req signer.Request) (signer.Receipt, error) { got = req; return signer.Receipt{ID: "r"}, nil },
		dry: func(req signer.Request) (signer.Explanation, error) {
			got = req
			return signer.Explanation{Allowed: true}, nil
		},
	}
	handler := handlerOfGates(t, s)
	for body, want := range map[string]int{
		`{"image":"i"}`:                 http.StatusOK,
		`{"image":"i","dryRun":true}`:   http.StatusOK,
		`{"image":"i","evidence":[]}`:   http.StatusOK,
		`{"image":"i","evidence":null}`: http.StatusBadRequest,
		`{"image":"i","dryRun":"yes"}`:  http.StatusBadRequest,
		`{"image":"","dryRun":true}`:    http.StatusBadRequest,
		`{"dryRun":true}`:               http.StatusBadRequest,
		`{"image":"i","more":1}`:        http.StatusBadRequest,
		`{"image":"i","image":"j"}`:     http.StatusBadRequest,
		`{"image":"i"} {}`:              http.StatusBadRequest,
		`{"image":"i","evidence":[{}]}`: http.StatusBadRequest,
		`{"image":"i","evidence":[1]}`:  http.StatusBadRequest,
		`{"image":"i","evidence":{}}`:   http.StatusBadRequest,
		`{"image":"i","evidence":[{"name":"n","kind":"scan","document":{},"x":1}]}`:                          http.StatusBadRequest,
		`{"image":"i","evidence":[` + strings.TrimSuffix(strings.Repeat(`{"document":{}},`, 65), ",") + `]}`: http.StatusBadRequest,
		`[]`: http.StatusBadRequest,
		``:   http.StatusBadRequest,
	} {
		if w := postSign(t.Context(), handler, "good", strings.NewReader(body), 0); w.Code != want {
			t.Errorf("%.80s: answer %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	// JSON comes through byte for byte, another format as its text.
	const document = `{ "b":  1, "a": "\u00e9" }`
	postSign(t.Context(), handler, "good", strings.NewReader(`{"image":"i","evidence":[{"name":"n","kind":"sbom","document":`+document+`},{"document":"<a>\n</a>"}]}`), 0)
	if len(got.Documents) != 2 || string(got.Documents[0].Content) != document || got.Documents[0].Kind != attest.EvidenceSBOM || got.Documents[0].Name != "n" ||
		string(got.Documents[1].Content) != "<a>\n</a>" {
		t.Errorf("documents %+v", got.Documents)
	}
	w := postSign(t.Context(), handler, "good", strings.NewReader(`{"image":"i","dryRun":true}`), 0)
	if !strings.Contains(w.Body.String(), `"allowed":true`) {
		t.Errorf("dry run: %s", w.Body)
	}
}

func handlerOfGates(t *testing.T, s gatesService) http.Handler {
	t.Helper()
	s.service = service{attest: done}
	return handlerFor(t, s, s.service)
}

// TestLargeSignBody: a large body is not read for strangers, one that is too
// large for nobody, and 100 MB cost nothing.
func TestLargeSignBody(t *testing.T) {
	handler := handlerOfGates(t, gatesService{sign: done})
	if w := postSign(t.Context(), handler, "bad", unread{t}, 1<<20); w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger's large body: %d %s", w.Code, w.Body)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for path, post := range map[string]func() *httptest.ResponseRecorder{
		"sign":   func() *httptest.ResponseRecorder { return postSign(t.Context(), handler, "good", unread{t}, 100<<20) },
		"attest": func() *httptest.ResponseRecorder { return postLarge(t, handler, unread{t}, 100<<20) },
	} {
		w := post()
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "urn:hallmark:problem:request-too-large") {
			t.Errorf("100 MB to %s: %d %s", path, w.Code, w.Body)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 1 {
		t.Errorf("100 MB cost %d MiB", grown)
	}
	// Without a length it is read up to the limit and no further.
	endless := io.LimitReader(zeros{}, 100<<20)
	if w := postSign(t.Context(), handler, "good", endless, -1); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("100 MB of unsaid length: %d %s", w.Code, w.Body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func postLarge(t *testing.T, handler http.Handler, body io.Reader, length int64) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hallmark/v1/attest", body)
	r.ContentLength = length
	r.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestEvidenceProblems: each has its type, and a refusal its checks.
func TestEvidenceProblems(t *testing.T) {
	_, unreadable := attest.ReadDocument("scan.json", []byte(`{}`))
	_, large := attest.ReadDocument("scan.json", make([]byte, 17<<20))
	for _, tc := range []struct {
		err  error
		code int
		name string
	}{
		{fmt.Errorf("%w: %w", signer.ErrBadRequest, unreadable), http.StatusUnprocessableEntity, "unreadable-evidence"},
		{fmt.Errorf("%w: %w", signer.ErrBadRequest, large), http.StatusRequestEntityTooLarge, "document-too-large"},
		{fmt.Errorf("%w: 17 documents", signer.ErrBadRequest), http.StatusBadRequest, "bad-request"},
		{errors.New("anything"), http.StatusInternalServerError, "internal"},
	} {
		handler := handlerOfGates(t, gatesService{sign: func(signer.Request) (signer.Receipt, error) { return signer.Receipt{}, tc.err }})
		w := postSign(t.Context(), handler, "good", strings.NewReader(`{"image":"i"}`), 0)
		if w.Code != tc.code || !strings.Contains(w.Body.String(), "urn:hallmark:problem:"+tc.name) {
			t.Errorf("%v: %d %s", tc.err, w.Code, w.Body)
		}
	}
	refused := &signer.Refused{Stage: "policy", Reasons: []string{"a", "b"}, Checks: []policy.Check{{Rule: "r", Name: "evidence.sbom", Detail: "none"}}}
	handler := handlerOfGates(t, gatesService{sign: func(signer.Request) (signer.Receipt, error) { return signer.Receipt{}, refused }})
	w := postSign(t.Context(), handler, "good", strings.NewReader(`{"image":"i"}`), 0)
	var p struct {
		Type   string
		Errors []struct{ Message string }
		Checks []policy.Check
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusForbidden || p.Type != "urn:hallmark:problem:refused" || len(p.Errors) != 2 ||
		len(p.Checks) != 1 || p.Checks[0] != refused.Checks[0] || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s, %v", w.Code, w.Body, err)
	}
}

// TestSignDescription: OpenAPI tells of what is read and answered.
func TestSignDescription(t *testing.T) {
	handler := handlerOfGates(t, gatesService{sign: done})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hallmark/v1/openapi.json", nil))
	for _, says := range []string{`"dryRun"`, `"evidence"`, `"document"`, `"oneOf"`, `"Explanation"`, `"Receipt"`} {
		if !strings.Contains(w.Body.String(), says) {
			t.Errorf("no %s in %d %.200s", says, w.Code, w.Body)
		}
	}
}
