// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/ca/fulcio"
	"github.com/hallmark-dev/hallmark/signer/identity"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

const (
	// keyFulcio is the key of the authority for certificates on request.
	keyFulcio = "ca-fulcio"
	// fulcioChainName is the file of its chain.
	fulcioChainName = "ca-fulcio-chain.pem"
)

// newFulcioAuthority certifies a key as the authority for certificates on
// request.
func newFulcioAuthority(root *x509.Certificate, rootKey crypto.Signer, key crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	name := ca.Name{CommonName: "Hallmark Fulcio CA"}
	if len(root.Subject.Organization) > 0 {
		name.Organization = root.Subject.Organization[0]
	}
	issuing, err := ca.NewOnRequest(root, rootKey, key, name, now)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{issuing, root}, nil
}

// withFulcio adds the authority to what verifiers are told, if there is one and
// they are not told yet. It stays when the API is switched off: what was signed
// is as good as ever.
func (c *Config) withFulcio(m trustroot.Material, now time.Time) (trustroot.Material, error) {
	chain, err := readChain(c.path("certs", fulcioChainName))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	return addAuthority(m, c.Origin, chain, now)
}

// addAuthority adds an authority that material does not have.
func addAuthority(m trustroot.Material, origin string, chain []*x509.Certificate, now time.Time) (trustroot.Material, error) {
	if slices.ContainsFunc(m.CertificateAuthorities, func(a trustroot.Authority) bool { return bytes.Equal(a.Chain[0].Raw, chain[0].Raw) }) {
		return m, nil
	}
	u, err := url.Parse(origin)
	if err != nil {
		return m, fmt.Errorf("origin: %w", err)
	}
	added := trustroot.Authority{URL: u, Chain: chain, Window: trustroot.Window{Start: now.Add(-ca.MaxBackdate)}}
	m.CertificateAuthorities = append(slices.Clip(m.CertificateAuthorities), added)
	return m, nil
}

// checkAuthority looks at the authority of the Fulcio API if that is on. It must
// be there and published: certificates that no verifier knows are worse than
// none.
func (c *Config) checkAuthority() error {
	if c.Fulcio == nil {
		return nil
	}
	all, err := readRotations(c)
	if err != nil {
		return err
	}
	chain, err := readChain(c.chainFile(all.inUse(kindFulcio)))
	hint := "hint: hallmark-server fulcio enable --dir " + c.dir
	if errors.Is(err, os.ErrNotExist) {
		return usageError{fmt.Errorf("fulcio is configured, and there is no authority for it: %w (%s)", err, hint)}
	}
	if err != nil {
		return err
	}
	m, err := c.readMaterial()
	if err != nil {
		return err
	}
	published := func(a trustroot.Authority) bool { return bytes.Equal(a.Chain[0].Raw, chain[0].Raw) }
	if !slices.ContainsFunc(m.CertificateAuthorities, published) {
		return usageError{fmt.Errorf("fulcio is configured, and its authority is not in %s (%s)", c.path("trust", trustedRootName), hint)}
	}
	return nil
}

// fulcioWriters lets holders of certificates on request log what they signed.
func (d *deployment) fulcioWriters(db store.Database) *writers.Requested {
	if !d.online.onRequest {
		return nil
	}
	return &writers.Requested{Check: d.online.issuerOnRequest, Uses: db}
}

// desk is what certificates on request are made of; nil while the API is off.
type desk struct {
	cfg        *Config
	online     *authorities
	identities *identity.Authenticator
	onRequest  *signer.OnRequest
	issuers    []fulcio.Issuer
}

// openDesk makes the desk, if the API is on: the same identity sources, with
// the audience for certificates.
func openDesk(ctx context.Context, cfg *Config, d *deployment, db store.Database, sources []identity.Source, p *policy.SigningPolicy, logger *slog.Logger) (*desk, error) {
	if cfg.Fulcio == nil {
		return nil, nil //nolint:nilnil // off is no error
	}
	identities, err := identity.New(identity.Config{
		Audience: cfg.Fulcio.Audience, AllowSigstoreAudience: true, Sources: sources, Logger: logger,
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("fulcio: %w", err)}
	}
	k := &desk{
		cfg: cfg, online: d.online, identities: identities,
		onRequest: &signer.OnRequest{Authenticator: identities, Certificates: onRequest{d.online}, Record: db},
	}
	for _, s := range sources {
		k.issuers = append(k.issuers, fulcio.Issuer{URL: s.Issuer, Provider: s.Provider})
	}
	may := p.CertificateIdentities()
	logger.WarnContext(ctx, "the Fulcio API is on: its certificates are signed with where no gate is evaluated; verifiers tell them by their authority",
		"audience", cfg.Fulcio.Audience, "identities", may)
	if len(may) == 0 {
		logger.WarnContext(ctx, "the Fulcio API is on, and no rule of the signing policy has the action certificate: it refuses everybody")
	}
	return k, nil
}

// port is signer.Config.OnRequest.
func (k *desk) port() *signer.OnRequest {
	if k == nil {
		return nil
	}
	return k.onRequest
}

// face is the HTTP API over the service.
func (k *desk) face(s *signer.Service, logger *slog.Logger) (*fulcio.API, error) {
	if k == nil {
		return nil, nil //nolint:nilnil // off is no error
	}
	return fulcio.New(fulcio.Config{
		Certifier: s, Chains: k.online.chainsOnRequest, Audience: k.cfg.Fulcio.Audience, Issuers: k.issuers, RequestID: obs.RequestID, Logger: logger,
	})
}

// run keeps the issuers' keys fresh until ctx ends.
func (k *desk) run(ctx context.Context) error {
	if k == nil {
		return nil
	}
	return k.identities.Run(ctx)
}
