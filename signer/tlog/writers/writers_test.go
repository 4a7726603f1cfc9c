// SPDX-License-Identifier: Apache-2.0

package writers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// clock is set by tests.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time               { return time.Unix(0, c.Load()) }
func (c *clock) advance(d time.Duration)      { c.Add(int64(d)) }
func newClock() *clock                        { c := &clock{}; c.Store(1_800_000_000e9); return c }
func (c *clock) in(d time.Duration) time.Time { return c.now().Add(d) }

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCertificate(t testing.TB, name string, subject crypto.PublicKey, issuer crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, subject, issuer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issuedBy is a Config.CheckIssued that goes by a certificate's name.
func issuedBy(issuer crypto.PublicKey) func(*x509.Certificate) (crypto.PublicKey, error) {
	return func(leaf *x509.Certificate) (crypto.PublicKey, error) {
		if leaf.Subject.CommonName != "ours" {
			return nil, errors.New("its issuer is unknown")
		}
		return issuer, nil
	}
}

func TestAdmit(t *testing.T) {
	c, authority := newClock(), newKey(t)
	release, old, stranger := newKey(t), newKey(t), newKey(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []writers.Key{
		{Name: "release", Owner: "team@corp.example", PublicKey: release.Public(), Expires: c.in(time.Hour)},
		{Name: "old", Owner: "team@corp.example", PublicKey: old.Public(), Expires: c.in(0)},
		{Name: "ed", Owner: "team@corp.example", PublicKey: ed.Public(), Expires: c.in(time.Hour)},
	}
	ours, foreign := newCertificate(t, "ours", stranger.Public(), authority), newCertificate(t, "foreign", stranger.Public(), stranger)
	wrapped := newCertificate(t, "foreign", release.Public(), stranger)
	for _, tc := range []struct {
		mode      writers.Mode
		name      string
		cert      *x509.Certificate
		key       crypto.PublicKey
		allowed   bool
		add, any  bool
		issuer    bool
		sentences []string // of the refusal, or the writer
	}{
		{writers.Issued, "ours", ours, stranger.Public(), true, false, false, true, []string{"certificate issued here"}},
		{writers.Issued, "foreign", foreign, stranger.Public(), false, false, false, false, []string{"certificate issued here", "its issuer is unknown"}},
		{writers.Issued, "a registered key in a certificate", wrapped, release.Public(), false, false, false, false, []string{"send the bare public key"}},
		{writers.Issued, "registered", nil, release.Public(), true, true, false, false, []string{"key release of team@corp.example"}},
		{writers.Issued, "registered Ed25519", nil, ed.Public(), true, true, false, false, []string{"key ed of team@corp.example"}},
		{writers.Issued, "expired", nil, old.Public(), false, false, false, false, []string{"key old of team@corp.example has expired on 2027-01-15T08:00:00Z", "hint"}},
		{writers.Issued, "unknown", nil, stranger.Public(), false, false, false, false, []string{fmt.Sprintf("SHA-256 %x", sha256.Sum256(spki(t, stranger.Public()))), "log.keys"}},
		{writers.Issued, "no key of X.509", nil, "PGP", false, false, false, false, []string{"this kind of key is not registered"}},
		{writers.Issued, "no key", nil, nil, false, false, false, false, []string{"this kind of key"}},
		{writers.Open, "stranger", nil, stranger.Public(), true, true, true, false, []string{"anybody"}},
		{writers.Open, "expired", nil, old.Public(), true, true, true, false, []string{"anybody"}},
		{writers.Closed, "ours", ours, stranger.Public(), false, false, false, false, []string{"signing service only"}},
		{writers.Closed, "registered", nil, release.Public(), false, false, false, false, []string{"signing service only"}},
	} {
		t.Run(string(tc.mode)+"/"+tc.name, func(t *testing.T) {
			w, err := writers.New(writers.Config{Mode: tc.mode, CheckIssued: issuedBy(authority.Public()), Keys: keys, Clock: c.now})
			if err != nil {
				t.Fatal(err)
			}
			p, err := w.Admit(writers.Claim{Certificate: tc.cert, PublicKey: tc.key})
			said := p.Writer
			if err != nil {
				refused := new(writers.Refused)
				if !errors.As(err, &refused) || refused.RetryAfter != 0 || p != (writers.Permission{}) {
					t.Errorf("%+v %v", p, err)
				}
				said = refused.Reason
			}
			if (err == nil) != tc.allowed || p.New != tc.add || p.AnySpelling != tc.any || (p.Issuer != nil) != tc.issuer {
				t.Errorf("%+v, %v", p, err)
			}
			for _, want := range tc.sentences {
				if !strings.Contains(said, want) {
					t.Errorf("%q lacks %q", said, want)
				}
			}
			if took := p.Take(t.Context(), writers.Addition{}); (took == nil) != tc.add {
				t.Errorf("taking a new entry: %v", took)
			}
			if closed := w.Closed(); (closed != nil) != (tc.mode == writers.Closed) {
				t.Errorf("closed: %v", closed)
			}
		})
	}
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestConfigIsChecked(t *testing.T) {
	key, other := newKey(t).Public(), newKey(t).Public()
	later := time.Now().Add(time.Hour)
	check := issuedBy(key)
	for name, cfg := range map[string]writers.Config{
		"no mode":         {CheckIssued: check},
		"unknown mode":    {Mode: "everybody", CheckIssued: check},
		"issued by whom?": {Mode: writers.Issued},
		"no name":         {Mode: writers.Open, Keys: []writers.Key{{Owner: "o", PublicKey: key, Expires: later}}},
		"no owner":        {Mode: writers.Open, Keys: []writers.Key{{Name: "n", PublicKey: key, Expires: later}}},
		"no expiry":       {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: key}}},
		"no key":          {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", Expires: later}}},
		"no key of X.509": {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: "PGP", Expires: later}}},
		"negative rate":   {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: key, Expires: later, PerMinute: -1}}},
		"one key twice":   {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: key, Expires: later}, {Name: "m", Owner: "o", PublicKey: key, Expires: later}}},
		"one name twice":  {Mode: writers.Open, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: key, Expires: later}, {Name: "n", Owner: "o", PublicKey: other, Expires: later}}},
	} {
		if _, err := writers.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := writers.New(writers.Config{Mode: writers.Closed, Keys: []writers.Key{{Name: "n", Owner: "o", PublicKey: key, Expires: time.Unix(1, 0)}}}); err != nil {
		t.Errorf("a key that has expired keeps a server from starting: %v", err)
	}
}

