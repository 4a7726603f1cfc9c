// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// DatabaseConfig names a PostgreSQL database, version 15 or newer.
type DatabaseConfig struct {
	// URL is postgres://user@host[:port]/database?sslmode=verify-full, without a
	// password. Other parameters are those of libpq that pgx knows.
	URL string `yaml:"url"`
	// PasswordFile holds the user's password. Without it the server has to let
	// the user in by other means, such as a client certificate.
	PasswordFile string `yaml:"passwordFile,omitempty"`
}

func (d *DatabaseConfig) check() error {
	if d == nil {
		return nil
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return errors.New("database.url is not a URL") // the error would repeat a password
	}
	if _, set := u.User.Password(); set {
		return errors.New("database.url has a password in it (hint: passwordFile)")
	}
	if (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.User.Username() == "" || len(u.Path) < 2 {
		return fmt.Errorf("database.url %s is not postgres://user@host/database", u.Redacted())
	}
	return nil
}

// SigningConfig says what signatures look like.
type SigningConfig struct {
	// BundleLog is the log that the entry in a bundle is of: v1 (the default:
	// what most verifiers in the field read), v2 (when every verifier reads
	// it), or both, which gives every signature two bundles.
	BundleLog string `yaml:"bundleLog,omitempty"`
	// LegacyTags has signatures and attestations written under the tags
	// sha256-<hex>.sig and .att as well, which verifiers read that know no
	// bundles. It needs a v1 log, and a registry in which tags may change.
	LegacyTags bool `yaml:"legacyTags,omitempty"`
	// Keys are long-lived keys, for rules that sign by key.
	Keys []SigningKeyConfig `yaml:"keys,omitempty"`
	// How documents are attested.
	DocumentsConfig `yaml:",inline"`
}

// The values of signing.bundleLog.
const (
	bundleLogV1   = "v1"
	bundleLogV2   = "v2"
	bundleLogBoth = "both"
)

func (s *SigningConfig) setDefaults() {
	if s.BundleLog == "" {
		s.BundleLog = bundleLogV1
	}
}

func (s *SigningConfig) check() error {
	switch s.BundleLog {
	case "", bundleLogV1, bundleLogV2, bundleLogBoth:
		return errors.Join(s.checkSigningKeys(), s.DocumentsConfig.check())
	}
	return fmt.Errorf("signing.bundleLog %q is not v1, v2 or both", s.BundleLog)
}

// kinds are the logs that every signature goes to, in the order of its bundles.
func (s *SigningConfig) kinds() []tlog.Kind {
	switch s.BundleLog {
	case bundleLogV2:
		return []tlog.Kind{tlog.V2}
	case bundleLogBoth:
		return []tlog.Kind{tlog.V1, tlog.V2}
	}
	return []tlog.Kind{tlog.V1}
}

// LogConfig configures the transparency logs.
type LogConfig struct {
	// Writers says whose entries the HTTP APIs take: issued (the default: what
	// this service has signed and logged, whoever sends it again, and new
	// entries of registered keys), closed (nobody's), or open (anybody's;
	// development). The service itself always writes.
	Writers string `yaml:"writers,omitempty"`
	// Keys are the registered keys.
	Keys []WriterKey `yaml:"keys,omitempty"`
}

// WriterKey is a key outside this service that may add entries to the logs.
type WriterKey struct {
	// Name is what refusals call the key; unique.
	Name string `yaml:"name"`
	// Owner is who answers for it, for example an address.
	Owner string `yaml:"owner"`
	// PublicKey is a PEM file.
	PublicKey string `yaml:"publicKey"`
	// Expires is when the key stops being accepted, for example
	// 2027-01-01T00:00:00Z.
	Expires time.Time `yaml:"expires"`
	// PerMinute is how many entries it may add a minute, and at once. Default 60.
	PerMinute int `yaml:"perMinute,omitempty"`
}

func (l *LogConfig) setDefaults() {
	if l.Writers == "" {
		l.Writers = string(writers.Issued)
	}
}

func (l *LogConfig) check() error {
	switch writers.Mode(l.Writers) {
	case "", writers.Issued, writers.Closed, writers.Open:
	default:
		return fmt.Errorf("log.writers %q is not issued, closed or open", l.Writers)
	}
	if len(l.Keys) > 0 && l.Writers != string(writers.Issued) {
		return fmt.Errorf("log.keys are for writers %q, not %q", writers.Issued, l.Writers)
	}
	seen := map[string]bool{}
	for _, k := range l.Keys {
		switch {
		case k.Name == "" || k.Owner == "" || k.PublicKey == "":
			return fmt.Errorf("log.keys: key %q: name, owner and publicKey are compulsory", k.Name)
		case k.Expires.IsZero():
			return fmt.Errorf("log.keys: key %q: expires is compulsory (hint: expires: %s)", k.Name, "2027-01-01T00:00:00Z")
		case k.PerMinute < 0:
			return fmt.Errorf("log.keys: key %q: perMinute is negative", k.Name)
		case seen[k.Name]:
			return fmt.Errorf("log.keys: two keys are called %q", k.Name)
		}
		seen[k.Name] = true
	}
	return nil
}

// maxPublicKey bounds a PEM file of one public key, bytes.
const maxPublicKey = 64 << 10

// writerKeys reads the registered keys.
func (c *Config) writerKeys() ([]writers.Key, error) {
	var keys []writers.Key
	for _, k := range c.Log.Keys {
		public, err := readPublicKey(c.path(k.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("log.keys: key %q: %w", k.Name, err)
		}
		keys = append(keys, writers.Key{Name: k.Name, Owner: k.Owner, PublicKey: public, Expires: k.Expires, PerMinute: k.PerMinute})
	}
	return keys, nil
}

func readPublicKey(path string) (crypto.PublicKey, error) {
	pem, err := readBounded(path, maxPublicKey)
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (hint: a PEM file that begins with -----BEGIN PUBLIC KEY-----)", path, err)
	}
	return key, nil
}
