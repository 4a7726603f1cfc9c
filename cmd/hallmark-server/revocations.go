// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

const (
	// revocationsName is the file in trust/, and the target that verifiers read.
	revocationsName = "revocations.json"
	// reissueEvery is how often an unchanged list is said again, so that a
	// verifier may demand one of the same day.
	reissueEvery = 8 * time.Hour
)

// readRevocations reads the list; one that is not there is empty.
func (c *Config) readRevocations() (trustroot.Revocations, error) {
	doc, err := readBounded(c.path("trust", revocationsName), maxTrust)
	if errors.Is(err, os.ErrNotExist) {
		return trustroot.Revocations{}, nil
	}
	if err != nil {
		return trustroot.Revocations{}, fmt.Errorf("read revocations: %w", err)
	}
	list, err := trustroot.ParseRevocations(doc)
	if err != nil {
		return list, fmt.Errorf("%s: %w", c.path("trust", revocationsName), err)
	}
	return list, nil
}

func (c *Config) writeRevocations(list trustroot.Revocations) error {
	doc, err := list.Encode()
	if err != nil {
		return err
	}
	_, err = replaceFile(c.path("trust", revocationsName), doc)
	return err
}

// reissueRevocations says an old list again. Without the targets key nobody
// would believe it.
func (t *tender) reissueRevocations(now time.Time) error {
	list, err := t.cfg.readRevocations()
	if err != nil {
		return err
	}
	if !list.Issued.IsZero() && (now.Sub(list.Issued) < reissueEvery || !t.hasTargetsKey()) {
		return nil
	}
	return t.cfg.writeRevocations(list.Reissued(now))
}

func (t *tender) hasTargetsKey() bool {
	all, err := readRotations(t.cfg)
	if err != nil {
		return false
	}
	for _, name := range all.signing("targets") {
		if t.cfg.hasKey(name) {
			return true
		}
	}
	return false
}

// revoked is the list as the service itself keeps to it. It follows the file.
type revoked struct {
	cfg    *Config
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	checked time.Time
	list    revokedList
}

// revokedList is the list at one moment. It is never changed, only replaced.
type revokedList struct {
	*trust.Revocations
	sum string // SHA-256 of the file, hex
}

// newRevoked reads the list, which must be good: a service that cannot read what
// is revoked does not start.
func newRevoked(cfg *Config, logger *slog.Logger) (*revoked, error) {
	r := &revoked{cfg: cfg, logger: logger, checked: time.Now()}
	var err error
	r.list, err = r.read()
	return r, err
}

func (r *revoked) read() (revokedList, error) {
	path := r.cfg.path("trust", revocationsName)
	doc, err := readBounded(path, trust.MaxBytes)
	if errors.Is(err, os.ErrNotExist) {
		return revokedList{}, nil // nothing is revoked
	}
	if err != nil {
		return revokedList{}, fmt.Errorf("read revocations: %w", err)
	}
	sum := sha256.Sum256(doc)
	if r.list.Revocations != nil && r.list.sum == hex.EncodeToString(sum[:]) {
		return r.list, nil
	}
	list, err := trust.ParseRevocations(doc)
	if err != nil {
		return revokedList{}, fmt.Errorf("%s: %w", path, err)
	}
	return revokedList{list, hex.EncodeToString(sum[:])}, nil
}

func (r *revoked) current(ctx context.Context) revokedList {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) >= rereadEvery {
		r.checked = time.Now()
		list, err := r.read()
		if err != nil {
			r.logger.ErrorContext(ctx, "revocations cannot be read again, those from before are kept to", "error", err)
		} else {
			r.list = list
		}
	}
	return r.list
}

// Revocations implements api.Revocations.
func (r *revoked) Revocations(ctx context.Context, kind, value string) api.RevocationList {
	list := r.current(ctx)
	out := api.RevocationList{Version: list.Version(), Issued: list.AsOf(), Target: list.sum}
	lines := list.All()
	if kind != "" {
		lines = list.About(kind, value)
	}
	for _, l := range lines {
		out.Lines = append(out.Lines, api.Revocation(l))
	}
	return out
}

// RevokedKey implements signer.Revocations.
func (r *revoked) RevokedKey(ctx context.Context, key crypto.PublicKey) (reason string, is bool) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", false // of no kind that could be revoked, or sign
	}
	sum := sha256.Sum256(der)
	line, is := r.current(ctx).Key("sha256:"+hex.EncodeToString(sum[:]), time.Now())
	return line.String(), is
}

// Revoked implements signer.Revocations.
func (r *revoked) Revoked(ctx context.Context, p signer.Principal, digest attest.Digest) (reason string, is bool) {
	list := r.current(ctx)
	if line, is := list.Digest(string(digest)); is {
		return line.String(), true
	}
	// The names that verifiers compare with certificates.
	now := time.Now()
	for _, name := range []string{p.SAN, p.Extensions.BuildSignerURI, p.Extensions.BuildConfigURI, p.Extensions.SourceRepositoryURI, p.Subject} {
		if line, is := list.Identity(name, now); name != "" && is {
			return line.String(), true
		}
	}
	return "", false
}