func TestRate(t *testing.T) {
	c, key := newClock(), newKey(t)
	w, err := writers.New(writers.Config{
		Mode: writers.Issued, CheckIssued: issuedBy(nil), Clock: c.now,
		Keys: []writers.Key{{Name: "release", Owner: "team", PublicKey: key.Public(), Expires: c.in(24 * time.Hour), PerMinute: 6}},
	})
	if err != nil {
		t.Fatal(err)
	}
	take := func() error {
		t.Helper()
		p, err := w.Admit(writers.Claim{PublicKey: key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		return p.Take(t.Context(), writers.Addition{})
	}
	wait := func(err error) time.Duration {
		t.Helper()
		refused := new(writers.Refused)
		if !errors.As(err, &refused) || refused.RetryAfter <= 0 || !strings.Contains(refused.Reason, "key release of team adds more than 6 entries per minute") {
			t.Fatalf("not refused for its rate: %v", err)
		}
		return refused.RetryAfter
	}
	for i := range 6 {
		if err := take(); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if got := wait(take()); got.Round(time.Millisecond) != 10*time.Second {
		t.Errorf("retry after %s", got)
	}
	c.advance(4 * time.Second)
	got := wait(take())
	if got.Round(time.Millisecond) != 6*time.Second {
		t.Errorf("retry after %s", got)
	}
	c.advance(got + time.Microsecond)
	if err := take(); err != nil {
		t.Errorf("after waiting as told: %v", err)
	}
	wait(take())
	c.advance(-time.Hour) // a clock that steps back neither fills nor blocks
	wait(take())
	c.advance(11 * time.Second)
	if err := take(); err != nil {
		t.Errorf("after the clock went back: %v", err)
	}
	c.advance(time.Hour) // a minute's worth is all that is saved up
	for range 6 {
		if err := take(); err != nil {
			t.Error(err)
		}
	}
	wait(take())
}

// Many at once take no more than there is.
func TestRateUnderConcurrency(t *testing.T) {
	c, key := newClock(), newKey(t)
	w, err := writers.New(writers.Config{
		Mode: writers.Issued, CheckIssued: issuedBy(nil), Clock: c.now,
		Keys: []writers.Key{{Name: "release", Owner: "team", PublicKey: key.Public(), Expires: c.in(time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if p, err := w.Admit(writers.Claim{PublicKey: key.Public()}); err == nil && p.Take(t.Context(), writers.Addition{}) == nil {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != writers.DefaultPerMinute {
		t.Errorf("%d entries, want %d", taken.Load(), writers.DefaultPerMinute)
	}
}
