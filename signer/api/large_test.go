// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
)

// service takes the token "good" and does what the test says.
type service struct {
	attest   func(signer.Request) (signer.Receipt, error)
	receipts func() ([]signer.Receipt, error)
	logs     logs
	trust    func() []byte
}

func (s service) Admit(_ context.Context, req signer.Request) (*signer.Admission, error) {
	switch req.Token {
	case "good":
		return new(signer.Admission), nil
	case "busy":
		return nil, &signer.OverQuota{Of: "project 1 of github", RetryAfter: 1500 * time.Millisecond}
	case "stranger":
		return nil, &signer.Refused{Stage: "policy", Reasons: []string{"no rule admits this identity"}}
	}
	return nil, &signer.Unauthenticated{Reason: "bad_signature", Detail: "no"}
}

func (s service) Sign(context.Context, signer.Request) (signer.Receipt, error) {
	return signer.Receipt{}, errors.New("not asked for here")
}

func (s service) DryRun(context.Context, signer.Request) (signer.Explanation, error) {
	return signer.Explanation{}, errors.New("not asked for here")
}

func (s service) Expect(ctx context.Context, req signer.Request) (*signer.Admission, error) {
	return s.Admit(ctx, req)
}

func (s service) AttestDocuments(context.Context, signer.Request) ([]signer.Receipt, error) {
	return nil, errors.New("not asked for here")
}

func (s service) Attest(_ context.Context, req signer.Request) (signer.Receipt, error) {
	return s.attest(req)
}

func (s service) ReceiptPage(context.Context, signer.ReceiptQuery) ([]signer.ReceiptOutline, error) {
	found, err := s.receipts()
	var page []signer.ReceiptOutline
	for _, r := range found {
		page = append(page, signer.ReceiptOutline{Receipt: r})
	}
	return page, err
}

func (s service) Receipt(_ context.Context, id string) (signer.Receipt, error) {
	return signer.Receipt{ID: id}, nil
}

func newHandler(t *testing.T, attest func(signer.Request) (signer.Receipt, error)) http.Handler {
	t.Helper()
	return handlerOf(t, service{attest: attest})
}

func handlerOf(t *testing.T, s service) http.Handler {
	t.Helper()
	return handlerFor(t, s, s)
}

func handlerFor(t *testing.T, signs api.Signer, s service) http.Handler {
	t.Helper()
	return handlerWith(t, signs, s, s)
}

// handlerOver serves receipts from elsewhere.
func handlerOver(t *testing.T, receipts api.Receipts) http.Handler {
	t.Helper()
	return handlerWith(t, service{}, service{}, receipts)
}

