// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/policy"
)

// finishTimeout bounds the part of the flow that goes on when the client has
// gone away: from the recorded intent to the receipt. It covers a slow
// registry and leaves no request hanging.
const finishTimeout = 30 * time.Second

// Config is what a Service is made of. Every member is compulsory but Keys,
// Tags, MaxUses, Quotas, OnRequest, Revocations, Charts, Embed, Summaries,
// Schemas, Logger and Clock.
type Config struct {
	// Origin is the service's public URL without a path, for example
	// https://hallmark.corp.example. Attestations are made by the identity
	// <Origin>/attestor of issuer <Origin>.
	Origin        string
	Authenticator Authenticator
	Registry      Registry
	Policy        *policy.SigningPolicy
	// Evidence is compulsory if a rule of the policy requires evidence.
	Evidence     Evidence
	Certificates Certificates
	Timestamper  Timestamper
	// Logs are the logs that every signature goes to. Each gives the artifact a
	// bundle of its own, in this order: no client reads a bundle with two
	// entries reliably. The first is the one that receipts speak of.
	Logs []Log
	// Keys are the long-lived keys that policy rules name. A rule that names
	// another gets nothing signed.
	Keys func() map[string]SigningKey
	// Tags has legacy tags written beside the bundles; nil for none.
	Tags     *Tags
	Verifier Verifier
	Journal  Journal
	Audit    Audit
	// MaxUses is how many different requests a token serves, by the name of its
	// identity source; others have DefaultMaxUses.
	MaxUses map[string]int
	// Quotas bound how often identity sources and projects may ask. Default: no
	// bound.
	Quotas Quotas
	// OnRequest issues certificates on keys of the jobs' own, see certify.go;
	// nil: none are issued.
	OnRequest *OnRequest
	// Revocations is what must not be signed any more; nil: nothing is revoked.
	Revocations Revocations
	// Charts reads Helm charts; nil: they are signed like anything else, and no
	// more.
	Charts *Charts
	// Embed is up to how many bytes a document is embedded in its statement;
	// default DefaultEmbed, at most HighestEmbed.
	Embed int64
	// Summaries has a verification summary made when the gate of a rule is passed.
	Summaries bool
	// Schemas hold predicates of some types against schemas; nil: none.
	Schemas Schemas
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Service signs. It is safe for concurrent use.
type Service struct {
	cfg Config
	// inflight serialises requests with one RequestKey, so that the second of
	// two identical requests waits for the first one's receipt.
	inflight keyedMutex
	// anonymous bounds what callers without a valid token make it record.
	anonymous *anonymous
	// strangers bounds what callers with a valid token make it do of whom no
	// rule speaks.
	strangers *strangers
	// buckets bounds what each identity source and project makes it do.
	buckets *buckets
	// statements is room in memory for statements of documents: statementroom.go.
	statements *semaphore.Weighted
	// resolves spares the registry the same question at the same time.
	resolves resolves
	// retries spaces the attempts of Recover.
	retries *retries
}

// New checks the configuration and returns a Service. It does no I/O.
func New(cfg Config) (*Service, error) {
	missing := map[string]bool{
		"Authenticator": cfg.Authenticator == nil, "Registry": cfg.Registry == nil, "Policy": cfg.Policy == nil,
		"Certificates": cfg.Certificates == nil, "Timestamper": cfg.Timestamper == nil, "Logs": len(cfg.Logs) == 0 || slices.Contains(cfg.Logs, nil),
		"Verifier": cfg.Verifier == nil, "Journal": cfg.Journal == nil, "Audit": cfg.Audit == nil,
	}
	for name, absent := range missing {
		if absent {
			return nil, fmt.Errorf("new signer: %s is missing", name)
		}
	}
	if err := cfg.OnRequest.check(); err != nil {
		return nil, fmt.Errorf("new signer: %w", err)
	}
	if err := cfg.Charts.check(); err != nil {
		return nil, fmt.Errorf("new signer: %w", err)
	}
	if cfg.Evidence == nil && cfg.Policy.RequiresEvidence() {
		return nil, errors.New("new signer: the policy requires evidence, and nothing gathers it")
	}
	if err := CheckOrigin(cfg.Origin); err != nil {
		return nil, fmt.Errorf("new signer: %w", err)
	}
	var keys map[string]SigningKey
	if cfg.Keys != nil {
		keys = cfg.Keys()
	}
	if err := CheckKeys(keys); err != nil {
		return nil, fmt.Errorf("new signer: %w", err)
	}
	if cfg.Tags != nil && (cfg.Tags.Log == nil || cfg.Tags.Registry == nil) {
		return nil, errors.New("new signer: legacy tags need a log and a registry")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Service{cfg: cfg, anonymous: newAnonymous(), strangers: newStrangers(cfg.Quotas.Stranger), buckets: newBuckets(cfg.Quotas), retries: newRetries(), statements: newStatements()}, nil
}

// AttestorSAN is the identity of attestations made by the service at origin.
// It differs from every CI identity, because stock cosign takes any bundle of
// an accepted identity for a signature.
func AttestorSAN(origin string) string { return origin + "/attestor" }

// CheckOrigin wants an origin that can never change its meaning: it is in the
// log's checkpoints and in the identity of attestations.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return fmt.Errorf("origin %q is not a URL like https://hallmark.corp.example", origin)
	}
	if bare := u.Scheme + "://" + u.Host; origin != bare {
		return fmt.Errorf("origin %q: want only scheme and host, no path (hint: %s)", origin, bare)
	}
	return nil
}
