// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// memory is writers.Uses for one kind of log.
type memory map[[32]byte][2][32]byte

func (m memory) UseCertificate(_ context.Context, cert, signature [32]byte, kind string, leaf [32]byte) (bool, error) {
	if kind != "v1" {
		return false, errors.New("not this kind of log")
	}
	if was, used := m[cert]; used {
		return was == [2][32]byte{signature, leaf}, nil
	}
	m[cert] = [2][32]byte{signature, leaf}
	return true, nil
}

// requestEnv has a service whose authority issues on request.
func requestEnv(t testing.TB) (*env, *issuer) {
	ca := newIssuer(t)
	return newEnv(t, options{writers: writers.Config{
		Mode:        writers.Issued,
		CheckIssued: func(*x509.Certificate) (crypto.PublicKey, error) { return nil, errors.New("not the service's") },
		Requested: &writers.Requested{Uses: memory{}, Check: func(leaf *x509.Certificate) (crypto.PublicKey, error) {
			return ca.cert.PublicKey, leaf.CheckSignatureFrom(ca.cert)
		}},
	}}), ca
}

// TestHolder: whoever has a certificate on request logs one signature with it,
// as a hashedrekord or a dsse. What a stranger makes of it is refused: the same
// in an envelope that is written otherwise, or as an entry of another kind.
func TestHolder(t *testing.T) {
	e, ca := requestEnv(t)
	const used = "one signature already"
	s := newSigner(t)
	cert := certPEM(s.certificate(t, ca))
	p := s.hashedrekord(t, "a", cert)
	id := e.id(p)
	if e.id(p) != id {
		t.Error("repeated entry")
	}
	signature := at[obj](t, p, "spec", "signature")
	signature["content"] = otherSpelling(t, elliptic.P256(), at[[]byte](t, signature, "content"))
	if e.id(p) != id {
		t.Error("another spelling")
	}
	if reason := e.refusal(s.hashedrekord(t, "b", cert)); !strings.Contains(reason, used) {
		t.Error(reason)
	}
	if reason := e.refusal(dsse(s.envelope(t, statement("a")), cert)); !strings.Contains(reason, used) {
		t.Error(reason)
	}

	two := newSigner(t)
	cert = certPEM(two.certificate(t, ca))
	text := two.envelope(t, statement("a"))
	id = e.id(dsse(text, cert))
	if e.id(dsse(text, cert)) != id {
		t.Error("repeated envelope")
	}
	if reason := e.refusal(dsse(strings.Replace(text, ":", ": ", 1), cert)); !strings.Contains(reason, used) {
		t.Error(reason)
	}
	if e.active().Size() != 3 {
		t.Errorf("%d entries", e.active().Size())
	}
}

// TestHolderAlone: beside a holder nobody else signs, and not what has no one
// signature.
func TestHolderAlone(t *testing.T) {
	e, ca := requestEnv(t)
	s, other := newSigner(t), newSigner(t)
	cert := certPEM(s.certificate(t, ca))
	var one, two map[string]any
	e.must(json.Unmarshal([]byte(s.envelope(t, statement("c"))), &one))
	e.must(json.Unmarshal([]byte(other.envelope(t, statement("c"))), &two))
	one["signatures"] = append(at[[]any](t, one, "signatures"), at[[]any](t, two, "signatures")...)
	otherCert := certPEM(other.certificate(t, ca))
	if reason := e.refusal(dsse(string(compact(t, one)), cert, otherCert)); !strings.Contains(reason, "with one signature") {
		t.Error(reason)
	}
	for name, p := range map[string]obj{
		"intoto":   s.intoto1(t, statement("a"), cert),
		"bare key": s.hashedrekord(t, "a", s.publicPEM(t)),
	} {
		if got := e.submit(compact(t, p), http.StatusForbidden); !strings.Contains(got.body, "on request") && !strings.Contains(got.body, "not registered") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	// Of the two that were tried nothing was used up.
	e.id(s.hashedrekord(t, "a", cert))
	if e.active().Size() != 2 {
		t.Errorf("%d entries", e.active().Size())
	}
}
