// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// onRequest makes the issuer one that issues on request. What its certificates
// were used for is remembered for this kind of log.
type onRequest struct {
	issuer
	signed, leaves map[[32]byte][32]byte
}

func (o onRequest) UseCertificate(_ context.Context, cert, signature [32]byte, kind string, leaf [32]byte) (bool, error) {
	if kind != "v2" {
		return false, errors.New("not this kind of log")
	}
	if s, used := o.signed[cert]; used && (s != signature || o.leaves[cert] != leaf) {
		return false, nil
	}
	o.signed[cert], o.leaves[cert] = signature, leaf
	return true, nil
}

func (o onRequest) writers(_ *tlog.Config, cfg *writers.Config) {
	cfg.Mode, cfg.Requested = writers.Issued, &writers.Requested{Check: o.check, Uses: o}
	cfg.CheckIssued = func(*x509.Certificate) (crypto.PublicKey, error) { return nil, errors.New("not the service's") }
}

// TestHolder: whoever has a certificate on request logs one signature with it.
// Who sees it in the log can add nothing: neither the same in other words, nor
// a signature of nothing.
func TestHolder(t *testing.T) {
	for _, w := range signers(t)[:2] {
		o := onRequest{newIssuer(t, signers(t)[0]), map[[32]byte][32]byte{}, map[[32]byte][32]byte{}}
		e := newEnv(t, o.writers)
		req := o.request(w, "artifact")
		der := req.Signature.Verifier.GetX509Certificate().RawBytes
		first := e.post(body(t, req)).index(t)
		if again := e.post(body(t, req)).index(t); again != first {
			t.Errorf("%s: repeated as entry %s", w.name, again)
		}
		if other := e.post(body(t, spelled(req, mirror(t, w.key.Public(), req.Signature.Content), der))).index(t); other != first {
			t.Errorf("%s: spelled otherwise as entry %s", w.name, other)
		}
		second := w.request(t, "another artifact")
		for name, denied := range map[string]string{
			"a second signature": body(t, spelled(second, second.Signature.Content, der)),
			"a forged signature": body(t, forged(t, req)),
		} {
			if got := e.post(denied); got.status != http.StatusForbidden || got.code != 7 || !strings.Contains(got.body, "one signature already") {
				t.Errorf("%s, %s: %d %s", w.name, name, got.status, got.body)
			}
		}
		if e.log.Size() != 1 {
			t.Errorf("%s: %d entries", w.name, e.log.Size())
		}
	}
}
