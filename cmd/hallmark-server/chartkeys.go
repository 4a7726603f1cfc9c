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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/keys/kms"
	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// An OpenPGP key of the deployment is a key like the others (keys/NAME.key or a
// KMS, and keys/NAME.pub) and a certificate, certs/NAME.gpg: a ring of this one
// key, which says when it was made. That is a part of its identity, so that the
// certificate is a pin as well. trust/pubring.gpg is made of all of them: of the
// key that signs, of the one that is to take its place, and of those that did,
// because provenance files are kept for as long as charts are.

// isChartKey says whether a name is that of an OpenPGP key.
func isChartKey(name string) bool {
	return name == keyCharts || strings.HasPrefix(name, keyCharts+"-")
}

// chartCertificate is the file with the certificate of a key.
func chartCertificate(dir, name string) string { return filepath.Join(dir, "certs", name+".gpg") }

// readChartCertificate reads the certificate of a key: fs.ErrNotExist if there is
// none. Deployments of before there were rotations have that of the first key in
// the ring alone.
func readChartCertificate(dir, name string) (*pgp.Certificate, error) {
	file := chartCertificate(dir, name)
	raw, err := readBounded(file, maxKeyring)
	if errors.Is(err, os.ErrNotExist) && name == keyCharts {
		file = filepath.Join(dir, "trust", keyringName)
		raw, err = readBounded(file, maxKeyring)
	}
	if err != nil {
		return nil, err
	}
	certificate, err := pgp.ReadCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return certificate, nil
}

// openPGP is openKey for keys of OpenPGP.
func (c *Config) openPGP(ctx context.Context, dir string, p place, password []byte) (keys.OpenPGPKey, error) {
	pin, err := c.pinOf(dir, p)
	if err != nil {
		return keys.OpenPGPKey{}, err
	}
	if p.reference != "" {
		key, err := kms.OpenOpenPGP(ctx, p.reference, pin, c.kms())
		if err != nil {
			return key, fmt.Errorf("key %s: %w", p.name, err)
		}
		return key, nil
	}
	key, err := keys.ReadEncryptedOpenPGP(p.keyIn(dir), password)
	if errors.Is(err, fs.ErrNotExist) {
		return key, c.missing(err, pin != nil)
	}
	if err != nil {
		return key, err
	}
	return key, p.checkPin(dir, key.Public(), pin)
}

// adoptPGP is adoptKey for keys of OpenPGP, and opens the key. What create
// returns is stored; of a KMS the key is taken that is there.
func (c *Config) adoptPGP(ctx context.Context, dir string, p place, password []byte, create func() (keys.OpenPGPKey, error)) (keys.OpenPGPKey, error) {
	var public crypto.PublicKey
	switch {
	case exists(p.pinIn(dir)):
		return c.openPGP(ctx, dir, p, password)
	case p.reference != "":
		var err error
		if public, err = kms.PublicOpenPGP(ctx, p.reference, c.kms()); err != nil {
			return keys.OpenPGPKey{}, fmt.Errorf("key %s: %w (hint: create the key in the KMS first)", p.name, err)
		}
		// That the service may use it, and that it signs what OpenPGP wants, is seen
		// before it is relied on.
		if _, err := kms.OpenOpenPGP(ctx, p.reference, public, c.kms()); err != nil {
			return keys.OpenPGPKey{}, fmt.Errorf("key %s: %w", p.name, err)
		}
	case exists(p.keyIn(dir)): // a crash left it without its pin
		key, err := keys.ReadEncryptedOpenPGP(p.keyIn(dir), password)
		if err != nil {
			return key, err
		}
		public = key.Public()
	default:
		key, err := create()
		if err != nil {
			return key, err
		}
		if err := keys.WriteEncryptedOpenPGP(p.keyIn(dir), key, password); err != nil {
			return key, err
		}
		public = key.Public()
	}
	if err := keys.WritePublic(p.pinIn(dir), public); err != nil {
		return keys.OpenPGPKey{}, err
	}
	return c.openPGP(ctx, dir, p, password)
}

