// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

const (
	// tendEvery is how often a server looks at trust/ and the clock.
	tendEvery = time.Second
	// sayAgain is how often the same failure is logged.
	sayAgain = 5 * time.Minute
	// tendTimeout bounds one look: opening eight keys on a busy machine takes
	// seconds.
	tendTimeout = time.Minute
)

// tender takes care of the trust material: it moves rotations on, ends windows,
// and keeps the trust repository up to date. A server has one, and the commands
// that change something use one once.
type tender struct {
	cfg      *Config
	password []byte
	logger   *slog.Logger
	// db and set are those of a running server; without them nothing happens to
	// logs.
	db  store.Database
	set *tlog.Set

	mu   sync.Mutex // one look at a time; guards what follows
	open map[string]crypto.Signer
	// recorded are the operations that the database has been told of.
	recorded map[string]bool
	seen     [sha256.Size]byte // of the files at the last look
	due      time.Time         // when the next look finds something without a change
	status   tuf.Status        // of the repository
	// shown is what the last look came to, for those who must not wait for one.
	shown atomic.Pointer[looked]
}

// looked is what a look came to.
type looked struct {
	status tuf.Status
	err    error
}

func newTender(cfg *Config, password []byte, logger *slog.Logger) *tender {
	return &tender{cfg: cfg, password: password, logger: logger, open: map[string]crypto.Signer{}, recorded: map[string]bool{}}
}

