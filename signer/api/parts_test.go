// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
)

// tray is a spool in memory that counts what is open.
type tray struct {
	mu   sync.Mutex
	open int
	full bool
	// share is a tenant's; 0: much. over: it is taken.
	share int64
	over  bool
	// broken is an error of its own.
	broken error
	logged bytes.Buffer
}

func (s *tray) Share() int64 { return cmp.Or(s.share, 1<<30) }

func (s *tray) Receive(_ string, r io.Reader, limit int64) (signer.Stored, func(), error) {
	if s.full {
		return signer.Stored{}, nil, fmt.Errorf("%w: no room", signer.ErrBusy)
	}
	if s.over {
		return signer.Stored{}, nil, &signer.OverQuota{Of: "room", RetryAfter: 7 * time.Second}
	}
	if s.broken != nil {
		return signer.Stored{}, nil, s.broken
	}
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return signer.Stored{}, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	d := signer.Stored{From: bytes.NewReader(content), Size: int64(len(content)), Digest: attest.DigestOf(content)}
	return d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}, nil
}

// partsService remembers the request and reads its documents.
type partsService struct {
	service
	expect func(signer.Request) error
	got    signer.Request
	read   []string
}

func (s *partsService) take(req signer.Request) {
	s.got = req
	for _, d := range req.Documents {
		b := make([]byte, d.Stored.Size)
		_, _ = d.Stored.From.ReadAt(b, 0)
		s.read = append(s.read, string(b))
	}
}

func (s *partsService) Sign(_ context.Context, req signer.Request) (signer.Receipt, error) {
	s.take(req)
	return signer.Receipt{ID: "signed"}, nil
}

func (s *partsService) DryRun(_ context.Context, req signer.Request) (signer.Explanation, error) {
	s.take(req)
	return signer.Explanation{Rule: "dry"}, nil
}

func (s *partsService) AttestDocuments(_ context.Context, req signer.Request) ([]signer.Receipt, error) {
	s.take(req)
	bundle := signer.Attached{Bundle: []byte("a bundle")}
	return []signer.Receipt{{ID: "attested", Attached: bundle, Others: []signer.Attached{bundle}}}, nil
}

func (s *partsService) Expect(ctx context.Context, req signer.Request) (*signer.Admission, error) {
	if s.expect != nil {
		if err := s.expect(req); err != nil {
			return nil, err
		}
	}
	return s.Admit(ctx, req)
}

type partsWorld struct {
	*tray
	*partsService
	handler http.Handler
}

