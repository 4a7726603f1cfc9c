// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

// makeNext makes the key of a rotation, with its pin, and its certificates if it
// has some.
func (c *Config) makeNext(ctx context.Context, kind string, r *keyRotation, password []byte, o rotateOptions, now time.Time) error {
	if kind == kindCharts {
		return c.makeNextChartKey(ctx, r, password, o, now)
	}
	dir, p := c.path("keys"), c.place(r.Key)
	if _, err := c.adoptKey(ctx, dir, p, password); err != nil {
		return err
	}
	key, err := c.openOwn(ctx, r.Key, password)
	if err != nil {
		return err
	}
	if isLongLived(kind) {
		return c.refuseKnownKey(key.Public(), r)
	}
	if !hasCertificates(kind) {
		return nil
	}
	chain, err := c.certifyNext(ctx, kind, r, key.Public(), password, o, now)
	if err != nil {
		return err
	}
	// Certificates without a line in the record are an interrupted call's: nobody
	// has seen them.
	_, err = replaceFile(c.chainFile(r.Key), encodeChain(chain))
	return err
}

// certifyNext makes the chain of a new authority: under the present root, whose
// key comes out of its safe, or with a new root, whose key goes into one.
func (c *Config) certifyNext(ctx context.Context, kind string, r *keyRotation, public crypto.PublicKey, password []byte, o rotateOptions, now time.Time) ([]*x509.Certificate, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if o.rootKey != "" {
		return c.certifyUnder(ctx, kind, r, public, password, o, now)
	}
	root := r.Key + "-root"
	if _, err := c.adoptKey(ctx, c.path("keys"), c.place(root), password); err != nil {
		return nil, err
	}
	rootKey, err := c.openOwn(ctx, root, password)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	if kind == kindTSA {
		chain, err = tsa.NewCertificates(rootKey, public, tsa.Name{Organization: origin.Hostname(), CommonName: "Hallmark TSA " + r.Key}, now)
	} else {
		chain, err = newCAChain(kind, rootKey, public, origin.Hostname(), r.Key, now)
	}
	return chain, err
}

func newCAChain(kind string, rootKey crypto.Signer, public crypto.PublicKey, organisation, name string, now time.Time) ([]*x509.Certificate, error) {
	root, err := ca.NewRoot(rootKey, ca.Name{Organization: organisation, CommonName: "Hallmark root " + name}, now)
	if err != nil {
		return nil, err
	}
	issuing, err := newIssuing(kind, root, rootKey, public, organisation, name, now)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{issuing, root}, nil
}

// newIssuing certifies an authority of the deployment, or the one for
// certificates on request, which has a mark that verifiers tell it by.
func newIssuing(kind string, root *x509.Certificate, rootKey crypto.Signer, public crypto.PublicKey, organisation, name string, now time.Time) (*x509.Certificate, error) {
	if kind == kindFulcio {
		return ca.NewOnRequest(root, rootKey, public, ca.Name{Organization: organisation, CommonName: "Hallmark Fulcio CA " + name}, now)
	}
	return ca.NewIntermediate(root, rootKey, public, ca.Name{Organization: organisation, CommonName: "Hallmark issuing CA " + name}, now)
}

func (c *Config) certifyUnder(ctx context.Context, kind string, r *keyRotation, public crypto.PublicKey, password []byte, o rotateOptions, now time.Time) ([]*x509.Certificate, error) {
	rootKey, err := c.presentRootKey(ctx, password, o)
	if err != nil {
		return nil, err
	}
	present, err := readChain(c.chainFile(r.Replaces))
	if err != nil {
		return nil, err
	}
	root := present[len(present)-1]
	if cryptoutils.EqualKeys(root.PublicKey, rootKey.Public()) != nil {
		return nil, usageError{fmt.Errorf("--root-key %s is not the key of %q", o.rootKey, root.Subject.CommonName)}
	}
	organisation := strings.Join(root.Subject.Organization, " ")
	var leaf *x509.Certificate
	if kind == kindTSA {
		leaf, err = tsa.NewLeaf(root, rootKey, public, tsa.Name{Organization: organisation, CommonName: "Hallmark TSA " + r.Key}, now)
	} else {
		leaf, err = newIssuing(kind, root, rootKey, public, organisation, r.Key, now)
	}
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, root}, nil
}

// presentRootKey opens the key that was brought from its safe, or that of a KMS.
func (c *Config) presentRootKey(ctx context.Context, password []byte, o rotateOptions) (crypto.Signer, error) {
	if c.Keys[o.rootKey] != "" {
		return c.openOwn(ctx, o.rootKey, password)
	}
	if o.rootPassword != "" {
		var err error
		if password, err = keys.ReadPassword(o.rootPassword, ""); err != nil {
			return nil, usageError{err}
		}
	}
	key, err := keys.ReadEncrypted(o.rootKey, password)
	if err != nil {
		return nil, usageError{err}
	}
	return key, nil
}
