// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// rereadEvery is how often a server looks whether its trust files have changed.
// `log add` changes them under running servers; between add and activate there
// are days, not seconds.
const rereadEvery = time.Second

// published is the trust material that a server gives away and checks its own
// signatures with. It follows the files.
type published struct {
	cfg    *Config
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	checked time.Time  // when the files were looked at
	files   trustFiles // never changed, only replaced
}

// trustFiles is the content of the files at one moment.
type trustFiles struct {
	root, config []byte
	parsed       *trust.Root      // root
	crypto       *verifier.Crypto // believes root
}

// newPublished reads the files, which must be there and good.
func newPublished(cfg *Config, logger *slog.Logger) (*published, error) {
	files, err := readTrustFiles(cfg, trustFiles{})
	if err != nil {
		return nil, err
	}
	return &published{cfg: cfg, logger: logger, checked: time.Now(), files: files}, nil
}

// readTrustFiles returns known if the files still say the same.
func readTrustFiles(cfg *Config, known trustFiles) (trustFiles, error) {
	root, err := readTrustFile(cfg.path("trust", trustedRootName))
	if err != nil {
		return known, err
	}
	config, err := readTrustFile(cfg.path("trust", signingConfigName))
	if err != nil {
		return known, err
	}
	if bytes.Equal(root, known.root) && bytes.Equal(config, known.config) {
		return known, nil
	}
	parsed, err := trust.Parse(root)
	if err != nil {
		return known, fmt.Errorf("trusted root: %w", err)
	}
	crypto, err := verifier.NewCrypto(parsed)
	if err != nil {
		return known, fmt.Errorf("trusted root: %w", err)
	}
	return trustFiles{root, config, parsed, crypto}, nil
}

// current reads the files again if it is time. Files that cannot be read leave
// what was known.
func (p *published) current(ctx context.Context) trustFiles {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.checked) >= rereadEvery {
		p.checked = time.Now()
		var err error
		if p.files, err = readTrustFiles(p.cfg, p.files); err != nil {
			p.logger.WarnContext(ctx, "trust material cannot be read again, what was there before is served", "error", err)
		}
	}
	return p.files
}

// Trust is api.Config.Trust.
func (p *published) Trust(ctx context.Context) (trustedRoot, signingConfig []byte) {
	files := p.current(ctx)
	return files.root, files.config
}

// Check implements signer.Verifier with the verifier library and the trusted
// root that the service publishes.
func (p *published) Check(ctx context.Context, bundle []byte, want signer.Claim) error {
	crypto := p.current(ctx).crypto
	if want.PublicKey != nil {
		return checkByKey(ctx, crypto, bundle, want)
	}
	fact, err := crypto.Facts(want.Digest, bundle)
	if err != nil {
		return err
	}
	if fact.PredicateType != want.PredicateType || fact.SAN != want.SAN || fact.Issuer != want.Issuer {
		return fmt.Errorf("the bundle says %s by %s of %s, want %s by %s of %s",
			fact.PredicateType, fact.SAN, fact.Issuer, want.PredicateType, want.SAN, want.Issuer)
	}
	return nil
}

// checkByKey is Check of a bundle in key mode.
func checkByKey(ctx context.Context, crypto *verifier.Crypto, bundle []byte, want signer.Claim) error {
	key, err := verifier.NewKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: want.PublicKey}))
	if err != nil {
		return err
	}
	blob, err := verifier.ParseBlob(string(want.Digest))
	if err != nil {
		return err
	}
	d, err := crypto.VerifyBundleWithKey(ctx, blob, verifier.Evidence{Origin: "this service", Bundle: bundle}, key)
	if err != nil {
		return err
	}
	if !d.Allowed() {
		return errors.New(strings.Join(d.Reasons(), "; "))
	}
	if len(d.Evidence) != 1 || d.Evidence[0].PredicateType != want.PredicateType {
		return fmt.Errorf("the bundle by key %s is not one %s", key.Hint(), want.PredicateType)
	}
	return nil
}
