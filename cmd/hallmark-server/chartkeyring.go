// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// chartKeys are the OpenPGP keys of a running service. Like the other keys they
// follow trust/rotations.json, within a second.
type chartKeys struct {
	cfg      *Config
	password []byte
	gone     *revoked
	logger   *slog.Logger

	current atomic.Pointer[chartKeySet]
	failed  atomic.Pointer[error] // of the last look

	mu   sync.Mutex // guards open, and that one look is under way
	open map[string]*pgp.Key
}

// chartKeySet is one state of them. It is not changed.
type chartKeySet struct {
	names        []string // of all keys, and of the one in use
	keys         signer.ProvenanceKeys
	certificates []*pgp.Certificate
}

// newChartKeys opens what is in use, which must be there; nil if charts have no
// key.
func newChartKeys(ctx context.Context, cfg *Config, w chartWiring) (*chartKeys, error) {
	if cfg.Charts.PGPKey == "" {
		return nil, nil //nolint:nilnil // no key is no error
	}
	k := &chartKeys{cfg: cfg, password: w.password, gone: w.gone, logger: w.logger, open: map[string]*pgp.Key{}}
	if err := k.look(ctx); err != nil {
		return nil, err
	}
	words, err := cfg.otherChartAlgorithm()
	if words != "" {
		k.logger.WarnContext(ctx, words)
	}
	return k, err
}

// look reads the rotations and changes to what they say is in use.
func (k *chartKeys) look(ctx context.Context) (err error) {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	defer func() { k.failed.Store(&err) }()
	all, err := readRotations(k.cfg)
	if err != nil {
		return err
	}
	inUse := all.inUse(kindCharts)
	known := all.chains(kindCharts)
	names := append(slices.Clone(known), inUse)
	before := k.current.Load()
	used := slices.Index(known, inUse)
	if before == nil || !slices.Equal(before.names, names) {
		next := &chartKeySet{names: names}
		if next.certificates, err = k.cfg.chartCertificates(k.cfg.dir, all); err != nil {
			return err
		}
		key, err := k.key(ctx, inUse)
		if err != nil {
			return err
		}
		next.keys.Current = key
		for i := used - 1; i >= 0; i-- {
			next.keys.Earlier = append(next.keys.Earlier, next.certificates[i])
		}
		k.current.Store(next)
		if before != nil {
			k.logger.InfoContext(ctx, "provenance files of charts are signed with", "key", inUse, "fingerprint", key.Fingerprint(), "published", known)
		}
	}
	// The key that is coming, so that a replica which lacks it says so before it
	// matters.
	for _, name := range known[used+1:] {
		if _, err := k.key(ctx, name); err != nil {
			return fmt.Errorf("this server cannot follow the rotation: %w (hint: copy keys/, certs/ and trust/ here)", err)
		}
	}
	return nil
}

func (k *chartKeys) key(ctx context.Context, name string) (*pgp.Key, error) {
	if key := k.open[name]; key != nil {
		return key, nil
	}
	key, err := k.cfg.openChartKeyNamed(ctx, k.cfg.dir, name, k.password)
	if err != nil {
		return nil, err
	}
	k.open[name] = key
	return key, nil
}

// keys is signer.ProvenanceFiles.Keys.
func (k *chartKeys) keys() signer.ProvenanceKeys { return k.current.Load().keys }

// ring is api.Config.ChartKeyring.
func (k *chartKeys) ring(fingerprint string) []byte {
	if k == nil {
		return nil
	}
	list := k.current.Load().certificates
	if fingerprint != "" {
		list = slices.DeleteFunc(slices.Clone(list), func(c *pgp.Certificate) bool { return !strings.EqualFold(c.Fingerprint(), fingerprint) })
	}
	return ringOf(list, func(key crypto.PublicKey) bool {
		_, is := k.gone.RevokedKey(context.Background(), key)
		return is
	})
}

// ready fails if this server signs with a key that it should not, or soon will.
func (k *chartKeys) ready(context.Context) error {
	if k == nil {
		return nil
	}
	if err := k.failed.Load(); err != nil {
		return *err
	}
	return nil
}
