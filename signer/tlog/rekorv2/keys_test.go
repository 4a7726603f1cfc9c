// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// registered makes a service whose only writers are the keys given.
func registered(t testing.TB, clock func() time.Time, keys ...writers.Key) *env {
	t.Helper()
	return newEnv(t, func(_ *tlog.Config, cfg *writers.Config) {
		cfg.Mode, cfg.Keys, cfg.Clock = writers.Issued, keys, clock
		cfg.CheckIssued = func(*x509.Certificate) (crypto.PublicKey, error) { return nil, errors.New("its issuer is unknown") }
	})
}

func TestRegisteredKeys(t *testing.T) {
	all := signers(t)
	later := time.Now().Add(time.Hour)
	var keys []writers.Key
	for _, w := range all[1:] {
		keys = append(keys, writers.Key{Name: w.name, Owner: "team@corp.example", PublicKey: w.key.Public(), Expires: later})
	}
	keys[0].Expires = time.Unix(1_700_000_000, 0)
	e := registered(t, nil, keys...)
	stranger, expired := all[0], all[1]
	if got := e.post(body(t, stranger.request(t, "artifact"))); got.status != 403 || got.code != 7 || !strings.Contains(got.message, "is not registered") || !strings.Contains(got.message, "log.keys") {
		t.Errorf("a stranger: %d %s", got.status, got.body)
	}
	if got := e.post(body(t, expired.request(t, "artifact"))); got.status != 403 || got.code != 7 || !strings.Contains(got.message, "key P-384 of team@corp.example has expired on 2023-11-14T22:13:20Z") {
		t.Errorf("an expired key: %d %s", got.status, got.body)
	}
	if e.log.Size() != 0 {
		t.Fatalf("%d entries", e.log.Size())
	}
	for n, w := range all[2:] {
		req := w.request(t, "artifact")
		for range 2 {
			if got := e.post(body(t, req)); got.index(t) != fmt.Sprint(n) {
				t.Errorf("%s: %s", w.name, got.body)
			}
		}
		if got := e.post(body(t, w.withCertificate(t, w.request(t, "artifact"), 0))); got.status != 403 || !strings.Contains(got.message, "bare public key") {
			t.Errorf("%s in a certificate: %d %s", w.name, got.status, got.body)
		}
	}
	p521 := all[2]
	req := p521.request(t, "once more")
	first := e.post(body(t, req)).index(t)
	req.Signature.Content = mirror(t, p521.key.Public(), req.Signature.Content)
	if got := e.post(body(t, req)).index(t); got != first {
		t.Errorf("the other spelling is entry %s, not %s", got, first)
	}
	if e.log.Size() != int64(len(all)-1) {
		t.Errorf("%d entries", e.log.Size())
	}
}

func TestRateOfAKey(t *testing.T) {
	var now atomic.Int64
	now.Store(1_800_000_000)
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	w := signers(t)[0]
	e := registered(t, clock, writers.Key{Name: "release", Owner: "team", PublicKey: w.key.Public(), Expires: time.Unix(1_900_000_000, 0), PerMinute: 2})
	first := body(t, w.request(t, "a"))
	e.post(first).index(t)
	e.post(body(t, w.request(t, "b"))).index(t)
	third := body(t, w.request(t, "c"))
	got := e.post(third)
	if got.status != 429 || got.code != 8 || got.header.Get("Retry-After") != "30" || !strings.Contains(got.message, "2 entries per minute") || e.log.Size() != 2 {
		t.Errorf("%d %v %s, %d entries", got.status, got.header, got.body, e.log.Size())
	}
	if e.post(first).index(t) != "0" {
		t.Error("a retry of what is logged has a price")
	}
	now.Add(30)
	if e.post(third).index(t) != "2" {
		t.Error("not admitted after waiting as told")
	}
}
