// SPDX-License-Identifier: Apache-2.0

// Package identity turns the OpenID Connect token of a CI job into a
// signer.Principal, or says why it does not.
//
// A CI system gives each running job a signed JSON Web Token whose claims say
// what runs: repository, ref, workflow, run. Such a token is a bearer secret,
// made by somebody else, about somebody else's users, so almost everything a
// general OIDC library leaves to its caller is decided here:
//
//   - The issuer is compared, as exact text, with a configured list before
//     anything is fetched or believed. There are no patterns.
//   - The audience is exactly one and exactly ours, so that a token made for
//     another service is worth nothing here, and ours nothing there.
//   - Tokens are short: their age and their whole life are capped per source.
//   - The bytes are read once, strictly: no duplicate members, no second
//     spelling of a claim, numbers kept digit for digit, a claim of an
//     unexpected type is a refusal and never a conversion.
//   - Keys come from the issuer only, never from the token's header, and die
//     soon after the issuer removes them.
//   - A token that stands for a person, or that lacks the claims which only a
//     run has, is refused whatever its signature.
//
// What a kind of CI adds to that is one file (github.go, gitlab.go,
// buildkite.go, circleci.go, kubernetes.go, spiffe.go; generic.go is told by
// configuration): which claims a run must have, and how they map to the
// certificate's URI and the Fulcio extensions 1.3.6.1.4.1.57264.1.N. Two of
// them have a last question for somebody else: kubernetes may ask the cluster
// whether the pod lives, spiffe has go-spiffe read the token again.
//
// A refusal is a *signer.Unauthenticated with one of the Reason words of this
// package. Every other error means that it could not be decided, for example
// because the issuer's keys cannot be read; it is no verdict on the token.
package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/hallmark-dev/hallmark/signer"
)

// Authenticator checks tokens of the configured sources. It is safe for
// concurrent use and implements signer.Authenticator.
type Authenticator struct {
	audience string
	clock    func() time.Time
	// sources is keyed by the exact issuer text and never changes. Only clusters
	// share one, because theirs are often the same text.
	sources map[string][]*source
}

var _ signer.Authenticator = (*Authenticator)(nil)

// source is a validated Source with its key set.
type source struct {
	Source
	provider provider
	keys     *keySet
	// review asks the cluster about a token; nil unless it is configured.
	review *reviewer
}

// New checks the configuration and returns an Authenticator. It reads CA files
// but makes no request: an issuer that is down must not keep the service from
// starting. Its errors name the source and what to change.
func New(cfg Config) (*Authenticator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.checkNames(); err != nil {
		return nil, err
	}
	a := &Authenticator{audience: cfg.Audience, clock: cfg.Clock, sources: map[string][]*source{}}
	var complete []Source
	for _, s := range cfg.Sources {
		src, err := newSource(cfg, s)
		if err != nil {
			return nil, fmt.Errorf("identity source %q: %w", s.Name, err)
		}
		a.sources[src.Issuer] = append(a.sources[src.Issuer], src)
		complete = append(complete, src.Source)
	}
	if err := checkIssuers(complete); err != nil {
		return nil, err
	}
	if cfg.AllowSigstoreAudience && cfg.Audience == sigstoreAudience {
		return a, nil
	}
	return a, checkAudience(cfg.Audience, complete)
}

