// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// audited are the operations in the audit, one line each.
func audited(t *testing.T, db store.Database) []string {
	t.Helper()
	events, err := db.Events(t.Context(), store.EventQuery{})
	check(t, err)
	var all []string
	for _, ev := range events {
		if op := ev.Operation; op != nil {
			all = append(all, fmt.Sprintf("%s %s %s %s%s%s", ev.Action, ev.Stage, op.Kind, op.Key, op.Value, op.Reason))
			if op.Operator != thisOperator() || op.ID == "" || ev.Time.IsZero() {
				t.Errorf("who and when: %+v %+v", ev, op)
			}
		}
	}
	return all
}

// TestOperations: what operators do without a service is in the audit as soon as
// there is one, once, however often and by whomever it is told.
func TestOperations(t *testing.T) {
	cfg, care := tended(t)
	ctx := context.Background()
	digest := "sha256:" + strings.Repeat("0", 64)
	runs(t, 0, "revoke", "digest", "--dir", cfg.dir, "--reason", "ships a miner", digest)
	says(t, exitNo, "revoked already", "revoke", "digest", "--dir", cfg.dir, "--reason", "again", digest)
	says(t, exitNo, "not revoked", "revoke", "withdraw", "--dir", cfg.dir, "key", digest)
	since := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	do := func(ev signer.AuditEvent) {
		t.Helper()
		check(t, storeRevocations(ctx, cfg, time.Now().UTC().Truncate(time.Second), ev, func(trustroot.Revocations) error { return nil }))
	}
	do(revocationEvent(trustroot.Revocation{Kind: trustroot.RevokedIdentity, Value: "https://ci.example/a", Reason: "phished", Since: &since}))
	withdrawn := signer.AuditEvent{Action: signer.ActionWithdraw, Operation: &signer.Operation{Kind: "digest", Value: digest}}
	do(withdrawn)
	_, err := recordRotation(ctx, cfg, care.password, kindCT, rotateOptions{})
	check(t, err)

	db, err := openDatabase(ctx, cfg, slog.New(slog.DiscardHandler))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	if got := audited(t, db); len(got) != 0 {
		t.Fatalf("before a service looks: %v", got)
	}
	now := time.Now().UTC()
	want := "revoke  digest " + digest + "ships a miner\nrevoke  identity https://ci.example/aphished\nwithdraw  digest " + digest + "\n" +
		"rotate requested ct ct-2\nrotate made ct ct-2\nrotate published ct ct-2\nrotate active ct ct-2\nrotate done ct ct-2"
	// Two services, one of which comes later and tells all of it again.
	for range 2 {
		care.db, care.recorded = db, map[string]bool{}
		for i := range 3 {
			check(t, care.tend(ctx, now.Add(time.Duration(i+1)*time.Second)))
		}
	}
	if got := strings.Join(audited(t, db), "\n"); got != want {
		t.Errorf("audit:\n%s\nwant:\n%s", got, want)
	}
	found, err := db.Events(ctx, store.EventQuery{Digest: digest, Decision: signer.DecisionRevocation})
	if err != nil || len(found) != 2 {
		t.Errorf("%d of the artifact, %v", len(found), err)
	}
	// Lines go when they are old and recorded; the last one stays.
	written, err := readOperations(cfg)
	check(t, err)
	if len(written.Operations) != 3 {
		t.Errorf("%d lines", len(written.Operations))
	}
	check(t, care.tend(ctx, now.Add(operationsKeep+time.Hour)))
	if written, err = readOperations(cfg); err != nil || len(written.Operations) != 1 || written.Operations[0].Action != signer.ActionWithdraw {
		t.Errorf("%+v, %v", written, err)
	}
	revocationInterrupted(t, cfg, care)
}

