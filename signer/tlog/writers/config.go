// SPDX-License-Identifier: Apache-2.0

package writers

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// DefaultPerMinute is the rate of a key that does not say one: one entry a
// second is more than a build farm releases, and in a day it adds less than a
// hundred megabytes to the log.
const DefaultPerMinute = 60

// Key is a registered key: somebody outside the signing service who may add
// entries.
type Key struct {
	// Name and Owner are for people: what the key is called, and who answers for
	// it. Names are unique.
	Name, Owner string
	PublicKey   crypto.PublicKey
	// Expires is when the key stops being accepted. Every key expires.
	Expires time.Time
	// PerMinute is how many new entries the key may add per minute, and at
	// once; zero means DefaultPerMinute. Repeating an entry costs nothing.
	PerMinute int
}

// Config describes Writers.
type Config struct {
	Mode Mode
	// CheckIssued returns the key that signed a certificate if this deployment
	// issued it, otherwise why not: the writer is told. Needed for Issued.
	CheckIssued func(leaf *x509.Certificate) (issuer crypto.PublicKey, err error)
	// Requested is used by Issued; nil if no certificates are issued on request.
	Requested *Requested
	// Keys are used by Issued.
	Keys []Key
	// Clock is for expiry and rate; nil means time.Now.
	Clock func() time.Time
}

// New returns Writers, or says what is wrong with cfg. A key that has expired
// is no error: its writers are told.
func New(cfg Config) (*Writers, error) {
	switch {
	case cfg.Mode != Issued && cfg.Mode != Closed && cfg.Mode != Open:
		return nil, fmt.Errorf("log writers %q are not issued, closed or open", cfg.Mode)
	case cfg.Mode == Issued && cfg.CheckIssued == nil:
		return nil, errors.New("log writers are \"issued\", but there is no check for it")
	}
	if err := cfg.Requested.check(); err != nil {
		return nil, err
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	w := &Writers{mode: cfg.Mode, checkIssued: cfg.CheckIssued, requested: cfg.Requested, clock: cfg.Clock, keys: make(map[keyID]registered)}
	names := make(map[string]bool)
	for _, key := range cfg.Keys {
		if err := w.register(key); err != nil {
			return nil, fmt.Errorf("registered key %q: %w", key.Name, err)
		}
		if names[key.Name] {
			return nil, fmt.Errorf("registered key %q: another key has this name", key.Name)
		}
		names[key.Name] = true
	}
	return w, nil
}

// keyID is the SHA-256 of a key's DER SubjectPublicKeyInfo.
type keyID [sha256.Size]byte

func idOf(key crypto.PublicKey) (keyID, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	return sha256.Sum256(spki), err
}

// registered is a key and what is left of its rate.
type registered struct {
	Key
	rate *bucket
}

func (k registered) title() string { return fmt.Sprintf("key %s of %s", k.Name, k.Owner) }

func (w *Writers) register(key Key) error {
	switch {
	case key.Name == "":
		return errors.New("no name")
	case key.Owner == "":
		return errors.New("no owner (hint: who is asked when it misbehaves)")
	case key.Expires.IsZero():
		return errors.New("no date of expiry (hint: expires: 2027-01-01T00:00:00Z)")
	case key.PerMinute < 0:
		return fmt.Errorf("%d entries per minute", key.PerMinute)
	}
	if key.PerMinute == 0 {
		key.PerMinute = DefaultPerMinute
	}
	id, err := idOf(key.PublicKey)
	if err != nil {
		return err
	}
	if other, twice := w.keys[id]; twice {
		return fmt.Errorf("it is the same key as %q", other.Name)
	}
	w.keys[id] = registered{Key: key, rate: newBucket(key.PerMinute, w.clock)}
	return nil
}

// registered looks a key up. Keys that are none of X.509's are not registered.
func (w *Writers) registered(key crypto.PublicKey) (registered, bool) {
	id, err := idOf(key)
	if err != nil {
		return registered{}, false
	}
	k, ok := w.keys[id]
	return k, ok
}

// describe names an unknown key as searches do.
func describe(key crypto.PublicKey) string {
	id, err := idOf(key)
	if err != nil {
		return "this kind of key"
	}
	return fmt.Sprintf("the key with SHA-256 %x", id)
}
