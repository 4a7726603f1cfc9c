// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/keys/kms"
	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// ChartsConfig is what is done with Helm charts, besides signing them in the
// registry like images.
type ChartsConfig struct {
	// PGPKey is where the OpenPGP key is that signs provenance files, for `helm
	// verify`: file, for a key of the deployment's own folder, or the reference of
	// a KMS. Public key rings are in trust/pubring.gpg. Without it no provenance
	// files are made.
	PGPKey string `yaml:"pgpKey,omitempty"`
	// Algorithm is that of the key which keys create or keys rotate makes in a file:
	// ecdsa-p256 (default), rsa-3072 or rsa-4096, for verifiers that know RSA only.
	// A key that exists stays what it is until it is rotated. In a KMS the key
	// itself says it.
	Algorithm keys.OpenPGPKind `yaml:"algorithm,omitempty"`
	// UserID is who the key says it is. Default: what it says already; a new one
	// Hallmark <charts@HOST>, with the host of the origin. It may be changed, and
	// keys create certifies the key anew.
	UserID string `yaml:"userID,omitempty"`
	// Expires is the day on which the key expires, 2030-12-31, or never. Default:
	// what the key says already; a new one never. It may be changed like the user
	// id: the key and its fingerprint stay the same.
	Expires string `yaml:"expires,omitempty"`
	// Reader is the program that reads charts. Default: hallmark-chart beside
	// hallmark-server.
	Reader string `yaml:"reader,omitempty"`
	// Timeout bounds reading and rendering one chart, 15s if it is not set.
	Timeout Duration `yaml:"timeout,omitempty"`
}

const (
	// keyCharts is the name of the first key's files, and the kind of those that are
	// rotated into its place.
	keyCharts = "charts-pgp"
	// keyringName is the public key ring in trust/, and a target of the trust
	// repository.
	keyringName = "pubring.gpg"
	// chartReaderName is the program beside ours.
	chartReaderName = "hallmark-chart"
	// maxKeyring bounds the ring, bytes: a key of RSA-4096 takes 1.2 KiB.
	maxKeyring = 64 << 10
	// maxChartTimeout leaves room in a request.
	maxChartTimeout = 30 * time.Second
)

const (
	// expiryForm is how Expires is written.
	expiryForm = time.DateOnly
	// neverExpires is the other thing that it may be.
	neverExpires = "never"
)

func (c *Config) checkCharts() error {
	k := c.Charts
	if k.PGPKey == "" && k.UserID+k.Expires+string(k.Algorithm) != "" {
		return errors.New("charts: algorithm, userID and expires are of a key (hint: pgpKey: file)")
	}
	if k.PGPKey != "" && k.PGPKey != inFile {
		if err := kms.CheckReference(k.PGPKey); err != nil {
			return fmt.Errorf("charts.pgpKey: %w (hint: file, or the reference of a KMS)", err)
		}
		if k.Algorithm != "" {
			return errors.New("charts.algorithm: that of a key in a KMS is chosen where it is made (hint: leave it out)")
		}
	}
	if k.Algorithm != "" {
		if err := keys.CheckOpenPGPKind(k.Algorithm); err != nil {
			return fmt.Errorf("charts.algorithm: %w", err)
		}
	}
	if k.Timeout.Duration > maxChartTimeout {
		return fmt.Errorf("charts.timeout %s is more than %s", k.Timeout, maxChartTimeout)
	}
	id, err := c.chartIdentity(pgp.Identity{Created: time.Unix(1<<30, 0)}) // any birth: only the rest is of the configuration
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

// chartIdentity is what the certificate of a key has to say: what the
// configuration does, and what the certificate says now where that says nothing.
func (c *Config) chartIdentity(now pgp.Identity) (pgp.Identity, error) {
	now.Created = now.Created.UTC().Truncate(time.Second)
	switch {
	case c.Charts.UserID != "":
		now.UserID = c.Charts.UserID
	case now.UserID == "":
		now.UserID = "Hallmark <charts@" + c.host() + ">"
	}
	switch c.Charts.Expires {
	case "":
	case neverExpires:
		now.Expires = time.Time{}
	default:
		expires, err := time.Parse(expiryForm, c.Charts.Expires)
		if err != nil {
			return now, fmt.Errorf("charts.expires: %q is neither a day such as 2030-12-31 nor %s", c.Charts.Expires, neverExpires)
		}
		now.Expires = expires
	}
	return now, nil
}

// chartAlgorithm is that of keys that are made in files.
func (c *Config) chartAlgorithm() keys.OpenPGPKind {
	if c.Charts.Algorithm == "" {
		return keys.OpenPGPP256
	}
	return c.Charts.Algorithm
}

// chartPlace is where the first key is.
func (c *Config) chartPlace() place {
	p := place{name: keyCharts}
	if c.Charts.PGPKey != inFile {
		p.reference = c.Charts.PGPKey
	}
	return p
}
