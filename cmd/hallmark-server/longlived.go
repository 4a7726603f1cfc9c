// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// A long-lived key is known to its verifiers as a file, which people carry to
// them. A rotation therefore publishes the next key first; when it is used the
// one before signs beside it, so that a verifier that has either file accepts all
// that is signed; and only then the old one stops. What it signed before that
// counts for as long as verifiers keep its file.

// The states of a long-lived key.
const (
	keyNext     = "next"     // published, and not used yet
	keyActive   = "active"   // signs
	keyRetiring = "retiring" // signs beside the active one
	keyRetired  = "retired"  // signs no more
)

// lateSignatures is how long after its retirement signatures of a key still
// count: every server has stopped to sign by then.
const lateSignatures = leafLife

// signingKeysName is the target that lists long-lived keys.
const signingKeysName = "signing_keys.json"

// longLivedKey is a long-lived key, past ones and coming ones too.
type longLivedKey struct {
	signingKey
	state  string
	window trustroot.Window
	public crypto.PublicKey
}

// longLivedKeys are all that verifiers may meet, in the order of the
// configuration and of each the oldest first. Keys that are not in use yet, as
// new ones of the configuration, are left out.
func (c *Config) longLivedKeys(all *rotations) ([]longLivedKey, error) {
	var list []longLivedKey
	for _, k := range c.signingKeys() {
		one := longLivedKey{signingKey: k, state: keyActive}
		for _, r := range all.Rotations {
			if r.Kind != k.place.name || r.Made.IsZero() {
				continue
			}
			next := longLivedKey{signingKey: signingKey{name: k.name, use: k.use, place: c.place(r.Key)}, state: keyNext, window: trustroot.Window{Start: r.Made}}
			if !r.Active.IsZero() {
				one.state, next.state = keyRetiring, keyActive
			}
			if !r.Done.IsZero() {
				one.state, one.window.End = keyRetired, r.Done.Add(lateSignatures)
			}
			list = append(list, one)
			one = next
		}
		list = append(list, one)
	}
	var pinned []longLivedKey
	for _, k := range list {
		var err error
		k.public, err = keys.ReadPublic(k.place.pinIn(c.path("keys")))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		pinned = append(pinned, k)
	}
	return pinned, nil
}

// refuseKnownKey refuses a key that signs already: one of a KMS, named twice.
func (c *Config) refuseKnownKey(public crypto.PublicKey, r *keyRotation) error {
	all, err := readRotations(c)
	if err != nil {
		return err
	}
	list, err := c.longLivedKeys(all)
	if err != nil {
		return err
	}
	for _, k := range list {
		if keys.Equal(k.public, public) {
			return usageError{fmt.Errorf("rotate %s: %s is the same key as %s, which signs already (hint: create another one in the KMS)", r.Kind, c.place(r.Key), k.place.name)}
		}
	}
	return nil
}

// signingKeysTarget is signing_keys.json; nil without long-lived keys.
func (c *Config) signingKeysTarget(all *rotations) ([]byte, error) {
	list, err := c.longLivedKeys(all)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var published []trustroot.SigningKey
	for _, k := range list {
		published = append(published, trustroot.SigningKey{Name: k.name, Use: k.use, Key: k.public, Window: k.window})
	}
	return trustroot.SigningKeys(published)
}

// longLived are the long-lived keys that sign now. Like authorities they follow
// trust/rotations.json, within a second.
type longLived struct {
	cfg      *Config
	password []byte
	logger   *slog.Logger

	current atomic.Pointer[signingPairs]
	failed  atomic.Pointer[error] // of the last look

	mu   sync.Mutex // guards open, and that one look is under way
	open map[string]crypto.Signer
}

// signingPairs is one state of them. It is not changed.
type signingPairs struct {
	state     []string // what it was made of
	pairs     map[string]signer.SigningKey
	published []api.PublicKey
}

