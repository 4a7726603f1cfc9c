// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/ca/fulcio"
	"github.com/hallmark-dev/hallmark/signer/identity"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

// clockBackdate is how far certificates begin in the past, against verifiers
// whose clock is a little late.
const clockBackdate = 10 * time.Second

// service is an assembled Hallmark: two handlers and what must be closed.
type service struct {
	public, admin http.Handler
	signer        *signer.Service
	identities    *identity.Authenticator
	desk          *desk // nil while the Fulcio API is off
	logger        *slog.Logger
	// follow prepares for what other processes do to the logs, until ctx ends.
	follow func(ctx context.Context)
	close  func() error
}

// assemble loads what init made and connects the rooms. It is the one place
// where they meet. What a person wrote wrongly in the configuration or the
// policy is a usageError, whichever room finds it.
func assemble(ctx context.Context, cfg *Config, logger *slog.Logger) (_ *service, err error) {
	d, err := loadDeployment(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	signingPolicy, err := readPolicy(cfg.path(cfg.Policy))
	if err != nil {
		return nil, usageError{err}
	}
	if err := cfg.checkPolicyKeys(signingPolicy); err != nil {
		return nil, usageError{err}
	}
	byKey, err := newLongLived(ctx, cfg, d.password, logger)
	if err != nil {
		return nil, err
	}
	trust, err := newPublished(cfg, logger)
	if err != nil {
		return nil, err
	}
	gone, err := newRevoked(cfg, logger)
	if err != nil {
		return nil, err
	}
	metrics := obs.NewRegistry(version)

	db, err := openDatabase(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	closers := []func() error{db.Close}
	closeAll := func() error { return closeReversed(closers) }
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	logs, err := openLogs(ctx, cfg, d, db, metrics, logger)
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() error { return logs.set.Close(context.WithoutCancel(ctx)) })

	// Who asks, and about what.
	sources := append([]identity.Source(nil), cfg.Identities...)
	for i := range sources {
		for _, file := range sources[i].Files() {
			if *file != "" {
				*file = cfg.path(*file)
			}
		}
	}
	warnAboutIdentities(ctx, logger, signingPolicy, sources)
	warnAboutTools(ctx, logger, signingPolicy)
	authenticator, err := identity.New(identity.Config{Audience: cfg.Audience, Sources: sources, Logger: logger})
	if err != nil {
		return nil, usageError{err}
	}
	desk, err := openDesk(ctx, cfg, d, db, sources, signingPolicy, logger)
	if err != nil {
		return nil, err
	}
	registry, err := newRegistry(ctx, cfg, db, logger)
	if err != nil {
		return nil, usageError{err}
	}

	gates, err := newEvidence(cfg, registry, db, trust, gone, logger)
	if err != nil {
		return nil, err
	}
	charts, chartKeys, err := openCharts(ctx, cfg, chartWiring{
		registry: registry, db: db, v1: logs.v1, trust: trust, gone: gone, keys: byKey.published, password: d.password, logger: logger,
	})
	if err != nil {
		return nil, err
	}
	room, err := cfg.openSpool()
	if err != nil {
		return nil, err
	}
	predicates, err := cfg.openSchemas()
	if err != nil {
		return nil, err
	}
	s, err := signer.New(signer.Config{
		Charts: charts, Embed: int64(cfg.Signing.EmbedEvidence), Summaries: cfg.Signing.VerificationSummary, Schemas: predicates,
		Evidence: gates, Origin: cfg.Origin, Authenticator: authenticator, Registry: registry, Policy: signingPolicy,
		Certificates: d.online, Timestamper: d.online, Logs: logs.forSigner(cfg), Verifier: trust,
		Keys: byKey.keys, Tags: logs.tags(cfg, registry), Revocations: gone,
		Journal: db, Audit: db, OnRequest: desk.port(), Logger: logger, MaxUses: cfg.maxUses(), Quotas: cfg.Quotas.quotas(),
	})
	if err != nil {
		return nil, err
	}
	own, err := api.New(api.Config{
		Version: version, Signer: s, Receipts: db, Logs: logView{db: db, set: logs.set, logger: logger}, Trust: trust.Trust, Keys: byKey.published, Revocations: gone,
		Charts: s, ChartKeyring: chartKeys.ring, Spool: room,
		RequestID: obs.RequestID, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	certificates, err := desk.face(s, logger)
	if err != nil {
		return nil, err
	}
	public, err := publicHandler(metrics, logger, faces{
		own: own, v1: logs.v1, v2: logs.v2, timestamper: d.online, trust: tuf.Handler(cfg.path(repositoryFolder), tufPath), certificates: certificates,
	})
	if err != nil {
		return nil, err
	}
	care := newTender(cfg, d.password, logger)
	care.db, care.set = db, logs.set
	if err := care.register(metrics); err != nil {
		return nil, err
	}
	ready := readiness(cfg, db, logs.set)
	ready["keys"], ready["signing keys"], ready["trust repository"] = d.online.ready, byKey.ready, care.ready
	ready["OpenPGP key of charts"] = chartKeys.ready
	admin := obs.Private{Registry: metrics, Logger: logger, Ready: ready}
	followAll := func(ctx context.Context) {
		var group sync.WaitGroup
		group.Go(func() { care.run(ctx) })
		group.Go(func() { follow(ctx, logger, d.online.look, byKey.look, chartKeys.look) })
		if cfg.shared() { // otherwise nobody else has the database
			group.Go(func() { logs.keys.prepareUntil(ctx, db, logger) })
		}
		group.Wait()
	}
	return &service{
		public: public, admin: admin.Handler(), signer: s, identities: authenticator, desk: desk, logger: logger, follow: followAll, close: closeAll,
	}, nil
}

// faces are the APIs of the service.
type faces struct {
	own, v1, v2, timestamper, trust http.Handler
	certificates                    *fulcio.API // nil while the Fulcio API is off
}

// publicHandler lays the faces of the service out by path: the contracts of
// docs/DESIGN.md.
func publicHandler(metrics *prometheus.Registry, logger *slog.Logger, f faces) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/hallmark/v1/", api.WithRemoteAddr(f.own))
	mux.Handle("/api/v1/", f.v1)
	mux.Handle("/ping", f.v1) // Rekor v1, too
	mux.Handle("/api/v2/", f.v2)
	mux.Handle("/checkpoint", f.v2)
	mux.Handle("/tile/", f.v2)
	mux.Handle(tsa.Path, f.timestamper)
	mux.Handle(tsa.ChainPath, f.timestamper)
	mux.Handle(tufPath, f.trust)
	if f.certificates != nil {
		f.certificates.Register(mux)
	}
	requests, err := obs.NewRequests(logger, metrics)
	if err != nil {
		return nil, err
	}
	return requests.Wrap(mux), nil
}

// recoverUntil finishes what a crash left, at once and then as long as
// something is left: the registry may be down when the service starts.
func (s *service) recoverUntil(ctx context.Context) {
	tick := time.NewTicker(recoverEvery)
	defer tick.Stop()
	for {
		finished, voided, err := s.signer.Recover(ctx)
		if finished+voided > 0 {
			s.logger.InfoContext(ctx, "recovered intents", "finished", finished, "voided", voided)
		}
		if err != nil {
			s.logger.WarnContext(ctx, "intents are not finished yet, they are tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warnAboutIdentities tells of names that the configuration and the policy do
// not share: a misspelt one refuses everybody without any other sign.
func warnAboutIdentities(ctx context.Context, logger *slog.Logger, p *policy.SigningPolicy, sources []identity.Source) {
	var configured []string
	for _, s := range sources {
		configured = append(configured, s.Name)
		if !slices.Contains(p.Identities(), s.Name) {
			logger.WarnContext(ctx, "no rule of the signing policy is for this identity source: it can have nothing signed", "identity", s.Name)
		}
	}
	for _, name := range p.Identities() {
		if !slices.Contains(configured, name) {
			logger.WarnContext(ctx, "the signing policy has rules for an identity source that is not configured: they never hold", "identity", name)
		}
	}
}

func readPolicy(path string) (*policy.SigningPolicy, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // a path of the configuration
	if err != nil {
		return nil, fmt.Errorf("read signing policy: %w", err)
	}
	p, err := policy.ParseSigningPolicy(raw)
	if err != nil {
		return nil, fmt.Errorf("signing policy %s: %w", path, err)
	}
	return p, nil
}

func closeReversed(closers []func() error) error {
	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i]())
	}
	return errors.Join(errs...)
}
