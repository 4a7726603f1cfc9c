// SPDX-License-Identifier: Apache-2.0

// Package registryauth finds the credentials that the service shows to the
// hosts of its registry.
//
// A Source has those of one host: a user name with a password file, an entry of
// a Docker configuration file, a credential helper, or the identity that a
// cloud gives to the machine or pod, exchanged for a token of its registry
// (Amazon ECR, Google's Artifact Registry, Azure's ACR). A Keychain gives each
// host what its own Source has, and every other host nothing: credentials are
// found by the configured host, never because a name looks like a cloud's.
//
// No program is started unless the configuration names its file: a Docker
// configuration that asks for a helper is an error that says so, and of the
// cloud's sources those that run commands are not used.
//
// The package links the clouds' SDKs, and is the reason why only
// hallmark-server does.
package registryauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sync/singleflight"
)

const (
	// margin is how long before their end credentials are replaced. It is more
	// than the five minutes for which the registry client keeps what it made of
	// them, and leaves room for a cloud that is down for a while.
	margin = 10 * time.Minute
	// pause is the time between two attempts to replace credentials that still
	// work: clouds give the same token again until shortly before its end.
	pause = 30 * time.Second
	// unknownLife is how long credentials without a known end are kept. A
	// rotated file is used after it.
	unknownLife = time.Minute
	// askTimeout bounds one question to a Source. It is asked for everybody who
	// waits, so no caller's deadline ends it.
	askTimeout = 20 * time.Second
	// maxReason bounds what a cloud's SDK says of an error: some print whole
	// answers.
	maxReason = 300
)

// Source has the credentials for one host. It need not cache them.
type Source interface {
	// Credentials returns credentials and their end, which is zero if it is not
	// known. Errors say where it looked and what to do; they hold no secret.
	Credentials(ctx context.Context) (authn.AuthConfig, time.Time, error)
}

// Keychain gives each configured host its credentials. It implements
// authn.Keychain and is safe for concurrent use.
type Keychain struct {
	accounts map[string]*account
}

// NewKeychain makes a Keychain of the sources by host, host[:port] as the
// registry client spells it.
func NewKeychain(sources map[string]Source, logger *slog.Logger) *Keychain {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	k := &Keychain{accounts: make(map[string]*account)}
	for host, source := range sources {
		k.accounts[host] = &account{host: host, source: source, logger: logger, now: time.Now}
	}
	return k
}

// Resolve implements authn.Keychain. Whoever is not configured is anonymous.
func (k *Keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if a, ok := k.accounts[r.RegistryStr()]; ok {
		return a, nil
	}
	return authn.Anonymous, nil
}

// account holds the credentials for one host.
type account struct {
	host   string
	source Source
	logger *slog.Logger
	now    func() time.Time
	flight singleflight.Group

	mu   sync.Mutex // guards held
	held held
}

// held are credentials. They work until their end, if that is known, and are
// replaced, if that is possible, from next on.
type held struct {
	cfg       authn.AuthConfig
	end, next time.Time
}

// works tells whether the credentials may be shown, even if new ones are wanted.
func (h held) works(now time.Time) bool { return now.Before(h.next) || now.Before(h.end) }

// Authorization implements authn.Authenticator.
func (a *account) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (a *account) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	if h := a.look(); a.now().Before(h.next) {
		return &h.cfg, nil
	}
	answer := a.flight.DoChan("", func() (any, error) {
		if h := a.look(); a.now().Before(h.next) {
			return h.cfg, nil // somebody asked since we looked
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		return a.replace(ctx)
	})
	select {
	case r := <-answer:
		if r.Err != nil {
			return nil, r.Err
		}
		cfg, _ := r.Val.(authn.AuthConfig)
		return &cfg, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *account) look() held {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// replace asks the source. If it has nothing, what still works goes on working:
// a cloud's token service may be down for longer than a margin is short.
func (a *account) replace(ctx context.Context) (authn.AuthConfig, error) {
	cfg, end, err := a.source.Credentials(ctx)
	now := a.now()
	if err == nil && !end.IsZero() && !now.Before(end) {
		err = fmt.Errorf("they ended at %s (hint: look at this machine's clock)", end.UTC().Format(time.RFC3339))
	}
	h := held{cfg: cfg, end: end, next: now.Add(unknownLife)}
	if !end.IsZero() {
		h.next = end.Add(-margin)
		if again := now.Add(pause); h.next.Before(again) {
			h.next = again
		}
		if h.next.After(end) {
			h.next = end
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.held = h
		return cfg, nil
	}
	err = fmt.Errorf("credentials for %s: %w", a.host, err)
	if !a.held.works(now) {
		return authn.AuthConfig{}, err
	}
	a.logger.WarnContext(ctx, "registry credentials cannot be replaced, the old ones still work", "registry", a.host, "until", a.held.end, "error", err)
	a.held.next = now.Add(pause)
	if a.held.next.After(a.held.end) {
		a.held.next = a.held.end
	}
	return a.held.cfg, nil
}

// because is what an SDK says of an error, in one line of bounded length.
func because(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	words := strings.Join(strings.FieldsFunc(err.Error(), func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	if len(words) > maxReason {
		words = strings.ToValidUTF8(words[:maxReason], "") + "…"
	}
	return errors.New(words)
}