// newChartKey makes a key of the configured algorithm.
func (c *Config) newChartKey() (keys.OpenPGPKey, error) {
	return keys.GenerateOpenPGP(c.chartAlgorithm())
}

// createChartKey makes the key and its certificate if they are missing, and
// certifies keys anew if the configuration wants another user id or expiry: the
// time of birth stays, and with it the fingerprint. dir is the deployment's
// folder, or the one that init makes it in.
func (c *Config) createChartKey(ctx context.Context, dir string, password []byte, now time.Time) error {
	if c.Charts.PGPKey == "" {
		return nil
	}
	all, err := readRotations(&Config{dir: dir})
	if err != nil {
		return err
	}
	names, folder := all.chains(kindCharts), filepath.Join(dir, "keys")
	used := slices.Index(names, all.inUse(kindCharts))
	for i, name := range names {
		retired := i < used
		if retired && !c.hasKey(name) {
			continue // destroyed, or in a safe: what it says of itself stays
		}
		// Those that rotations brought are never made here: a replica that lacks one
		// would have another.
		open := func() (keys.OpenPGPKey, error) { return c.openPGP(ctx, folder, c.place(name), password) }
		if i == 0 {
			open = func() (keys.OpenPGPKey, error) {
				return c.adoptPGP(ctx, folder, c.place(name), password, c.newChartKey)
			}
		}
		key, err := open()
		if retired && errors.Is(err, kms.ErrUnavailable) {
			continue // as one of a file
		}
		if err != nil {
			return fmt.Errorf("OpenPGP key of charts: %w", err)
		}
		if err := c.certifyChartKey(dir, name, key, now); err != nil {
			return err
		}
	}
	return c.publishChartRing(dir, all)
}

// createChartKeyHere is createChartKey in a deployment, whose service may run.
func (c *Config) createChartKeyHere(ctx context.Context, password []byte, now time.Time) error {
	if c.Charts.PGPKey == "" {
		return nil
	}
	unlock, err := lockTrust(ctx, c)
	if err != nil {
		return err
	}
	defer unlock()
	return c.createChartKey(ctx, c.dir, password, now)
}

// certifyChartKey makes the certificate of a key say what the configuration
// does.
func (c *Config) certifyChartKey(dir, name string, key keys.OpenPGPKey, birth time.Time) error {
	says := pgp.Identity{Created: birth}
	var known *pgp.Key
	certificate, err := readChartCertificate(dir, name)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	default:
		if known, err = pgp.Open(key, certificate.Ring()); err != nil {
			return noError{fmt.Errorf("OpenPGP key of charts: %s: %w (hint: move it away to begin with a new identity)", chartCertificate(dir, name), err)}
		}
		says = known.Identity()
	}
	want, err := c.chartIdentity(says)
	if err != nil {
		return err
	}
	if known != nil && want == says {
		_, err := replaceFile(chartCertificate(dir, name), known.Ring()) // of before there was the file
		return err
	}
	return writeChartCertificate(dir, name, key, want)
}

func writeChartCertificate(dir, name string, key keys.OpenPGPKey, id pgp.Identity) error {
	ring, err := pgp.NewRing(key, id)
	if err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	if _, err := pgp.Open(key, ring); err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	_, err = replaceFile(chartCertificate(dir, name), ring)
	return err
}

// chartCertificates are those of all keys that verifiers may meet, oldest first.
func (c *Config) chartCertificates(dir string, all *rotations) ([]*pgp.Certificate, error) {
	var list []*pgp.Certificate
	for _, name := range all.chains(kindCharts) {
		certificate, err := readChartCertificate(dir, name)
		if err != nil {
			return nil, fmt.Errorf("OpenPGP key of charts: %w", err)
		}
		list = append(list, certificate)
	}
	return list, nil
}