// TestManyOperations: a service that has recorded what operators did leaves room
// for more, however much they do in a week.
func TestManyOperations(t *testing.T) {
	cfg, care := tended(t)
	db, err := openDatabase(t.Context(), cfg, slog.New(slog.DiscardHandler))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	now := time.Now().UTC().Truncate(time.Second)
	all := &operations{}
	for i := range 2400 {
		ev, err := named(revocationEvent(trustroot.Revocation{Kind: trustroot.RevokedIdentity, Value: "https://ci.example/a", Reason: strings.Repeat("r", 1024)}), now)
		check(t, err)
		ev.Decision = signer.DecisionRevocation
		all.Operations = append(all.Operations, ev)
		care.recorded[ev.Operation.ID] = i < 2390 // the rest of the test does not need them in the database
	}
	check(t, all.write(cfg))
	last := all.Operations[len(all.Operations)-1]
	care.db = db
	check(t, care.tend(t.Context(), now))
	if n := len(audited(t, db)); n != 10 {
		t.Errorf("%d operations in the audit", n)
	}
	written, err := readOperations(cfg)
	check(t, err)
	if n := len(written.Operations); n == 0 || n > 1200 || written.Operations[n-1].Operation.ID != last.Operation.ID {
		t.Errorf("%d lines are left", n)
	}
}

// revocationInterrupted: the power fails when it is written down who revokes
// what, and not done yet. The next look does it, and one that was done is not done
// again.
func revocationInterrupted(t *testing.T, cfg *Config, care *tender) {
	t.Helper()
	ctx, now := context.Background(), time.Now().UTC().Add(2*operationsKeep)
	digest := "sha256:" + strings.Repeat("1", 64)
	list := cfg.path("trust", revocationsName)
	revoke := func(kind trustroot.RevocationKind, value string) signer.AuditEvent {
		return revocationEvent(trustroot.Revocation{Kind: kind, Value: value, Reason: "r"})
	}
	for i, step := range []struct {
		ev   signer.AuditEvent
		want int // beside the one that is there
	}{
		{revoke(trustroot.RevokedDigest, digest), 1},
		{revoke(trustroot.RevokedKey, digest), 2},
		{signer.AuditEvent{Action: signer.ActionWithdraw, Operation: &signer.Operation{Kind: "digest", Value: digest}}, 1},
	} {
		before, err := os.ReadFile(list)
		check(t, err)
		check(t, storeRevocations(ctx, cfg, now, step.ev, func(trustroot.Revocations) error { return nil }))
		check(t, os.WriteFile(list, before, 0o600)) // the crash
		check(t, care.tend(ctx, now))
		done, err := cfg.readRevocations()
		if err != nil || len(done.Revocations) != step.want+1 {
			t.Errorf("%d: %+v, %v", i, done, err)
		}
		check(t, care.tend(ctx, now))
		if again, err := cfg.readRevocations(); err != nil || again.Version != done.Version {
			t.Errorf("%d: version %d, then %d, %v", i, done.Version, again.Version, err)
		}
	}
	// What was revoked again since then, by an older program or with a list from
	// elsewhere, stays revoked; and a clock that was set back keeps nobody from
	// withdrawing.
	elsewhere, err := cfg.readRevocations()
	check(t, err)
	elsewhere, err = elsewhere.With(trustroot.Revocation{Kind: trustroot.RevokedDigest, Value: digest, Reason: "again", Revoked: now}, now.Add(time.Minute))
	check(t, err)
	check(t, cfg.writeRevocations(elsewhere))
	check(t, care.tend(ctx, now.Add(2*time.Minute)))
	if done, err := cfg.readRevocations(); err != nil || len(done.Revocations) != 3 {
		t.Errorf("%+v, %v", done, err)
	}
	check(t, storeRevocations(ctx, cfg, now, signer.AuditEvent{Action: signer.ActionWithdraw, Operation: &signer.Operation{Kind: "digest", Value: digest}}, func(trustroot.Revocations) error { return nil }))
	if done, err := cfg.readRevocations(); err != nil || len(done.Revocations) != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	// The next command does what the one before was kept from.
	written, err := readOperations(cfg)
	check(t, err)
	ev, err := named(revoke(trustroot.RevokedDigest, digest), now)
	check(t, err)
	check(t, written.add(cfg, ev))
	check(t, storeRevocations(ctx, cfg, now, revoke(trustroot.RevokedIdentity, "https://ci.example/b"), func(trustroot.Revocations) error { return nil }))
	done, err := cfg.readRevocations()
	if err != nil || len(done.Revocations) != 4 || done.Revocations[2].Kind != trustroot.RevokedDigest {
		t.Errorf("%+v, %v", done, err)
	}
	// What is no record is not passed over.
	for _, bad := range []string{"{", `{"operations": [{}]}`, `{"operation": []}`} {
		writeFile(t, cfg.path("trust", operationsName), bad)
		if err := care.tend(ctx, now); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
