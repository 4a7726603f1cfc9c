// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

// authorities are the CA, with its certificate log, and the TSA that sign now.
// They follow trust/rotations.json: what becomes active there signs here within
// a second, in every server of the deployment.
type authorities struct {
	cfg      *Config
	password []byte
	logger   *slog.Logger
	// onRequest says that there are certificates on request as well: the Fulcio
	// API is on. They get their timestamps by the CT key of the moment.
	onRequest bool

	current atomic.Pointer[signing]
	failed  atomic.Pointer[error] // of the last look

	mu   sync.Mutex // guards open, and that one look is under way
	open map[string]crypto.Signer
}

// signing is one state of them. It is not changed.
type signing struct {
	names      []string // of the keys in use: CA, CT, TSA, and CA on request
	known      []string // of all CA certificates
	ca         *ca.CA
	onRequest  *ca.CA // nil while the Fulcio API is off
	tsa        *tsa.TSA
	timestamps http.Handler
	issuers    []func(*x509.Certificate) (crypto.PublicKey, error)
	// onRequestIssuers are those of certificates on request, and
	// onRequestChains their certificates, the one that issues first.
	onRequestIssuers []func(*x509.Certificate) (crypto.PublicKey, error)
	onRequestChains  [][]*x509.Certificate
}

// newAuthorities opens what is in use, which must be there.
func newAuthorities(ctx context.Context, cfg *Config, password []byte, logger *slog.Logger) (*authorities, error) {
	a := &authorities{cfg: cfg, password: password, logger: logger, onRequest: cfg.Fulcio != nil, open: map[string]crypto.Signer{}}
	return a, a.look(ctx)
}

// look reads the rotations and changes to what they say is in use.
func (a *authorities) look(ctx context.Context) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.failed.Store(&err) }()
	all, err := readRotations(a.cfg)
	if err != nil {
		return err
	}
	names, known := []string{all.inUse(kindCA), all.inUse(kindCT), all.inUse(kindTSA)}, all.chains(kindCA)
	if a.onRequest {
		names, known = append(names, all.inUse(kindFulcio)), append(known, all.published(kindFulcio)...)
	}
	if now := a.current.Load(); now != nil && slices.Equal(now.names, names) && slices.Equal(now.known, known) {
		return a.prepare(ctx, all)
	}
	next := &signing{names: names, known: known}
	if err := a.load(ctx, next, all); err != nil {
		return err
	}
	if before := a.current.Swap(next); before != nil {
		a.logger.InfoContext(ctx, "signing with", "ca", names[0], "ct", names[1], "tsa", names[2])
	}
	return a.prepare(ctx, all)
}

func (a *authorities) load(ctx context.Context, s *signing, all *rotations) error {
	opened := make([]crypto.Signer, len(s.names))
	for i, name := range s.names {
		var err error
		if opened[i], err = a.key(ctx, name); err != nil {
			return err
		}
	}
	caChain, err := readChain(a.cfg.chainFile(s.names[0]))
	if err != nil {
		return err
	}
	tsaChain, err := readChain(a.cfg.chainFile(s.names[2]))
	if err != nil {
		return err
	}
	if s.ca, err = ca.New(ca.Config{Chain: caChain, Signer: opened[0], CTSigner: opened[1], Backdate: clockBackdate}); err != nil {
		return err
	}
	if s.tsa, err = tsa.New(tsa.Config{Chain: tsaChain, Signer: opened[2], Logger: a.logger}); err != nil {
		return err
	}
	s.timestamps = s.tsa.Handler()
	chains, err := a.cfg.chainsOf(all, kindCA)
	if err != nil {
		return err
	}
	for _, chain := range chains {
		s.issuers = append(s.issuers, issuedBy(chain))
	}
	if a.onRequest {
		if err := a.loadOnRequest(s, all, opened[3], opened[1]); err != nil {
			return fmt.Errorf("fulcio: %w", err)
		}
	}
	return nil
}