func handlerWith(t *testing.T, signs api.Signer, s service, receipts api.Receipts) http.Handler {
	t.Helper()
	handler, err := api.New(api.Config{
		Signer: signs, Receipts: receipts, Logs: s.logs, Logger: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "id" },
		Trust: func(context.Context) (root, config []byte) { return s.trust(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func post(ctx context.Context, handler http.Handler, token string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/hallmark/v1/attest", body)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func done(signer.Request) (signer.Receipt, error) { return signer.Receipt{ID: "r"}, nil }

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestStrangersBody: without a token that is good, no body is read.
func TestStrangersBody(t *testing.T) {
	handler := newHandler(t, done)
	w := post(t.Context(), handler, "bad", unread{t})
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "urn:hallmark:problem:unauthenticated") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
		t.Errorf("WWW-Authenticate %q", got)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestLargePredicate: a predicate costs a few times its bytes, whatever it is made of.
func TestLargePredicate(t *testing.T) {
	predicate := `{"a":[` + strings.Repeat("{},", 1<<20) + `{}]}`
	var got string
	handler := newHandler(t, func(req signer.Request) (signer.Receipt, error) {
		got = string(req.Predicate)
		return signer.Receipt{}, nil
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := post(t.Context(), handler, "good", strings.NewReader(`{"image":"i","predicateType":"p","predicate":`+predicate+`}`))
	runtime.ReadMemStats(&after)
	if w.Code != http.StatusOK || got != predicate {
		t.Fatalf("answer %d, predicate kept: %v", w.Code, got == predicate)
	}
	if cost := (after.TotalAlloc - before.TotalAlloc) / uint64(len(predicate)); cost > 12 {
		t.Errorf("a predicate of %d bytes cost %d times its size", len(predicate), cost)
	}
}

// TestBodiesTakeTurns: what is in memory at a time is bounded, and who does
// not get a turn is told to come again.
func TestBodiesTakeTurns(t *testing.T) {
	working, finish := make(chan struct{}), make(chan struct{})
	handler := newHandler(t, func(signer.Request) (signer.Receipt, error) {
		working <- struct{}{}
		<-finish
		return signer.Receipt{}, nil
	})
	const body = `{"image":"i","predicateType":"p","predicate":{}}`
	// Without a Content-Length a body counts as the largest.
	unsized := func() io.Reader { return io.MultiReader(strings.NewReader(body)) }
	answers := make(chan int)
	for _, large := range []bool{true, false, false} { // small ones never wait for large ones
		go func() {
			r := io.Reader(strings.NewReader(body))
			if large {
				r = unsized()
			}
			answers <- post(t.Context(), handler, "good", r).Code
		}()
		<-working
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := post(gone, handler, "good", unsized())
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer %d %s, headers %v", w.Code, w.Body, w.Header())
	}
	close(finish)
	for range 3 {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("answer %d", code)
		}
	}
	go func() { <-working }()
	if w := post(t.Context(), handler, "good", unsized()); w.Code != http.StatusOK {
		t.Errorf("after the others: %d", w.Code)
	}
}

func TestAttestBody(t *testing.T) {
	handler := newHandler(t, done)
	for body, want := range map[string]int{
		`{"image":"i","predicateType":"p","predicate":{"a":1}}`:        http.StatusOK,
		` {"predicate":[],"predicateType":"p","image":"i"} `:           http.StatusOK, // what it is, is the signer's business
		`{"image":"i","predicateType":"p","predicate":{}} x`:           http.StatusBadRequest,
		`{"image":"i","predicateType":"p","predicate":{}`:              http.StatusBadRequest,
		`{"image":"i","image":"j","predicateType":"p","predicate":{}}`: http.StatusBadRequest,
		`{"image":"i","Image":"j","predicateType":"p","predicate":{}}`: http.StatusBadRequest,
		`{"image":"i","predicateType":"p","predicate":{},"more":1}`:    http.StatusBadRequest,
		`{"image":"i","predicateType":"p"}`:                            http.StatusBadRequest,
		`{"image":"","predicateType":"p","predicate":{}}`:              http.StatusBadRequest,
		`{"image":1,"predicateType":"p","predicate":{}}`:               http.StatusBadRequest,
		`{"image":"i","predicateType":"p","predicate":{"a":}}`:         http.StatusBadRequest,
		`["image"]`: http.StatusBadRequest,
		``:          http.StatusBadRequest,
	} {
		if w := post(t.Context(), handler, "good", strings.NewReader(body)); w.Code != want {
			t.Errorf("%s: answer %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
}

// TestLookupsTakeTurns: strangers may ask what was signed, a few at a time.
func TestLookupsTakeTurns(t *testing.T) {
	working, finish := make(chan struct{}), make(chan struct{})
	handler := handlerOf(t, service{receipts: func() ([]signer.Receipt, error) {
		working <- struct{}{}
		<-finish
		return []signer.Receipt{{ID: "r"}}, nil
	}})
	get := func(ctx context.Context) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/hallmark/v1/artifacts/sha256:"+strings.Repeat("0", 64), nil))
		return w.Code
	}
	const turns = 4
	answers := make(chan int)
	for range turns {
		go func() { answers <- get(t.Context()) }()
		<-working
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if code := get(gone); code != http.StatusServiceUnavailable {
		t.Errorf("one more: answer %d", code)
	}
	close(finish)
	for range turns {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("answer %d", code)
		}
	}
}

// TestFlood: over the bound of recorded refusals the answer is another one,
// and it says when to come again.
func TestFlood(t *testing.T) {
	handler := newHandler(t, func(signer.Request) (signer.Receipt, error) {
		return signer.Receipt{}, fmt.Errorf("%w: of this one: bad", signer.ErrTooManyRefusals)
	})
	w := post(t.Context(), handler, "good", strings.NewReader(`{"image":"i","predicateType":"p","predicate":{}}`))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "urn:hallmark:problem:too-many-refusals") {
		t.Errorf("answer %d %s, headers %v", w.Code, w.Body, w.Header())
	}
}
