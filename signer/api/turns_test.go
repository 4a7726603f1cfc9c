// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

const smallAttest = `{"image":"i","predicateType":"p","predicate":{}}`

// TestRequestsTakeTurns: so many are worked on at a time, the others wait, and
// nothing of their bodies is read meanwhile.
func TestRequestsTakeTurns(t *testing.T) {
	const requests = 1000
	turns := int64(max(64, 32*runtime.GOMAXPROCS(0)))
	var atWork, most atomic.Int64
	full, finish := make(chan struct{}, requests), make(chan struct{})
	handler := newHandler(t, func(signer.Request) (signer.Receipt, error) {
		if n := atWork.Add(1); n > most.Load() {
			most.Store(n) // all are at work before any leaves
		}
		full <- struct{}{}
		<-finish
		atWork.Add(-1)
		return signer.Receipt{}, nil
	})
	answers := make(chan int, requests)
	for range requests {
		go func() { answers <- post(t.Context(), handler, "good", strings.NewReader(smallAttest)).Code }()
	}
	for range turns {
		<-full
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if w := post(gone, handler, "good", unread{t}); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one more, which went away: answer %d, headers %v", w.Code, w.Header())
	}
	if n := most.Load(); n != turns {
		t.Errorf("%d requests were worked on at a time, want %d", n, turns)
	}
	close(finish)
	for range requests {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("answer %d", code)
		}
	}
}

// TestQuota: the answer says when to come again, and the body is not read.
func TestQuota(t *testing.T) {
	w := post(t.Context(), newHandler(t, done), "busy", unread{t})
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), "urn:hallmark:problem:over-quota") {
		t.Errorf("answer %d %s, headers %v", w.Code, w.Body, w.Header())
	}
}

// TestStranger: whom no rule speaks of is refused before the body is read.
func TestStranger(t *testing.T) {
	w := post(t.Context(), newHandler(t, done), "stranger", unread{t})
	for _, want := range []string{"urn:hallmark:problem:refused", `"message":"no rule admits this identity"`, `"location":"policy"`} {
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), want) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("answer %d %s, want %s", w.Code, w.Body, want)
		}
	}
}

// TestReplayed: a token that was used up is refused for good.
func TestReplayed(t *testing.T) {
	handler := newHandler(t, func(req signer.Request) (signer.Receipt, error) {
		if req.Admission == nil {
			t.Error("what the token is was forgotten on the way")
		}
		return signer.Receipt{}, &signer.Replayed{Reason: signer.ReplayExhausted, Most: 20}
	})
	w := post(t.Context(), handler, "good", strings.NewReader(smallAttest))
	for _, want := range []string{"urn:hallmark:problem:token-replayed", `"message":"exhausted"`, "has served 20 different requests"} {
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), want) {
			t.Errorf("answer %d %s, want %s", w.Code, w.Body, want)
		}
	}
}