// loadOnRequest is load of the authority for certificates on request.
func (a *authorities) loadOnRequest(s *signing, all *rotations, key, ct crypto.Signer) error {
	chain, err := readChain(a.cfg.chainFile(s.names[3]))
	if err != nil {
		return err
	}
	s.onRequest, err = ca.New(ca.Config{Chain: chain, Signer: key, CTSigner: ct, Backdate: clockBackdate, OnRequest: true})
	if err != nil {
		return err
	}
	s.onRequestChains = [][]*x509.Certificate{chain}
	for _, name := range all.published(kindFulcio) {
		if name == s.names[3] {
			continue
		}
		other, err := readChain(a.cfg.chainFile(name))
		if err != nil {
			return err
		}
		s.onRequestChains = append(s.onRequestChains, other)
	}
	known, err := a.cfg.chainsOf(all, kindFulcio)
	for _, chain := range known {
		s.onRequestIssuers = append(s.onRequestIssuers, issuedBy(chain))
	}
	return err
}

// prepare opens the keys that are coming, so that a replica which lacks one says
// so days before it matters.
func (a *authorities) prepare(ctx context.Context, all *rotations) error {
	for _, r := range all.Rotations {
		signs := hasCertificates(r.Kind) || r.Kind == kindCT
		if r.Kind == kindFulcio && !a.onRequest {
			signs = false
		}
		if signs && !r.Made.IsZero() && r.Active.IsZero() {
			if _, err := a.key(ctx, r.Key); err != nil {
				return fmt.Errorf("this server cannot follow the rotation of %s: %w (hint: copy keys/, certs/ and trust/ here)", r.Kind, err)
			}
		}
	}
	return nil
}

func (a *authorities) key(ctx context.Context, name string) (crypto.Signer, error) {
	if key := a.open[name]; key != nil {
		return key, nil
	}
	key, err := a.cfg.openOwn(ctx, name, a.password)
	if err != nil {
		return nil, err
	}
	a.open[name] = key
	return key, nil
}

// follow looks every second until ctx ends.
func follow(ctx context.Context, logger *slog.Logger, looks ...func(context.Context) error) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, look := range looks {
			if err := look(ctx); err != nil {
				logger.ErrorContext(ctx, "keys in use cannot be followed, those from before sign", "error", err)
			}
		}
	}
}

// ready fails if this server signs with keys that it should not, or soon will.
func (a *authorities) ready(context.Context) error {
	if err := a.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Issue implements signer.Certificates.
func (a *authorities) Issue(ctx context.Context, req signer.CertificateRequest) (signer.Certificate, error) {
	return a.current.Load().ca.Issue(ctx, req)
}

// onRequest is the authority of certificates on request.
type onRequest struct{ *authorities }

// Issue implements signer.Certificates.
func (o onRequest) Issue(ctx context.Context, req signer.CertificateRequest) (signer.Certificate, error) {
	return o.current.Load().onRequest.Issue(ctx, req)
}

// Timestamp implements signer.Timestamper.
func (a *authorities) Timestamp(ctx context.Context, signature []byte) ([]byte, error) {
	return a.current.Load().tsa.Timestamp(ctx, signature)
}

// ServeHTTP serves timestamps.
func (a *authorities) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.current.Load().timestamps.ServeHTTP(w, r)
}

// issuer is the key that issued a certificate, if any of the deployment's
// authorities did, at any time.
func (a *authorities) issuer(leaf *x509.Certificate) (crypto.PublicKey, error) {
	return issuerAmong(a.current.Load().issuers, leaf)
}

// issuerOnRequest is issuer for certificates on request.
func (a *authorities) issuerOnRequest(leaf *x509.Certificate) (crypto.PublicKey, error) {
	return issuerAmong(a.current.Load().onRequestIssuers, leaf)
}

// chainsOnRequest are the certificates of the authorities for certificates on
// request that are or will be in use, the one that issues first.
func (a *authorities) chainsOnRequest() [][]*x509.Certificate {
	return a.current.Load().onRequestChains
}

func issuerAmong(issuers []func(*x509.Certificate) (crypto.PublicKey, error), leaf *x509.Certificate) (crypto.PublicKey, error) {
	var errs []error
	for _, issued := range issuers {
		key, err := issued(leaf)
		if err == nil {
			return key, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
