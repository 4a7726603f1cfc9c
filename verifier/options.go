// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"errors"
	"time"

	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// Option configures New and NewCrypto.
type Option func(*config) error

type config struct {
	clock    func() time.Time
	registry Registry
	sources  []Source

	revocations    *trust.Revocations
	revocationsAge time.Duration
}

func configure(opts []Option) (config, error) {
	cfg := config{clock: time.Now}
	for _, opt := range opts {
		if err := opt(&cfg); err != nil {
			return config{}, err
		}
	}
	return cfg, nil
}

// WithClock replaces time.Now. The clock refuses evidence from the future and tells policies the age of evidence; it never makes
// anything valid.
func WithClock(clock func() time.Time) Option {
	return func(cfg *config) error {
		if clock == nil {
			return errors.New("new verifier: clock is nil")
		}
		cfg.clock = clock
		return nil
	}
}

// WithRegistry gives the registry client that resolves references, usually an *oci.Client. Without WithSource it is also where
// bundles are looked for, among the artifact's referrers.
func WithRegistry(r Registry) Option {
	return func(cfg *config) error {
		if r == nil {
			return errors.New("new verifier: registry is nil")
		}
		cfg.registry = r
		return nil
	}
}

// WithSource adds a place where bundles are looked for. With several, all of them are asked and all of them must answer.
func WithSource(s Source) Option {
	return func(cfg *config) error {
		if s == nil {
			return errors.New("new verifier: source is nil")
		}
		cfg.sources = append(cfg.sources, s)
		return nil
	}
}