func newParts(t *testing.T) *partsWorld {
	t.Helper()
	w := &partsWorld{tray: &tray{}, partsService: &partsService{}}
	var err error
	w.handler, err = api.New(api.Config{
		Signer: w.partsService, Receipts: w.service, Logs: w.logs, Logger: slog.New(slog.NewTextHandler(&w.logged, nil)), RequestID: func(context.Context) string { return "id" },
		Trust: func(context.Context) (root, config []byte) { return nil, nil }, Spool: w.tray,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const boundary = "b0undary"

// part writes a part; no disposition without a name.
func part(name, content string, headers ...string) string {
	text := "--" + boundary + "\r\n"
	if name != "" {
		text += fmt.Sprintf("Content-Disposition: form-data; name=%q\r\n", name)
	}
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text + "\r\n" + content + "\r\n"
}

const theEnd = "--" + boundary + "--\r\n"

func (w *partsWorld) post(t *testing.T, path, token string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hallmark/v1/"+path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

const twoDocuments = `{"image": "i", "platform": "all", "evidence": [{"part": "a", "name": "sbom.json", "kind": "sbom"}, {"part": "b"}]}`

func TestParts(t *testing.T) {
	for path, id := range map[string]string{"sign": "signed", "attest": "attested"} {
		w := newParts(t)
		// In any order; and what is in them may look like anything.
		got := w.post(t, path, "good", strings.NewReader(part("request", twoDocuments)+part("b", "--b0undar\r\n<x/>")+part("a", `{"a": 1}`)+theEnd))
		if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), id) {
			t.Fatalf("%s: %d %s", path, got.Code, got.Body)
		}
		if w.got.Image != "i" || w.got.Platform != "all" || w.got.Documents[0].Name != "sbom.json" || w.got.Documents[0].Kind != attest.EvidenceSBOM ||
			len(w.read) != 2 || w.read[0] != `{"a": 1}` || w.read[1] != "--b0undar\r\n<x/>" {
			t.Errorf("%s: %+v with %q", path, w.got, w.read)
		}
		if w.open != 0 {
			t.Errorf("%s: %d documents are left", path, w.open)
		}
		// There may be a hundred megabytes of bundles.
		if path == "attest" && strings.Count(got.Body.String(), `"bundle":null`) != 2 {
			t.Errorf("the answer has bundles: %s", got.Body)
		}
	}
	w := newParts(t)
	got := w.post(t, "sign", "good", strings.NewReader(part("request", `{"image": "i", "dryRun": true, "evidence": [{"part": "a"}]}`)+part("a", `x`)+theEnd),
		"Content-Type: multipart/mixed; boundary="+boundary)
	if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "dry") {
		t.Errorf("dry run: %d %s", got.Code, got.Body)
	}
}

// TestBadParts: each is refused with its problem, nobody is asked to sign, and
// nothing is left.
func TestBadParts(t *testing.T) {
	good := part("request", twoDocuments) + part("a", "x") + part("b", "y") + theEnd
	digest := func(content string) string { return string(attest.DigestOf([]byte(content))) }
	announced := func(digest string, size int) string {
		return part("request", fmt.Sprintf(`{"image": "i", "evidence": [{"part": "a", "digest": %q, "size": %d}]}`, digest, size)) + part("a", "x") + theEnd
	}
	for name, tc := range map[string]struct {
		body    string
		code    int
		headers []string
	}{
		"good":                   {good, 200, nil},
		"as announced":           {announced(digest("x"), 1), 200, nil},
		"another digest":         {announced(digest("y"), 1), 400, nil},
		"another size":           {announced(digest("x"), 2), 400, nil},
		"no digest":              {announced("x", 1), 400, nil},
		"above the limit":        {announced(digest("x"), 256<<20+1), 413, nil},
		"truncated":              {good[:len(good)-20], 400, nil},
		"truncated document":     {good[:strings.Index(good, "y")+1], 400, nil},
		"empty":                  {"", 400, nil},
		"no part":                {theEnd, 400, nil},
		"no name":                {part("request", twoDocuments) + part("", "x") + part("b", "y") + theEnd, 400, nil},
		"twice":                  {part("request", twoDocuments) + part("a", "x") + part("a", "x") + theEnd, 400, nil},
		"one missing":            {part("request", twoDocuments) + part("a", "x") + theEnd, 400, nil},
		"one more":               {part("request", twoDocuments) + part("a", "x") + part("b", "y") + part("c", "z") + theEnd, 400, nil},
		"more after the end":     {good + "more", 400, nil},
		"request is not first":   {part("a", "x") + part("request", twoDocuments) + theEnd, 400, nil},
		"request twice":          {part("request", twoDocuments) + part("request", twoDocuments) + theEnd, 400, nil},
		"request is not JSON":    {part("request", "x") + theEnd, 400, nil},
		"request is large":       {part("request", `{"image": "`+strings.Repeat("i", 70<<10)+`"}`) + theEnd, 413, nil},
		"unknown member":         {part("request", `{"image": "i", "x": 1, "evidence": [{"part": "a"}]}`) + part("a", "x") + theEnd, 400, nil},
		"no evidence":            {part("request", `{"image": "i"}`) + theEnd, 400, nil},
		"one name for two":       {part("request", `{"image": "i", "evidence": [{"part": "a"}, {"part": "a"}]}`) + theEnd, 400, nil},
		"a name of ours":         {part("request", `{"image": "i", "evidence": [{"part": "request"}]}`) + theEnd, 400, nil},
		"a thousand parts":       {part("request", twoDocuments) + strings.Repeat(part("z", ""), 1000) + theEnd, 400, nil},
		"no boundary":            {good, 400, []string{"Content-Type: multipart/form-data"}},
		"another boundary":       {good, 400, []string{"Content-Type: multipart/form-data; boundary=x"}},
		"gzip":                   {good, 415, []string{"Content-Encoding: gzip"}},
		"gzip in a part":         {part("request", twoDocuments) + part("a", "x", "Content-Encoding: gzip") + theEnd, 415, nil},
		"base64 in a part":       {part("request", twoDocuments) + part("a", "eA==", "Content-Transfer-Encoding: base64") + theEnd, 415, nil},
		"headers without an end": {part("request", twoDocuments) + "--" + boundary + "\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 20_000), 400, nil},
		"claims of nothing":      {part("request", `{"image": "i", "evidence": [{"part": "a"}], "dependencies": [{}]}`) + part("a", "x") + theEnd, 400, nil},
	} {
		w := newParts(t)
		got := w.post(t, "sign", "good", strings.NewReader(tc.body), tc.headers...)
		if got.Code != tc.code {
			t.Errorf("%s: %d %s, want %d", name, got.Code, got.Body, tc.code)
		}
		if tc.code != 200 && (w.got.Image != "" || !strings.Contains(got.Body.String(), "urn:hallmark:problem:")) {
			t.Errorf("%s: %s was asked to be signed; answer %s", name, w.got.Image, got.Body)
		}
		if w.open != 0 {
			t.Errorf("%s: %d documents are left", name, w.open)
		}
	}
}

// TestPartsOfStrangers: nothing is read for somebody whose token is no good, and
// no document for somebody whom the policy refuses.
func TestPartsOfStrangers(t *testing.T) {
	w := newParts(t)
	if got := w.post(t, "sign", "bad", unread{t}); got.Code != http.StatusUnauthorized {
		t.Errorf("a stranger: %d %s", got.Code, got.Body)
	}
	w.expect = func(req signer.Request) error {
		if req.Image != "i" || len(req.Documents) != 2 || req.Documents[0].Kind != attest.EvidenceSBOM {
			t.Errorf("asked about %+v", req)
		}
		return &signer.Refused{Stage: "policy", Reasons: []string{"not you"}}
	}
	for _, path := range []string{"sign", "attest"} {
		// The reader of parts looks a little ahead.
		request := io.MultiReader(strings.NewReader(part("request", twoDocuments)+part("a", strings.Repeat("x", 64<<10))), unread{t})
		if got := w.post(t, path, "good", request); got.Code != http.StatusForbidden || w.open != 0 {
			t.Errorf("%s refused: %d %s, %d documents", path, got.Code, got.Body, w.open)
		}
	}
}

// TestPartsWithoutRoom: who comes when there is no room is told to come again.
func TestPartsWithoutRoom(t *testing.T) {
	w := newParts(t)
	w.full = true
	got := w.post(t, "sign", "good", strings.NewReader(part("request", twoDocuments)+part("a", "x")+part("b", "y")+theEnd))
	if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// TestPartsBrokenSpool: what is wrong with the service is not said to be wrong with the request, and nobody outside learns of files and disks.
func TestPartsBrokenSpool(t *testing.T) {
	w := newParts(t)
	w.broken = errors.New("keep document: write /var/lib/hallmark/spool/document-1: input/output error")
	for _, path := range []string{"sign", "attest"} {
		got := w.post(t, path, "good", strings.NewReader(part("request", twoDocuments)+part("a", "x")+part("b", "y")+theEnd))
		if got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "/var/") || w.open != 0 {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
		if !strings.Contains(w.logged.String(), "/var/lib/hallmark/spool/document-1") {
			t.Errorf("%s: nobody who runs the service is told: %s", path, w.logged.String())
		}
		w.logged.Reset()
	}
}

// TestPartsPanic: a fault while documents come takes no place away for ever.
func TestPartsPanic(t *testing.T) {
	w := newParts(t)
	w.expect = func(signer.Request) error { panic("a fault") }
	body := part("request", twoDocuments) + part("a", "x") + part("b", "y") + theEnd
	for range 40 { // more than there are places
		func() {
			defer func() { _ = recover() }()
			w.post(t, "sign", "good", strings.NewReader(body))
		}()
	}
	w.expect = nil
	if got := w.post(t, "sign", "good", strings.NewReader(body)); got.Code != http.StatusOK {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// TestPartsBeyondTheShare: a project whose share is taken is told when to come
// again; one whose request alone is larger than any share is not.
func TestPartsBeyondTheShare(t *testing.T) {
	body := part("request", twoDocuments) + part("a", "x") + part("b", "y") + theEnd
	w := newParts(t)
	w.over = true
	got := w.post(t, "sign", "good", strings.NewReader(body))
	if got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") != "7" || !strings.Contains(got.Body.String(), "over-quota") || w.open != 0 {
		t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
	}
	w = newParts(t)
	w.share = 1
	large := strings.Replace(body, "x", strings.Repeat("x", 1<<18), 1)
	for _, r := range []io.Reader{strings.NewReader(large), io.MultiReader(strings.NewReader(large))} { // with its length, and without
		got = w.post(t, "sign", "good", r)
		if got.Code != http.StatusRequestEntityTooLarge || w.open != 0 || w.got.Image != "" {
			t.Errorf("%d %s, %d open", got.Code, got.Body, w.open)
		}
	}
}

// TestPartsClientGone: a client that goes away in the middle leaves nothing.
func TestPartsClientGone(t *testing.T) {
	w := newParts(t)
	gone := io.MultiReader(strings.NewReader(part("request", twoDocuments)+part("a", "x")+"--"+boundary), broken{})
	if got := w.post(t, "sign", "good", gone); got.Code != http.StatusBadRequest || w.open != 0 || w.got.Image != "" {
		t.Errorf("%d %s, %d documents", got.Code, got.Body, w.open)
	}
	slow := io.MultiReader(strings.NewReader(part("request", twoDocuments)+part("a", "x")+"--"+boundary), late{})
	if got := w.post(t, "sign", "good", slow); got.Code != http.StatusRequestTimeout || w.open != 0 {
		t.Errorf("%d %s, %d documents", got.Code, got.Body, w.open)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

type late struct{}

func (late) Read([]byte) (int, error) { return 0, timeout{} }

type timeout struct{}

func (timeout) Error() string { return "i/o timeout" }
func (timeout) Timeout() bool { return true }

// TestPartsDescription: OpenAPI tells of them.
func TestPartsDescription(t *testing.T) {
	w := newParts(t)
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hallmark/v1/openapi.json", nil))
	var doc struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct{ Content map[string]any }
			}
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/hallmark/v1/sign", "/hallmark/v1/attest"} {
		if doc.Paths[path].Post.RequestBody.Content["multipart/form-data"] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	if !strings.Contains(answer.Body.String(), `"dependencies"`) {
		t.Error("claims are not described")
	}
}

// FuzzParts: whatever comes, nothing is left, nothing goes wrong inside, and what
// is signed has the documents that were announced.
func FuzzParts(f *testing.F) {
	f.Add(part("request", twoDocuments) + part("a", "x") + part("b", "y") + theEnd)
	f.Add(part("request", twoDocuments) + part("a", "x") + theEnd)
	f.Add(part("request", `{"image": "i", "evidence": [{"part": "a", "size": 1}]}`) + part("a", "x", "Content-Type: text/plain") + theEnd + "\r\n")
	f.Add("--" + boundary + "\r\n\r\n--" + boundary + "--")
	f.Fuzz(func(t *testing.T, body string) {
		w := newParts(t)
		got := w.post(t, "sign", "good", strings.NewReader(body))
		if w.open != 0 {
			t.Errorf("%d documents are left", w.open)
		}
		if got.Code >= http.StatusInternalServerError {
			t.Errorf("answer %d %s", got.Code, got.Body)
		}
		if got.Code == http.StatusOK && (w.got.Image == "" || len(w.read) == 0 || len(w.read) != len(w.got.Documents)) {
			t.Errorf("signed %+v with %q", w.got, w.read)
		}
	})
}