// run looks until ctx ends.
func (t *tender) run(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	said, when := "", time.Time{}
	for {
		if !t.cfg.TUF.ReadOnly {
			err := t.tend(ctx, time.Now())
			switch {
			case err == nil:
				said = ""
			case ctx.Err() == nil && (err.Error() != said || time.Since(when) > sayAgain):
				said, when = err.Error(), time.Now()
				t.logger.ErrorContext(ctx, "trust material is not up to date, it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tend is one look. It may be repeated at any time, and interrupted anywhere.
func (t *tender) tend(ctx context.Context, now time.Time) (err error) {
	ctx, cancel := context.WithTimeout(ctx, tendTimeout)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.shown.Store(&looked{t.status, err}) }()
	unlock, err := lockTrust(ctx, t.cfg)
	if err != nil {
		return err
	}
	defer unlock()
	sum, err := t.cfg.sumTrust()
	if err != nil {
		return err
	}
	if last := t.shown.Load(); last != nil && last.err == nil && sum == t.seen && now.Before(t.due) {
		return nil
	}
	now = now.UTC().Truncate(time.Second)
	all, err := readRotations(t.cfg)
	if err != nil {
		return err
	}
	err = t.look(ctx, all, now)
	// 5. What operators did, and the phases above, are in the folder; now the
	// audit has them as well. That something above fails is no reason to wait.
	if err := errors.Join(err, t.recordOperations(ctx, now)); err != nil {
		return err
	}
	// What this look has changed itself, the next one looks at again.
	t.due, t.seen = t.nextDue(all, now), sum
	return nil
}

// look does what there is to do now.
func (t *tender) look(ctx context.Context, all *rotations, now time.Time) error {
	// 1. Logs that were asked for. Power fails here: a pending log, which the
	// next look finds.
	if err := t.makeLogs(ctx, all, now); err != nil {
		return err
	}
	// 2. The trusted root: new keys, ended windows. Nobody uses a key before it
	// is published, so that a crash here leaves a key that is known too early.
	if err := t.updateMaterial(ctx, all, now); err != nil {
		return err
	}
	if err := t.cfg.finishRevocation(now); err != nil {
		return err
	}
	if err := t.cfg.publishChartRing(t.cfg.dir, all); err != nil {
		return err
	}
	if err := t.reissueRevocations(now); err != nil {
		return err
	}
	// 3. The repository: from here on clients can learn of what was new in 2.
	if err := t.updateRepository(ctx, all, now); err != nil {
		return err
	}
	// 4. What has come true is written down: published, active, done.
	return t.advance(ctx, all, now)
}

// nextDue is when something happens by itself: a phase, a renewal.
func (t *tender) nextDue(all *rotations, now time.Time) time.Time {
	next := now.Add(reissueEvery)
	if !t.status.Due.IsZero() && t.status.Due.Before(next) {
		next = t.status.Due
	}
	for _, r := range all.Rotations {
		if due, waits := r.due(); waits && due.Before(next) {
			next = due
		}
	}
	return next
}

// sumTrust says whether trust/ has changed.
func (c *Config) sumTrust() (sum [sha256.Size]byte, err error) {
	entries, err := os.ReadDir(c.path("trust"))
	if err != nil {
		return sum, fmt.Errorf("read trust material: %w", err)
	}
	h := sha256.New()
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || e.Name() == ".lock" {
			continue
		}
		_, _ = fmt.Fprintf(h, "%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// key opens a key, once: files are guarded by a hash that is slow on purpose.
func (t *tender) key(ctx context.Context, name string) (crypto.Signer, error) {
	if key := t.open[name]; key != nil {
		return key, nil
	}
	key, err := t.cfg.openOwn(ctx, name, t.password)
	if err != nil {
		return nil, err
	}
	t.open[name] = key
	return key, nil
}

// makeLogs makes the logs that were asked for.
func (t *tender) makeLogs(ctx context.Context, all *rotations, now time.Time) error {
	for _, r := range all.Rotations {
		if !isLogKind(r.Kind) || !r.Made.IsZero() || t.db == nil {
			continue
		}
		logs := &rotation{cfg: t.cfg, db: t.db, password: t.password}
		name, err := logs.add(ctx, tlog.Kind(r.Kind), r.Host)
		if err != nil && !errors.Is(err, tlog.ErrLogExists) { // it is pending: an earlier look made it
			return fmt.Errorf("rotate log %s: %w", r.Kind, err)
		}
		if name == "" {
			return fmt.Errorf("rotate log %s: %w", r.Kind, err)
		}
		if _, err := logs.publish(ctx); err != nil {
			return err
		}
		r.Key, r.Made = name, now
		r.reached(thisOperator())
		if err := all.write(t.cfg); err != nil {
			return err
		}
	}
	return nil
}

// updateMaterial makes trusted_root.json say what the rotations do.
func (t *tender) updateMaterial(ctx context.Context, all *rotations, now time.Time) error {
	m, err := t.cfg.readMaterial()
	if err != nil {
		return err
	}
	for _, r := range all.Rotations {
		if r.Made.IsZero() || isLogKind(r.Kind) {
			continue
		}
		if m, err = t.cfg.withKey(m, r); err != nil {
			return err
		}
		if !r.Active.IsZero() && r.Done.IsZero() && !now.Before(r.endAt()) {
			old, err := t.cfg.publicKey(ctx, r.Kind, r.Replaces, t.password)
			if err != nil {
				return err
			}
			if old != nil {
				m = m.Ended(old, now)
			}
		}
	}
	doc, err := trustroot.TrustedRoot(m)
	if err != nil {
		return err
	}
	_, err = replaceFile(t.cfg.path("trust", trustedRootName), doc)
	return err
}

// withKey adds the new key of a rotation to the material.
func (c *Config) withKey(m trustroot.Material, r *keyRotation) (trustroot.Material, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return m, fmt.Errorf("origin: %w", err)
	}
	since := trustroot.Window{Start: r.Made}
	switch r.Kind {
	case kindCA, kindFulcio, kindTSA:
		chain, err := readChain(c.chainFile(r.Key))
		if err != nil {
			return m, err
		}
		if r.Kind != kindTSA {
			return m.WithCertificateAuthority(trustroot.Authority{URL: origin, Chain: chain, Window: since}), nil
		}
		return m.WithTimestampAuthority(trustroot.Authority{URL: origin.JoinPath(tsa.Path), Chain: chain, Window: since}), nil
	case kindCT:
		key, err := keys.ReadPublic(c.place(r.Key).pinIn(c.path("keys")))
		if err != nil {
			return m, err
		}
		return m.WithCertificateLog(trustroot.Log{URL: origin, Key: key, Window: since}), nil
	}
	return m, nil
}

// publicKey is the public half of a key of a kind that stands in the trusted
// root; nil for the others.
func (c *Config) publicKey(ctx context.Context, kind, name string, password []byte) (crypto.PublicKey, error) {
	switch kind {
	case kindCA, kindFulcio, kindTSA:
		chain, err := readChain(c.chainFile(name))
		if err != nil {
			return nil, err
		}
		return chain[0].PublicKey, nil
	case kindCT:
		return c.publicHalf(ctx, c.path("keys"), name, password)
	}
	return nil, nil //nolint:nilnil // nothing to end
}

// updateRepository brings the trust repository up to date, if there is one.
func (t *tender) updateRepository(ctx context.Context, all *rotations, now time.Time) error {
	roots, err := t.cfg.readTrustRoots()
	if err != nil || len(roots) == 0 {
		return err
	}
	signers := map[tuf.Role][]crypto.Signer{}
	for _, role := range tuf.OnlineRoles() {
		for _, name := range all.signing(role) {
			if role == tuf.RoleTargets && !t.cfg.hasKey(name) {
				continue // kept elsewhere
			}
			key, err := t.key(ctx, name)
			if err != nil {
				return err
			}
			signers[role] = append(signers[role], key)
		}
	}
	repository, err := tuf.NewRepository(tuf.Config{Dir: t.cfg.path(repositoryFolder), Signers: signers, Life: t.cfg.TUF.life()})
	if err != nil {
		return err
	}
	targets, err := t.cfg.targets()
	if err != nil {
		return err
	}
	status, err := repository.Update(roots, targets, now)
	if err != nil {
		return err
	}
	t.status = status
	if status.Changed {
		t.logger.Info("trust repository updated", "root", status.Root, "timestampExpires", status.Expires[tuf.RoleTimestamp])
	}
	return nil
}

// advance writes down the phases that have been reached.
func (t *tender) advance(ctx context.Context, all *rotations, now time.Time) error {
	before, err := readRotations(t.cfg)
	if err != nil {
		return err
	}
	for i, r := range all.Rotations {
		was := before.Rotations[i].phase()
		if err := t.step(ctx, r, now); err != nil {
			return err
		}
		if r.phase() != was {
			r.reached(thisOperator())
			if err := all.write(t.cfg); err != nil {
				return err
			}
			t.logger.InfoContext(ctx, "key rotation", "kind", r.Kind, "key", r.Key, "phase", r.phase(), "next", r.next())
		}
	}
	return nil
}

// step takes a rotation one phase on, if it may.
func (t *tender) step(ctx context.Context, r *keyRotation, now time.Time) error {
	switch r.phase() {
	case "made":
		named, err := t.named(ctx, r)
		if err != nil || !named {
			return err
		}
		r.Published = now
	case "published":
		if now.Before(r.useAt()) {
			return nil
		}
		if isLogKind(r.Kind) {
			if t.db == nil {
				return nil
			}
			if err := t.activateLog(ctx, r.Key); err != nil {
				return err
			}
		} else if err := t.usable(ctx, r); err != nil {
			return fmt.Errorf("rotation of %s: the new key cannot be used: %w", r.Kind, err)
		}
		r.Active = now
	case "active":
		// The window was ended in this look, before the repository was updated.
		if !now.Before(r.endAt()) {
			r.Done = now
		}
	}
	return nil
}

// usable says whether the new key can be used here.
func (t *tender) usable(ctx context.Context, r *keyRotation) error {
	if r.Kind == kindCharts {
		_, err := t.cfg.openChartKeyNamed(ctx, t.cfg.dir, r.Key, t.password)
		return err
	}
	_, err := t.key(ctx, r.Key)
	return err
}

// named says whether clients can know the key now: that of an online role when
// the holders have signed a root with it.
func (t *tender) named(ctx context.Context, r *keyRotation) (bool, error) {
	role, online := tufRole(r.Kind)
	if !online {
		return true, nil
	}
	roots, err := t.cfg.readTrustRoots()
	if err != nil || len(roots) == 0 {
		return false, err
	}
	root, err := tuf.ParseRoot(roots[len(roots)-1])
	if err != nil {
		return false, err
	}
	key, err := t.key(ctx, r.Key)
	if err != nil {
		return false, err
	}
	id, err := tuf.KeyID(key.Public())
	return err == nil && slices.Contains(root.KeyIDs(role), id), err
}

// activateLog sends new entries to a log.
func (t *tender) activateLog(ctx context.Context, name string) error {
	logs := &rotation{cfg: t.cfg, db: t.db, password: t.password}
	row, err := t.db.Log(ctx, name)
	if err != nil {
		return err
	}
	if row.State == tlog.Pending {
		if err := logs.activate(ctx, name); err != nil {
			return err
		}
	}
	// Power fails here: the log is active, and the next look says so.
	if _, err := logs.publish(ctx); err != nil {
		return err
	}
	return t.set.Look(ctx)
}

// readTrustRoots reads the versions of the root that the holders have signed.
func (c *Config) readTrustRoots() ([][]byte, error) {
	var roots [][]byte
	for version := int64(1); ; version++ {
		doc, err := readBounded(c.path("trust", tuf.RootName(version)), maxTrust)
		if errors.Is(err, os.ErrNotExist) {
			return roots, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read root of trust: %w", err)
		}
		roots = append(roots, doc)
	}
}

// repositoryFolder is what is served at /tuf/. All of it can be made again.
const repositoryFolder = "tuf"

// targets are the files of the repository.
func (c *Config) targets() ([]tuf.Target, error) {
	var targets []tuf.Target
	for _, name := range []string{trustedRootName, signingConfigName, revocationsName, keyringName} {
		doc, err := readTrustFile(c.path("trust", name))
		if errors.Is(err, os.ErrNotExist) && (name == revocationsName || name == keyringName) {
			continue
		}
		if err != nil {
			return nil, err
		}
		targets = append(targets, tuf.Target{Name: name, Content: doc})
	}
	all, err := readRotations(c)
	if err != nil {
		return nil, err
	}
	if doc, err := c.signingKeysTarget(all); err != nil {
		return nil, err
	} else if doc != nil {
		targets = append(targets, tuf.Target{Name: signingKeysName, Content: doc})
	}
	m, err := c.readMaterial()
	if err != nil {
		return nil, err
	}
	legacy, err := m.LegacyTargets()
	if err != nil {
		return nil, err
	}
	for _, l := range legacy {
		targets = append(targets, tuf.Target{Name: l.Name, Content: l.Content, Usage: l.Usage, URL: l.URL, Ended: l.Ended})
	}
	return targets, nil
}

// chainsOf are the certificates of every authority of a kind that signed or will.
func (c *Config) chainsOf(all *rotations, kind string) ([][]*x509.Certificate, error) {
	var chains [][]*x509.Certificate
	for _, name := range all.chains(kind) {
		chain, err := readChain(c.chainFile(name))
		if err != nil {
			return nil, err
		}
		chains = append(chains, chain)
	}
	return chains, nil
}