// newLongLived opens what is in use, which must be there.
func newLongLived(ctx context.Context, cfg *Config, password []byte, logger *slog.Logger) (*longLived, error) {
	l := &longLived{cfg: cfg, password: password, logger: logger, open: map[string]crypto.Signer{}}
	return l, l.look(ctx)
}

// look reads the rotations and changes to what they say is in use.
func (l *longLived) look(ctx context.Context) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.failed.Store(&err) }()
	all, err := readRotations(l.cfg)
	if err != nil {
		return err
	}
	list, err := l.cfg.longLivedKeys(all)
	if err != nil {
		return err
	}
	var state []string
	for _, k := range list {
		state = append(state, k.place.name+" "+k.state)
	}
	before := l.current.Load()
	if before != nil && slices.Equal(before.state, state) {
		return nil
	}
	next := &signingPairs{state: state}
	if next.pairs, err = l.openPairs(ctx, all); err != nil {
		return err
	}
	if next.published, err = apiKeys(list); err != nil {
		return err
	}
	l.current.Store(next)
	if before != nil {
		l.logger.InfoContext(ctx, "signing by key with", "keys", state)
	}
	// The keys that are coming, so that a replica which lacks one says so before
	// it matters.
	for _, k := range list {
		if k.state == keyNext {
			if _, err := l.key(ctx, k.signingKey); err != nil {
				return fmt.Errorf("this server cannot follow the rotation: %w (hint: copy keys/ and trust/ here)", err)
			}
		}
	}
	return nil
}

// openPairs opens every key that the configuration names, which has to be there.
func (l *longLived) openPairs(ctx context.Context, all *rotations) (map[string]signer.SigningKey, error) {
	pairs := map[string]signer.SigningKey{}
	for _, k := range l.cfg.signingKeys() {
		kind := k.place.name
		key, err := l.key(ctx, signingKey{k.name, k.use, l.cfg.place(all.inUse(kind))})
		if err != nil {
			return nil, err
		}
		var retiring crypto.Signer
		if name := all.retiring(kind); name != "" {
			if retiring, err = l.key(ctx, signingKey{k.name, k.use, l.cfg.place(name)}); err != nil {
				return nil, err
			}
		}
		pair := pairs[k.name]
		if k.use == forSignatures {
			pair.Signatures, pair.RetiringSignatures = key, retiring
		} else {
			pair.Attestations, pair.RetiringAttestations = key, retiring
		}
		pairs[k.name] = pair
	}
	return pairs, signer.CheckKeys(pairs)
}

// key opens a key, once.
func (l *longLived) key(ctx context.Context, k signingKey) (crypto.Signer, error) {
	if key := l.open[k.place.name]; key != nil {
		return key, nil
	}
	key, err := l.cfg.openKey(ctx, l.cfg.path("keys"), k.place, l.password)
	if err != nil {
		return nil, hinted(fmt.Errorf("signing key %q for %s: %w", k.name, k.use, err), "hallmark-server keys create --dir %s", l.cfg.dir)
	}
	l.open[k.place.name] = key
	return key, nil
}

// ready fails if this server signs with keys that it should not, or soon will.
func (l *longLived) ready(context.Context) error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// keys is signer.Config.Keys.
func (l *longLived) keys() map[string]signer.SigningKey { return l.current.Load().pairs }

// published is api.Config.Keys.
func (l *longLived) published() []api.PublicKey { return l.current.Load().published }

// apiKeys are the long-lived keys as the API publishes them.
func apiKeys(list []longLivedKey) ([]api.PublicKey, error) {
	var all []api.PublicKey
	for _, k := range list {
		hint, err := keys.Hint(k.public)
		if err != nil {
			return nil, err
		}
		text, err := keys.PublicPEM(k.public)
		if err != nil {
			return nil, err
		}
		all = append(all, api.PublicKey{
			Name: k.name, Use: k.use, Algorithm: "ECDSA P-256", Hint: hint, PEM: string(text), State: k.state,
			Start: orNil(k.window.Start), End: orNil(k.window.End),
		})
	}
	return all, nil
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
