// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	// refreshAfter is the age at which keys are fetched again before use: a
	// key that the issuer removed is trusted at most this much longer.
	refreshAfter = 5 * time.Minute
	// backgroundRefresh, a little less, keeps that fetch off the requests.
	backgroundRefresh = 4 * time.Minute
	// maxStale is the age up to which keys are still used when the issuer does
	// not answer: long enough for its restart, short enough to be "soon" for a
	// removed key. Beyond it nothing can be decided.
	maxStale = 15 * time.Minute
	// minInterval is the least time between two fetches, whatever asks: a
	// flood of tokens with invented kids must not become a flood of requests.
	minInterval = 10 * time.Second
)

// keySet holds the public keys of one issuer.
type keySet struct {
	fetch   func(context.Context) (map[string][]jose.JSONWebKey, error)
	timeout time.Duration // of one fetch
	clock   func() time.Time
	log     *slog.Logger
	// flight joins fetches that are asked for at the same time.
	flight singleflight.Group

	mu sync.Mutex // guards the rest; never held while fetching
	// keys by kid, as last fetched. The map is replaced, never changed.
	keys map[string][]jose.JSONWebKey
	// fetched is when keys were fetched, zero before the first time.
	fetched time.Time
	// tried is when the last fetch ended, failure how; nil means well.
	tried   time.Time
	failure error
}

// signatureCheck is the key set as go-oidc wants it, for one token. It keeps
// its error, because go-oidc turns it into text.
type signatureCheck struct {
	keys   *keySet
	header header
	err    error
}

// VerifySignature implements oidc.KeySet.
func (c *signatureCheck) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	var payload []byte
	payload, c.err = c.keys.verify(ctx, c.header, jwt)
	return payload, c.err
}

// verify returns the payload if the key that the header names signed it. A
// refusal comes after a second look at the issuer's keys: it may have a new
// key, or a new one under the old name.
func (k *keySet) verify(ctx context.Context, h header, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.alg)})
	if err != nil {
		return nil, refuse(ReasonMalformed, "the token is not a signed JWT: %v", err)
	}
	keys, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys[h.kid], h, jws); ok {
		return payload, nil
	}
	renewed, err := k.renewed(ctx)
	switch {
	case err == nil:
		keys = renewed
	case len(keys[h.kid]) == 0:
		return nil, err
	}
	if payload, ok := verifyWith(keys[h.kid], h, jws); ok {
		return payload, nil
	}
	if len(keys[h.kid]) == 0 {
		return nil, refuse(ReasonUnknownKey, "the issuer publishes no key %.100q", h.kid)
	}
	return nil, refuse(ReasonBadSignature, "the signature is not by the issuer's key %.100q", h.kid)
}

func verifyWith(keys []jose.JSONWebKey, h header, jws *jose.JSONWebSignature) ([]byte, bool) {
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != h.alg {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// current returns keys that are fresh, fetching them if they are not, or that
// are stale within bounds while the issuer does not answer.
func (k *keySet) current(ctx context.Context) (map[string][]jose.JSONWebKey, error) {
	if keys, ok := k.youngerThan(refreshAfter); ok {
		return keys, nil
	}
	keys, err := k.renewed(ctx)
	if err == nil {
		return keys, nil
	}
	if keys, ok := k.youngerThan(maxStale); ok && ctx.Err() == nil {
		return keys, nil
	}
	return nil, err
}

// names returns how many keys of that name there are, without fetching any.
func (k *keySet) names(kid string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys[kid])
}

func (k *keySet) youngerThan(limit time.Duration) (map[string][]jose.JSONWebKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, !k.fetched.IsZero() && within(k.clock().Sub(k.fetched), limit)
}

// within is false for negative ages too: a clock that was set back says
// nothing about age.
func within(age, limit time.Duration) bool { return age >= 0 && age < limit }

// renewed fetches the keys, unless that was tried less than minInterval ago:
// then it returns what that attempt returned. All who ask at the same time
// share one fetch, which none of them can cancel.
func (k *keySet) renewed(ctx context.Context) (map[string][]jose.JSONWebKey, error) {
	result := k.flight.DoChan("", func() (any, error) {
		if keys, err, done := k.justTried(); done {
			return keys, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
		defer cancel()
		return k.store(k.fetch(ctx))
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the issuer's keys: %w", ctx.Err())
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		keys, _ := r.Val.(map[string][]jose.JSONWebKey) // as the function above returns
		return keys, nil
	}
}

func (k *keySet) justTried() (keys map[string][]jose.JSONWebKey, err error, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	done = !k.tried.IsZero() && within(k.clock().Sub(k.tried), minInterval)
	return k.keys, k.failure, done
}

func (k *keySet) store(keys map[string][]jose.JSONWebKey, err error) (map[string][]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failure = k.clock(), err
	if err != nil {
		k.log.Warn("issuer's keys cannot be fetched", "error", err, "keys_from", k.fetched)
		return nil, err
	}
	k.keys, k.fetched = keys, k.tried
	return keys, nil
}

// refreshAll renews the keys of all sources at once.
func refreshAll(ctx context.Context, sources []*source) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards errs
		errs []error
	)
	for _, s := range sources {
		wg.Go(func() {
			if _, err := s.keys.renewed(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("identity source %q: %w", s.Name, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
