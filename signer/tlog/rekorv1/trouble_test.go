// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

func TestNewRefuses(t *testing.T) {
	e := newEnv(t, options{})
	w, err := writers.New(writers.Config{Mode: writers.Closed})
	e.must(err)
	for name, cfg := range map[string]rekorv1.Config{"no logs": {Writers: w}, "no writers": {Set: e.set}} {
		if _, err := rekorv1.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// While storage is gone, clients are told to come back; then it works.
func TestStorageGone(t *testing.T) {
	var down atomic.Bool
	e := newEnv(t, options{config: tlog.Config{Fault: func(p tlog.Point) error {
		if p == tlog.BeforeCommit && down.Load() {
			return errors.New("the disk is full at /secret/place")
		}
		return nil
	}}})
	s := newSigner(t)
	p := compact(t, s.hashedrekord(t, "a", s.publicPEM(t)))
	down.Store(true)
	got := e.submit(p, http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") != "1" || got.body != `{"code":503,"message":"the transparency log is not available; retry"}` {
		t.Errorf("%+v", got)
	}
	down.Store(false)
	e.submit(p, http.StatusCreated)
}

// cut is a storage that can be away.
type cut struct {
	tlog.Storage
	away atomic.Bool
}

func (c *cut) Logs(ctx context.Context) ([]tlog.LogRow, error) {
	if c.away.Load() {
		return nil, errors.New("dial tcp 192.0.2.1:5432: connection refused")
	}
	return c.Storage.Logs(ctx)
}

// While storage cannot be read, nobody is told that something is not there, or
// what an older answer would be.
func TestReadingWithoutStorage(t *testing.T) {
	st := &cut{}
	e := newEnv(t, options{storage: func(s tlog.Storage) tlog.Storage { st.Storage = s; return st }})
	st.away.Store(true)
	for _, tc := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/log", ""},
		{http.MethodGet, "/api/v1/log/proof?lastSize=1", ""},
		{http.MethodGet, "/api/v1/log/publicKey", ""},
		{http.MethodGet, "/api/v1/log/entries?logIndex=0", ""},
		{http.MethodGet, "/api/v1/log/entries/" + zeros64, ""},
		{http.MethodPost, "/api/v1/log/entries/retrieve", `{"logIndexes":[0]}`},
		{http.MethodPost, "/api/v1/index/retrieve", `{"email":"a@b.example"}`},
	} {
		got := e.call(tc.method, tc.path, tc.body)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" ||
			got.body != `{"code":503,"message":"the transparency log is not available; retry"}` {
			t.Errorf("%s %s: %+v", tc.method, tc.path, got)
		}
	}
	st.away.Store(false)
	if got := e.call(http.MethodGet, "/api/v1/log/entries?logIndex=0", ""); got.status != http.StatusOK {
		t.Errorf("after it: %+v", got)
	}
}

// A pool that has no room for one entry is a full one.
func TestFullPool(t *testing.T) {
	e := newEnv(t, options{empty: true, config: tlog.Config{MaxWaitingBytes: 1}})
	s := newSigner(t)
	got := e.submit(compact(t, s.hashedrekord(t, "a", s.publicPEM(t))), http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") != "1" || got.body != `{"code":503,"message":"too many entries are waiting to be logged; retry"}` {
		t.Errorf("%+v", got)
	}
}

// A deployment may have a v2 log only.
func TestNoLog(t *testing.T) {
	st, key := storagetest.NewMemory(), p256(t)
	err := tlog.Create(t.Context(), st, tlog.Config{Name: "v2", Origin: host, Signer: key}, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active})
	if err != nil {
		t.Fatal(err)
	}
	set, err := tlog.LoadSet(t.Context(), st, tlog.SetConfig{Signer: func(tlog.LogRow) (crypto.Signer, error) { return key, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	w, err := writers.New(writers.Config{Mode: writers.Open})
	if err != nil {
		t.Fatal(err)
	}
	service, err := rekorv1.New(rekorv1.Config{Set: set, Writers: w})
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t)
	proposed := string(compact(t, s.hashedrekord(t, "a", s.publicPEM(t))))
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/api/v1/log", "", 501},
		{http.MethodGet, "/api/v1/log/publicKey", "", 501},
		{http.MethodPost, "/api/v1/log/entries", proposed, 501},
		{http.MethodGet, "/api/v1/log/entries?logIndex=0", "", 404},
		{http.MethodGet, "/api/v1/log/entries/" + zeros64, "", 404},
		{http.MethodPost, "/api/v1/index/retrieve", `{"email":"a@b.example"}`, 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, strings.NewReader(tc.body))
		r.Header.Set("Content-Type", "application/json")
		got := httptest.NewRecorder()
		service.ServeHTTP(got, r)
		if got.Code != tc.status {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, got.Code, got.Body)
		}
	}
}

// A client that has gone, and a deadline.
func TestGivenUp(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	body := string(compact(t, s.hashedrekord(t, "a", s.publicPEM(t))))
	for name, tc := range map[string]struct {
		cause  error
		status int
	}{"gone": {context.Canceled, 499}, "late": {context.DeadlineExceeded, 504}} {
		ctx, cancel := context.WithCancel(t.Context())
		if errors.Is(tc.cause, context.DeadlineExceeded) {
			ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		}
		cancel()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/log/entries", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		e.service.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// What cannot be verified is not logged, though the process itself asks.
func TestAppendRefuses(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	cert := s.certificate(t, newIssuer(t))
	other := newSigner(t).certificate(t, newIssuer(t))
	p384 := signers(t)[1].certificate(t, newIssuer(t))
	for name, env := range map[string]rekorv1.Envelope{
		"nothing":        {},
		"no signature":   {PayloadType: intotoType, Payload: []byte("x"), Certificate: cert},
		"no certificate": {PayloadType: intotoType, Payload: []byte("x"), Signature: []byte("x")},
		"other key":      signed(t, s, intotoType, "x", other),
		"other kind":     signed(t, signers(t)[1], intotoType, "x", p384),
		"other type":     func() rekorv1.Envelope { e := signed(t, s, intotoType, "x", cert); e.PayloadType = "y"; return e }(),
		"other payload":  func() rekorv1.Envelope { e := signed(t, s, intotoType, "x", cert); e.Payload = []byte("y"); return e }(),
		"no payload":     signed(t, s, intotoType, "", cert),
		"type not UTF-8": signed(t, s, "\xff", "x", cert),
		"broken DER":     signed(t, s, intotoType, "x", cert[:len(cert)-1]),
		"signature is P1": func() rekorv1.Envelope {
			e := signed(t, s, intotoType, "x", cert)
			e.Signature = make([]byte, 64)
			return e
		}(),
	} {
		var invalid *rekorv1.Invalid
		if _, err := e.service.Append(t.Context(), env); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e.active().Size() != 1 {
		t.Errorf("%d entries", e.active().Size())
	}
}

// A parser that panics is a refused entry, not a lost connection.
func TestParserPanics(t *testing.T) {
	e := newEnv(t, options{})
	err := rekorv1.SlowProposed(t.Context(), e.service, (*models.Hashedrekord)(nil))
	if err == nil || !strings.Contains(err.Error(), "it cannot be parsed (runtime error: ") {
		t.Error(err)
	}
}
