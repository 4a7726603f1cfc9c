// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

const (
	trustedRootName   = "trusted_root.json"
	signingConfigName = "signing_config.v0.2.json"
	caChainName       = "ca-chain.pem"
	tsaChainName      = "tsa-chain.pem"
	// maxChain bounds a certificate file, bytes.
	maxChain = 64 << 10
)

// createTrust certifies the CA and the TSA and writes what verifiers need.
func createTrust(dir string, cfg *Config, made map[string]crypto.Signer, now time.Time) error {
	origin, err := url.Parse(cfg.Origin)
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	organisation := origin.Hostname()
	root, err := ca.NewRoot(made[keyCARoot], ca.Name{Organization: organisation, CommonName: "Hallmark root"}, now)
	if err != nil {
		return err
	}
	issuing, err := ca.NewIntermediate(root, made[keyCARoot], made[keyCA].Public(), ca.Name{Organization: organisation, CommonName: "Hallmark issuing CA"}, now)
	if err != nil {
		return err
	}
	caChain := []*x509.Certificate{issuing, root}
	tsaChain, err := tsa.NewCertificates(made[keyTSARoot], made[keyTSA].Public(), tsa.Name{Organization: organisation, CommonName: "Hallmark TSA"}, now)
	if err != nil {
		return err
	}
	material := trustroot.Deployment{
		Origin: origin, CAChain: caChain, TSAChain: tsaChain, CT: made[keyCT].Public(),
		LogV1: made[keyLogV1].Public(), LogV2: made[keyLogV2].Public(), Start: now.Add(-ca.MaxBackdate),
	}.Material()
	if key := made[keyFulcio]; key != nil {
		chain, err := newFulcioAuthority(root, made[keyCARoot], key.Public(), now)
		if err != nil {
			return err
		}
		if err := writeNew(filepath.Join(dir, "certs", fulcioChainName), encodeChain(chain)); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
		if material, err = addAuthority(material, cfg.Origin, chain, now); err != nil {
			return err
		}
	}
	trustedRoot, err := trustroot.TrustedRoot(material)
	if err != nil {
		return err
	}
	signingConfig, err := cfg.signingConfig(material, []trustroot.LogURL{
		{URL: cfg.Origin, Version: 1, Key: made[keyLogV1].Public()},
		{URL: cfg.Origin, Version: 2, Key: made[keyLogV2].Public()},
	})
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{
		filepath.Join("certs", caChainName):       encodeChain(caChain),
		filepath.Join("certs", tsaChainName):      encodeChain(tsaChain),
		filepath.Join("trust", trustedRootName):   trustedRoot,
		filepath.Join("trust", signingConfigName): signingConfig,
	} {
		if err := writeNew(filepath.Join(dir, path), content); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	return nil
}

// signingConfig tells stock clients where to sign. Who may is another question:
// see log.writers.
func (c *Config) signingConfig(m trustroot.Material, logs []trustroot.LogURL) ([]byte, error) {
	urls := trustroot.URLs{Operator: c.host(), Logs: logs, TSA: c.Origin + tsa.Path}
	if c.Fulcio != nil {
		urls.CA = c.Origin
		// Clients take one issuer, and a job that has a token none.
		if len(c.Identities) > 0 {
			urls.OIDC = c.Identities[0].Issuer
		}
	}
	return trustroot.SigningConfig(m, urls)
}

func encodeChain(chain []*x509.Certificate) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// deployment is what init made and serve uses, besides the logs.
type deployment struct {
	password []byte       // opens the keys
	online   *authorities // sign
}

// loadDeployment opens the online keys and reads the certificates.
func loadDeployment(ctx context.Context, cfg *Config, logger *slog.Logger) (*deployment, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	d := &deployment{password: password}
	if err := cfg.checkAuthority(); err != nil {
		return nil, err
	}
	d.online, err = newAuthorities(ctx, cfg, password, logger)
	return d, err
}

func readChain(path string) ([]*x509.Certificate, error) {
	rest, err := readBounded(path, maxChain)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificates %s: %w", path, err)
		}
		chain = append(chain, c)
	}
	if len(chain) < 2 {
		return nil, fmt.Errorf("read certificates %s: want at least two, found %d", path, len(chain))
	}
	return chain, nil
}
