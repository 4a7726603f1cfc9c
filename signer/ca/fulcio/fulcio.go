// SPDX-License-Identifier: Apache-2.0

// Package fulcio speaks the HTTP API of Sigstore's certificate authority, for
// stock clients that sign by themselves: `cosign sign` in a CI job shows its
// token and a proof that it has a key, and gets a certificate on that key.
//
// The API comes in two versions over one implementation, both as sigstore/fulcio
// v1.8 answers them: v2 is gRPC's JSON (sigstore-go, cosign with a signing
// config), v1 answers with PEM (cosign 2.6 without one).
//
//	POST /api/v2/signingCert    GET /api/v2/trustBundle   GET /api/v2/configuration
//	POST /api/v1/signingCert    GET /api/v1/rootCert
//
// Who gets a certificate is decided by package signer (certify.go), under the
// same identity sources and the same policy as every signature; this package
// reads the request, judges the key, checks the proof of possession (proof.go)
// and says no in words that cosign prints. A certificate always has its SCT
// inside: the detached form of the API is never answered.
package fulcio

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hallmark-dev/hallmark/signer"
)

// The paths of the API.
const (
	PathV2Certificate   = "/api/v2/signingCert"
	PathV2TrustBundle   = "/api/v2/trustBundle"
	PathV2Configuration = "/api/v2/configuration"
	PathV1Certificate   = "/api/v1/signingCert"
	PathV1Root          = "/api/v1/rootCert"
)

// Certifier decides and issues; *signer.Service is one.
type Certifier interface {
	Certify(ctx context.Context, req signer.CertifyRequest) (signer.Certificate, error)
}

// Issuer is an issuer of tokens, as /api/v2/configuration lists it.
type Issuer struct {
	// URL is the exact iss claim.
	URL string
	// Provider is the kind of identity source: github, gitlab, kubernetes, …
	Provider string
}

// Config describes the API. Certifier, Chains, Audience and Issuers are
// compulsory.
type Config struct {
	Certifier Certifier
	// Chains are those of the authorities that verifiers know, the one that issues
	// first; of each the issuing certificate first, the root last. While the
	// authority is rotated there are two.
	Chains func() [][]*x509.Certificate
	// Audience is what tokens must be made for, and Issuers who makes them.
	Audience string
	Issuers  []Issuer
	// RequestID names the request that a context belongs to; nil: unnamed.
	RequestID func(ctx context.Context) string
	// Logger gets what callers are not told; nil means silence.
	Logger *slog.Logger
}

// API is the HTTP handler. It is safe for concurrent use.
type API struct {
	cfg           Config
	configuration []byte // JSON
}

// New returns the API, or says what is missing.
func New(cfg Config) (*API, error) {
	if cfg.Certifier == nil || cfg.Chains == nil || cfg.Audience == "" || len(cfg.Issuers) == 0 {
		return nil, errors.New("fulcio API: it needs a certifier, its authority's chain, an audience and issuers")
	}
	if cfg.RequestID == nil {
		cfg.RequestID = func(context.Context) string { return "" }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{cfg: cfg}
	var err error
	if a.configuration, err = json.Marshal(configurationOf(cfg)); err != nil {
		return nil, fmt.Errorf("fulcio API: %w", err)
	}
	return a, nil
}

// Register lays the API's paths out on a server's mux.
func (a *API) Register(mux *http.ServeMux) {
	for path, serve := range map[string]http.HandlerFunc{
		PathV2Certificate: a.post(readV2, a.answerV2), PathV1Certificate: a.post(readV1, a.answerV1),
		PathV2TrustBundle: a.get(contentJSON, a.bundle), PathV1Root: a.get(contentPEM, a.roots),
		PathV2Configuration: a.get(contentJSON, func() ([]byte, error) { return a.configuration, nil }),
	} {
		mux.HandleFunc(path, serve)
	}
}

// post makes an endpoint of how a request is read and how it is answered.
func (a *API) post(read func([]byte) (request, error), answer func(http.ResponseWriter, signer.Certificate)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			refuseMethod(w, http.MethodPost)
			return
		}
		cert, err := a.certify(w, r, read)
		if err != nil {
			a.answerError(w, r, err)
			return
		}
		answer(w, cert)
	}
}

// certify takes a request to its certificate.
func (a *API) certify(w http.ResponseWriter, r *http.Request, read func([]byte) (request, error)) (signer.Certificate, error) {
	body, err := readBody(w, r)
	if err != nil {
		return signer.Certificate{}, err
	}
	req, err := read(body)
	if err != nil {
		return signer.Certificate{}, err
	}
	token, err := req.bearer(r.Header.Values("Authorization"))
	if err != nil {
		return signer.Certificate{}, err
	}
	return a.cfg.Certifier.Certify(r.Context(), signer.CertifyRequest{
		Token: token, Prove: req.prove, Origin: signer.Origin{RequestID: a.cfg.RequestID(r.Context()), RemoteAddr: r.RemoteAddr},
	})
}

// bundle lists the authorities, for /api/v2/trustBundle.
func (a *API) bundle() ([]byte, error) {
	var all trustBundle
	for _, certificates := range a.cfg.Chains() {
		all.Chains = append(all.Chains, chain{Certificates: encodePEM(rawOf(certificates))})
	}
	return json.Marshal(all)
}

// roots are the same certificates as PEM, one after the other.
func (a *API) roots() ([]byte, error) {
	var all []string
	for _, certificates := range a.cfg.Chains() {
		all = append(all, encodePEM(rawOf(certificates))...)
	}
	return []byte(strings.Join(all, "")), nil
}

func rawOf(certificates []*x509.Certificate) [][]byte {
	var der [][]byte
	for _, c := range certificates {
		der = append(der, c.Raw)
	}
	return der
}

func (a *API) get(contentType string, body func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuseMethod(w, http.MethodGet)
			return
		}
		content, err := body()
		if err != nil {
			a.answerError(w, r, err)
			return
		}
		write(w, http.StatusOK, contentType, content)
	}
}

func encodePEM(der [][]byte) []string {
	out := make([]string, len(der))
	for i, d := range der {
		out[i] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d}))
	}
	return out
}
