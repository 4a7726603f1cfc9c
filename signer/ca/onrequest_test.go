// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestOnRequest: certificates on request are told from the others by their
// authority, and no authority issues for the other's purpose.
func TestOnRequest(t *testing.T) {
	service := newLab(t)
	issuingKey := newP256(t)
	issuing, err := NewOnRequest(service.cfg.Chain[1], service.rootKey, issuingKey.Public(), Name{Organization: "acme", CommonName: "on request"}, epoch)
	check(t, err)
	cfg := service.cfg
	cfg.Chain, cfg.Signer, cfg.OnRequest = []*x509.Certificate{issuing, service.cfg.Chain[1]}, issuingKey, true
	desk, err := New(cfg)
	check(t, err)
	for name, tc := range map[string]struct {
		ca   *CA
		want bool
	}{"service": {service.ca, false}, "on request": {desk, true}} {
		cert, err := tc.ca.Issue(t.Context(), request(t))
		check(t, err)
		leaf, err := x509.ParseCertificate(cert.Leaf)
		check(t, err)
		if attest.IssuedOnRequest(leaf) != tc.want {
			t.Errorf("%s: on request is %v", name, !tc.want)
		}
	}
	cfg.OnRequest = false
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "is marked for") {
		t.Errorf("for the service: %v", err)
	}
	cfg = service.cfg
	cfg.OnRequest = true
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "is marked for") {
		t.Errorf("the service's on request: %v", err)
	}
}