func newSource(cfg Config, s Source) (*source, error) {
	p, err := providerFor(s.Provider)
	if err != nil {
		return nil, err
	}
	if s, err = s.complete(p); err != nil {
		return nil, err
	}
	client, err := newClient(cfg.HTTPClient, cfg.FetchTimeout, s.CAFile)
	if err != nil {
		return nil, err
	}
	fetch := &fetcher{source: s, provider: p, client: client}
	keys := &keySet{fetch: fetch.keys, timeout: cfg.FetchTimeout, clock: cfg.Clock, log: cfg.Logger.With("identity", s.Name)}
	src := &source{Source: s, provider: p, keys: keys}
	if s.TokenReview != nil {
		if src.review, err = newReviewer(cfg, *s.TokenReview); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// Authenticate verifies the token and returns the run it stands for.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (signer.Principal, error) {
	// 1. Read it, believing nothing. From here on refusals name what the token
	// claims to be.
	tok, err := parseToken(token)
	if err != nil {
		return signer.Principal{}, tok.refusal(err)
	}

	// 2. Only issuers of the list, compared as text.
	candidates := a.sources[tok.from()]
	if len(candidates) == 0 {
		return signer.Principal{}, tok.refusal(refuse(ReasonUnknownIssuer,
			"no identity source is configured for issuer %.200q", tok.from()))
	}

	// 3. What can be refused without a key is refused before one is fetched,
	// so that a flood of old or foreign tokens costs the issuer nothing.
	now := a.clock()
	if candidates, err = tok.candidates(candidates, a.audience, now); err != nil {
		return signer.Principal{}, tok.refusal(err)
	}

	// 4. The signature, with go-oidc's own view of issuer, audience and expiry
	// as a second reader of the same bytes.
	src, err := a.verify(ctx, candidates, tok, now)
	if err != nil {
		return signer.Principal{}, tok.refusal(err)
	}

	// 5. What a run of this kind of CI must say of itself, and how a
	// certificate says it.
	r := newReader(tok.claims)
	run := src.provider.read(r, src.Source)
	if err := r.err(); err != nil {
		return signer.Principal{}, tok.refusal(err)
	}

	// 6. What only somebody else can know, last, because it is not cheap.
	if src.provider.confirm != nil {
		if err := src.provider.confirm(ctx, src, tok, a.audience); err != nil {
			return signer.Principal{}, tok.refusal(err)
		}
	}
	return src.principal(tok, run), nil
}

// verify returns the source whose key signed the token. There is one candidate
// unless clusters share an issuer: then those that have a key of the token's
// name go first, so that the others are not asked for new ones.
func (a *Authenticator) verify(ctx context.Context, candidates []*source, tok token, now time.Time) (*source, error) {
	if len(candidates) > 1 {
		candidates = slices.Clone(candidates)
		slices.SortStableFunc(candidates, func(x, y *source) int {
			return cmp.Compare(y.keys.names(tok.header.kid), x.keys.names(tok.header.kid))
		})
	}
	var refused, undecided error
	for _, src := range candidates {
		err := a.verifyWith(ctx, src, tok, now)
		var no *signer.Unauthenticated
		switch {
		case err == nil:
			return src, nil
		case !errors.As(err, &no):
			undecided = errors.Join(undecided, err)
		case refused == nil:
			refused = err
		}
	}
	if undecided != nil { // the one that does not answer may be the token's
		return nil, undecided
	}
	return nil, refused
}

// verifyWith checks the signature and that the bytes that were signed are the
// bytes that were read.
func (a *Authenticator) verifyWith(ctx context.Context, src *source, tok token, now time.Time) error {
	check := &signatureCheck{keys: src.keys, header: tok.header}
	verifier := oidc.NewVerifier(src.Issuer, check, &oidc.Config{
		ClientID:             a.audience,
		SupportedSigningAlgs: src.Algorithms,
		// Without an iss the source was chosen by the trust domain in sub.
		SkipIssuerCheck: tok.issuer() == "",
		// go-oidc has no leeway of its own at the end of a token's life.
		Now: func() time.Time { return now.Add(-maxSkew) },
	})
	verified, err := verifier.Verify(ctx, tok.raw)
	if check.err != nil { // go-oidc does not wrap it
		return check.err
	}
	if err != nil {
		return refuse(ReasonMalformed, "%v", err)
	}
	var payload json.RawMessage
	if err := verified.Claims(&payload); err != nil || !bytes.Equal(payload, tok.payload) {
		return refuse(ReasonMalformed, "the signed payload is not the payload that was read")
	}
	return nil
}

// principal joins what every token says with what the provider read.
func (s *source) principal(tok token, run run) signer.Principal {
	run.extensions.Issuer = s.Issuer
	run.extensions.Subject = tok.subject()
	return signer.Principal{
		Identity: s.Name, Provider: s.Provider, Issuer: s.Issuer, Subject: tok.subject(),
		SAN: run.san, Extensions: run.extensions, Run: run.id,
		TokenID: tok.id(), Expiry: tok.expiry, Claims: tok.claims,
	}
}

// Refresh fetches the keys of every source now. An error names the sources
// whose keys could not be read; the others are fresh. Authenticate does not
// need it, but after it does not wait for an issuer.
func (a *Authenticator) Refresh(ctx context.Context) error {
	var all []*source
	for _, sources := range a.sources {
		all = append(all, sources...)
	}
	return refreshAll(ctx, all)
}

// Run refreshes keys in the background until ctx ends, so that no request
// waits for an issuer. It logs failures and returns nil.
func (a *Authenticator) Run(ctx context.Context) error {
	ticker := time.NewTicker(backgroundRefresh)
	defer ticker.Stop()
	for {
		_ = a.Refresh(ctx) // each key set logs its own failure
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
