// SPDX-License-Identifier: Apache-2.0

package writers_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// uses is writers.Uses in memory, for certificates that were recorded.
type uses struct {
	recorded map[[32]byte]bool
	signed   map[[32]byte][32]byte
	leaves   map[string][32]byte // certificate + kind
	down     error
}

func (u *uses) UseCertificate(_ context.Context, cert, signature [32]byte, kind string, leaf [32]byte) (bool, error) {
	key := string(cert[:]) + kind
	if s, used := u.signed[cert]; used && s != signature || !u.recorded[cert] || u.down != nil {
		return false, u.down
	}
	if l, logged := u.leaves[key]; logged && l != leaf {
		return false, nil
	}
	u.signed[cert], u.leaves[key] = signature, leaf
	return true, nil
}

// desk issues certificates on request.
type desk struct {
	*uses
	*clock
	authority *ecdsa.PrivateKey
	w         *writers.Writers
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{
		uses:  &uses{recorded: map[[32]byte]bool{}, signed: map[[32]byte][32]byte{}, leaves: map[string][32]byte{}},
		clock: newClock(), authority: newKey(t),
	}
	var err error
	d.w, err = writers.New(writers.Config{
		Mode: writers.Issued, CheckIssued: issuedBy(nil), Clock: d.now,
		Requested: &writers.Requested{Uses: d.uses, Check: func(leaf *x509.Certificate) (crypto.PublicKey, error) {
			if leaf.Subject.CommonName != "on request" {
				return nil, errors.New("not on request")
			}
			return d.authority.Public(), nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) issue(t *testing.T, key crypto.PublicKey, name string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: d.now().Add(-time.Second), NotAfter: d.in(10 * time.Minute),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, d.authority)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	d.recorded[sha256.Sum256(cert.RawTBSCertificate)] = true
	return cert
}

// add asks as a personality does, and returns the refusal's words.
func (d *desk) add(t *testing.T, cert *x509.Certificate, add writers.Addition) string {
	t.Helper()
	p, err := d.w.Admit(writers.Claim{Certificate: cert, PublicKey: cert.PublicKey})
	if err == nil {
		err = p.Take(t.Context(), add)
	}
	refused := new(writers.Refused)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Reason
	}
	t.Fatal(err)
	return ""
}

func sign(t *testing.T, key *ecdsa.PrivateKey, text string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func otherSpelling(t *testing.T, key *ecdsa.PrivateKey, sig []byte) []byte {
	t.Helper()
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	rs.S.Sub(key.Params().N, rs.S)
	other, err := asn1.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func leaf(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// TestHolder: one signature, in each kind of log once.
func TestHolder(t *testing.T) {
	d, key := newDesk(t), newKey(t)
	cert := d.issue(t, key.Public(), "on request")
	sig, second := sign(t, key, "a"), sign(t, key, "b")
	const used = "has logged its one signature already"
	for _, tc := range []struct {
		name string
		add  writers.Addition
		says string // empty: it may
	}{
		{"of another kind of entry", writers.Addition{Kind: "v1", Leaf: leaf("0")}, "hashedrekord and dsse"},
		{"not DER", writers.Addition{Kind: "v1", Leaf: leaf("0"), Signature: []byte("x")}, "not in DER"},
		{"first", writers.Addition{Kind: "v1", Leaf: leaf("1"), Signature: sig}, ""},
		{"again", writers.Addition{Kind: "v1", Leaf: leaf("1"), Signature: sig}, ""},
		{"another signature", writers.Addition{Kind: "v1", Leaf: leaf("2"), Signature: second}, used},
		{"another signature, other log", writers.Addition{Kind: "v2", Leaf: leaf("2"), Signature: second}, used},
		{"another leaf of it", writers.Addition{Kind: "v1", Leaf: leaf("2"), Signature: sig}, used},
		{"another spelling in another leaf", writers.Addition{Kind: "v1", Leaf: leaf("2"), Signature: otherSpelling(t, key, sig)}, used},
		{"another spelling, other log", writers.Addition{Kind: "v2", Leaf: leaf("3"), Signature: otherSpelling(t, key, sig)}, ""},
		{"second leaf in the other log", writers.Addition{Kind: "v2", Leaf: leaf("4"), Signature: sig}, used},
	} {
		if got := d.add(t, cert, tc.add); (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

// TestHolderIsKnown: only what was recorded counts, in its time, whatever the
// certificate looks like.
func TestHolderIsKnown(t *testing.T) {
	d, key := newDesk(t), newKey(t)
	first := writers.Addition{Kind: "v1", Leaf: leaf("1"), Signature: sign(t, key, "a")}
	cert := d.issue(t, key.Public(), "on request")
	if got := d.add(t, d.issue(t, key.Public(), "foreign"), first); !strings.Contains(got, "its issuer is unknown") {
		t.Errorf("foreign: %q", got)
	}
	if got := d.add(t, d.issue(t, key.Public(), "ours"), first); !strings.Contains(got, "does not have the entry") {
		t.Errorf("of the signing service: %q", got)
	}
	d.advance(11 * time.Minute)
	if got := d.add(t, cert, first); !strings.Contains(got, "hint: sign again with a new one") {
		t.Errorf("expired: %q", got)
	}
	d.advance(-time.Hour)
	if got := d.add(t, cert, first); !strings.Contains(got, "the certificate is valid from") {
		t.Errorf("of the future: %q", got)
	}
	d.advance(49 * time.Minute)
	delete(d.recorded, sha256.Sum256(cert.RawTBSCertificate))
	if got := d.add(t, cert, first); !strings.Contains(got, "never issued") {
		t.Errorf("not recorded: %q", got)
	}
}

func TestHolderWithoutMemory(t *testing.T) {
	d, key := newDesk(t), newKey(t)
	cert := d.issue(t, key.Public(), "on request")
	d.down = errors.New("the database is away")
	p, err := d.w.Admit(writers.Claim{Certificate: cert, PublicKey: cert.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Take(t.Context(), writers.Addition{Kind: "v1", Signature: sign(t, key, "a")}); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, r := range []*writers.Requested{{Uses: d.uses}, {Check: issuedBy(nil)}} {
		if _, err := writers.New(writers.Config{Mode: writers.Open, Requested: r}); err == nil {
			t.Error("half of what certificates on request need")
		}
	}
}
