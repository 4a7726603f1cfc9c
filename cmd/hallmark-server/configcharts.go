// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys/kms"
	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// ChartsConfig is what is done with Helm charts, besides signing them in the
// registry like images.
type ChartsConfig struct {
	// PGPKey is where the OpenPGP key is that signs provenance files, for `helm
	// verify`: file, for a key of the deployment's own folder, or the reference of
	// a KMS. Its public key ring is trust/pubring.gpg. Without it no provenance
	// files are made.
	PGPKey string `yaml:"pgpKey,omitempty"`
	// UserID is who the key says it is. Default: Hallmark <charts@HOST>, with the
	// host of the origin. It may be changed, and keys create writes the ring anew.
	UserID string `yaml:"userID,omitempty"`
	// Expires is the day on which the key expires, 2030-12-31; without it, never.
	// It may be changed like the user id: the key stays the same.
	Expires string `yaml:"expires,omitempty"`
	// Reader is the program that reads charts. Default: hallmark-chart beside
	// hallmark-server.
	Reader string `yaml:"reader,omitempty"`
	// Timeout bounds reading and rendering one chart, 15s if it is not set.
	Timeout Duration `yaml:"timeout,omitempty"`
}

const (
	// keyCharts is the name of the key's files.
	keyCharts = "charts-pgp"
	// keyringName is the public key ring in trust/, and a target of the trust
	// repository.
	keyringName = "pubring.gpg"
	// chartReaderName is the program beside ours.
	chartReaderName = "hallmark-chart"
	// maxKeyring bounds the ring, bytes: RSA-4096 takes 2 KiB.
	maxKeyring = 16 << 10
	// maxChartTimeout leaves room in a request.
	maxChartTimeout = 30 * time.Second
)

// expiryForm is how Expires is written.
const expiryForm = time.DateOnly

func (c *Config) checkCharts() error {
	k := c.Charts
	if k.PGPKey == "" && k.UserID+k.Expires != "" {
		return errors.New("charts: userID and expires are of a key (hint: pgpKey: file)")
	}
	if k.PGPKey != "" && k.PGPKey != inFile {
		if err := kms.CheckReference(k.PGPKey); err != nil {
			return fmt.Errorf("charts.pgpKey: %w (hint: file, or the reference of a KMS)", err)
		}
	}
	if k.Timeout.Duration > maxChartTimeout {
		return fmt.Errorf("charts.timeout %s is more than %s", k.Timeout, maxChartTimeout)
	}
	id, err := c.chartIdentity(time.Unix(1<<30, 0)) // any birth: only the rest is of the configuration
	if err != nil {
		return err
	}
	if k.PGPKey != "" {
		if err := id.Check(); err != nil {
			return fmt.Errorf("charts: %w", err)
		}
	}
	return nil
}

// chartIdentity is what the ring of a key that was made at birth has to say.
func (c *Config) chartIdentity(birth time.Time) (pgp.Identity, error) {
	id := pgp.Identity{UserID: c.Charts.UserID, Created: birth.UTC().Truncate(time.Second)}
	if id.UserID == "" {
		id.UserID = "Hallmark <charts@" + c.host() + ">"
	}
	if c.Charts.Expires != "" {
		expires, err := time.Parse(expiryForm, c.Charts.Expires)
		if err != nil {
			return id, fmt.Errorf("charts.expires: %q is not a day such as 2030-12-31", c.Charts.Expires)
		}
		id.Expires = expires
	}
	return id, nil
}

// chartPlace is where the key is.
func (c *Config) chartPlace() place {
	p := place{name: keyCharts}
	if c.Charts.PGPKey != inFile {
		p.reference = c.Charts.PGPKey
	}
	return p
}

// createChartKey makes the key and its ring if they are missing, and writes the
// ring anew if the configuration wants another user id or expiry: the time of
// birth stays, and with it the fingerprint. dir is the deployment's folder, or
// the one that init makes it in.
func (c *Config) createChartKey(ctx context.Context, dir string, password []byte, now time.Time) error {
	if c.Charts.PGPKey == "" {
		return nil
	}
	keyDir, ringFile := filepath.Join(dir, "keys"), filepath.Join(dir, "trust", keyringName)
	if _, err := c.adoptKey(ctx, keyDir, c.chartPlace(), password); err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	key, err := c.openKey(ctx, keyDir, c.chartPlace(), password)
	if err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	old, err := readBounded(ringFile, maxKeyring)
	birth := now
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	default:
		known, err := pgp.Open(key, old)
		if err != nil {
			return noError{fmt.Errorf("%s: %w (hint: move it away to begin with a new identity)", ringFile, err)}
		}
		birth = known.Identity().Created
		if want, err := c.chartIdentity(birth); err != nil || want == known.Identity() {
			return err
		}
	}
	id, err := c.chartIdentity(birth)
	if err != nil {
		return err
	}
	ring, err := pgp.NewRing(key, id)
	if err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	if _, err := pgp.Open(key, ring); err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	_, err = replaceFile(ringFile, ring)
	return err
}

// openChartKey opens the key for serving; nil if there is none.
func (c *Config) openChartKey(ctx context.Context, password []byte) (*pgp.Key, error) {
	if c.Charts.PGPKey == "" {
		return nil, nil //nolint:nilnil // no key is no error
	}
	hint := fmt.Sprintf("(hint: hallmark-server keys create --dir %s)", c.dir)
	ring, err := readBounded(c.path("trust", keyringName), maxKeyring)
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key of charts: %w %s", err, hint)
	}
	private, err := c.openKey(ctx, c.path("keys"), c.chartPlace(), password)
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key of charts: %w %s", err, hint)
	}
	key, err := pgp.Open(private, bytes.Clone(ring))
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key of charts: %s: %w", c.path("trust", keyringName), err)
	}
	want, err := c.chartIdentity(key.Identity().Created)
	if err != nil {
		return nil, err
	}
	if want != key.Identity() {
		return nil, usageError{fmt.Errorf("charts: the configuration says that the OpenPGP key is %q, its ring says %q, or another expiry %s", want.UserID, key.Identity().UserID, hint)}
	}
	return key, nil
}