// publishChartRing makes trust/pubring.gpg of the certificates, but for those of
// revoked keys: Helm knows no list of revocations.
func (c *Config) publishChartRing(dir string, all *rotations) error {
	if c.Charts.PGPKey == "" || !exists(chartCertificate(dir, keyCharts)) {
		return nil // not yet, or of before there was the file: keys create makes it
	}
	list, err := c.chartCertificates(dir, all)
	if err != nil {
		return err
	}
	gone, err := (&Config{dir: dir}).readRevocations()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "trust", keyringName)
	ring := ringOf(list, func(key crypto.PublicKey) bool { return listsKey(gone, key, time.Now()) })
	if len(ring) > 0 {
		_, err = replaceFile(file, ring)
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("withdraw the ring of revoked keys: %w", err)
	}
	return syncDir(filepath.Dir(file))
}

// ringOf joins certificates, but for those of revoked keys.
func ringOf(list []*pgp.Certificate, revoked func(crypto.PublicKey) bool) []byte {
	var rings [][]byte
	for _, certificate := range list {
		if !revoked(certificate.Public()) {
			rings = append(rings, certificate.Ring())
		}
	}
	return pgp.JoinRings(rings...)
}

// listsKey says whether a list revokes a key now. What it signed before does not
// count either: who has stolen it writes the time of his signatures himself.
func listsKey(list trustroot.Revocations, key crypto.PublicKey, now time.Time) bool {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return false // of no kind that could be revoked, or sign
	}
	sum := sha256.Sum256(der)
	name := "sha256:" + hex.EncodeToString(sum[:])
	for _, r := range list.Revocations {
		if r.Kind == trustroot.RevokedKey && r.Value == name && (r.Since == nil || !r.Since.After(now)) {
			return true
		}
	}
	return false
}

// openChartKeyNamed opens a key with its certificate.
func (c *Config) openChartKeyNamed(ctx context.Context, dir, name string, password []byte) (*pgp.Key, error) {
	const hint = "hallmark-server keys create --dir %s"
	certificate, err := readChartCertificate(dir, name)
	if err != nil {
		return nil, hinted(fmt.Errorf("OpenPGP key of charts: %w", err), hint, c.dir)
	}
	private, err := c.openPGP(ctx, filepath.Join(dir, "keys"), c.place(name), password)
	if err != nil {
		return nil, hinted(fmt.Errorf("OpenPGP key of charts: %w", err), hint, c.dir)
	}
	key, err := pgp.Open(private, certificate.Ring())
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key of charts: %s: %w", chartCertificate(dir, name), err)
	}
	want, err := c.chartIdentity(key.Identity())
	if err != nil {
		return nil, err
	}
	if want != key.Identity() {
		return nil, usageError{fmt.Errorf("charts: the configuration says that the OpenPGP key is %q, its certificate says %q, or another expiry %s", want.UserID, key.Identity().UserID, hint)}
	}
	return key, nil
}

// algorithmOf is what keys list calls the kind of a key.
func algorithmOf(pin crypto.PublicKey) string {
	if kind, err := keys.PublicKindOf(pin); err == nil {
		return string(kind)
	}
	kind, err := keys.OpenPGPKindOf(pin)
	if err != nil {
		return "unsupported"
	}
	return string(kind)
}

// chartFingerprint is that of a key; "" if there is no certificate yet.
func chartFingerprint(c *Config, name string) string {
	certificate, err := readChartCertificate(c.dir, name)
	if err != nil {
		return ""
	}
	return certificate.Fingerprint()
}

// otherChartAlgorithm says so if the configuration wants another algorithm than
// that of the key which signs, or is to.
func (c *Config) otherChartAlgorithm() (string, error) {
	if c.Charts.Algorithm == "" {
		return "", nil
	}
	all, err := readRotations(c)
	if err != nil {
		return "", err
	}
	names := all.chains(kindCharts)
	certificate, err := readChartCertificate(c.dir, names[len(names)-1])
	if err != nil {
		return "", err
	}
	is := algorithmOf(certificate.Public())
	if is == string(c.Charts.Algorithm) {
		return "", nil
	}
	return fmt.Sprintf("charts.algorithm is %s, and the OpenPGP key is %s: it stays so until it is rotated (hint: hallmark-server keys rotate %s --dir %s)", c.Charts.Algorithm, is, kindCharts, c.dir), nil
}
