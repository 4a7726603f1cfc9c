// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/keys"
)

// withKeysAndFulcio is a deployment with a repository, a long-lived key pair and
// an authority for certificates on request.
func withKeysAndFulcio(t *testing.T) (*Config, *tender) {
	t.Helper()
	cfg, care := tended(t)
	config := cfg.path(configName)
	text := strings.Replace(readFile(t, config), "  bundleLog: v1\n", "  bundleLog: v1\n  keys: [{name: release, signatures: file, attestations: file}]\n", 1)
	writeFile(t, config, text+"fulcio: {audience: sigstore}\n")
	runs(t, 0, "fulcio", "enable", "--dir", cfg.dir)
	runs(t, 0, "keys", "create", "--dir", cfg.dir)
	cfg, err := readConfig(config)
	check(t, err)
	care.cfg = cfg
	return cfg, care
}

// signsNow are the keys that sign, by the names of their files.
func signsNow(t *testing.T, cfg *Config, byKey *longLived, online *authorities) map[string]string {
	t.Helper()
	name := func(key crypto.Signer) string {
		if key == nil {
			return ""
		}
		for _, file := range []string{"sign-release", "sign-release.2", "attest-release", "attest-release.2"} {
			if pin, err := keys.ReadPublic(cfg.path("keys", file+".pub")); err == nil && keys.Equal(pin, key.Public()) {
				return file
			}
		}
		return "unknown"
	}
	pair := byKey.keys()["release"]
	return map[string]string{
		"sign": name(pair.Signatures), "beside": name(pair.RetiringSignatures), "attest": name(pair.Attestations), "attest beside": name(pair.RetiringAttestations),
		"on request": online.current.Load().names[3],
	}
}

// TestTendLongLived takes rotations of long-lived keys and of the Fulcio
// authority from phase to phase, each time as after a crash as well: verifiers
// know the next key before it signs, the one before signs beside it until the
// end, and what it signed counts afterwards.
func TestTendLongLived(t *testing.T) {
	cfg, care := withKeysAndFulcio(t)
	ctx, start := context.Background(), time.Now().UTC().Truncate(time.Second)
	silent := slog.New(slog.DiscardHandler)
	byKey, err := newLongLived(ctx, cfg, care.password, silent)
	check(t, err)
	online, err := newAuthorities(ctx, cfg, care.password, silent)
	check(t, err)
	for _, kind := range []string{"sign-release", kindFulcio} {
		_, err := recordRotation(ctx, cfg, care.password, kind, rotateOptions{wait: time.Hour, keep: 2 * time.Hour})
		check(t, err)
		says(t, exitNo, "already", "keys", "rotate", kind, "--dir", cfg.dir)
	}
	old := map[string]string{"sign": "sign-release", "beside": "", "attest": "attest-release", "attest beside": "", "on request": keyFulcio}
	both := map[string]string{"sign": "sign-release.2", "beside": "sign-release", "attest": "attest-release", "attest beside": "", "on request": "ca-fulcio-2"}
	only := map[string]string{"sign": "sign-release.2", "beside": "", "attest": "attest-release", "attest beside": "", "on request": "ca-fulcio-2"}
	record := cfg.path("trust", rotationsName)
	for _, step := range []struct {
		after  time.Duration
		phase  string
		signs  map[string]string
		states string // of sign-release and its successor
	}{
		{0, "published", old, "active next"},
		{59 * time.Minute, "published", old, "active next"},
		{61 * time.Minute, "active", both, "retiring active"},
		{3 * time.Hour, "active", both, "retiring active"},
		{61*time.Minute + 2*time.Hour, "done", only, "retired active"},
		{24 * time.Hour, "done", only, "retired active"},
	} {
		before, err := os.ReadFile(record)
		check(t, err)
		check(t, care.tend(ctx, start.Add(step.after)))
		check(t, os.WriteFile(record, before, 0o600)) // the crash
		for range 2 {
			check(t, care.tend(ctx, start.Add(step.after)))
		}
		check(t, byKey.look(ctx))
		check(t, online.look(ctx))
		all, err := readRotations(cfg)
		check(t, err)
		for _, r := range all.Rotations {
			if r.phase() != step.phase {
				t.Fatalf("after %s: %s is %s, want %s", step.after, r.Kind, r.phase(), step.phase)
			}
		}
		if got := signsNow(t, cfg, byKey, online); !maps.Equal(got, step.signs) {
			t.Errorf("after %s: %v signs, want %v", step.after, got, step.signs)
		}
		var states []string
		for _, k := range byKey.published() {
			if k.Use == forSignatures {
				states = append(states, k.State)
			}
		}
		if got := strings.Join(states, " "); got != step.states {
			t.Errorf("after %s: keys are %s, want %s", step.after, got, step.states)
		}
		targets, err := cfg.targets()
		check(t, err)
		found := ""
		for _, target := range targets {
			if target.Name == signingKeysName {
				found = string(target.Content)
			}
		}
		if strings.Count(found, `"hint"`) != 3 || strings.Contains(found, `"end"`) != (step.phase == "done") {
			t.Errorf("after %s: the repository has %s", step.after, found)
		}
		m, err := cfg.readMaterial()
		check(t, err)
		ended := 0
		for _, a := range m.CertificateAuthorities {
			if !a.End.IsZero() {
				ended++
			}
		}
		if want := map[bool]int{step.phase == "done": 1}[true]; len(m.CertificateAuthorities) != 3 || ended != want {
			t.Errorf("after %s: %d authorities, %d ended, want %d", step.after, len(m.CertificateAuthorities), ended, want)
		}
	}
	// Certificates of the retired authority may still be logged with, and clients
	// are not told of it any more.
	if n := len(online.current.Load().onRequestIssuers); n != 2 || len(online.chainsOnRequest()) != 1 {
		t.Errorf("%d issuers, %d chains", n, len(online.chainsOnRequest()))
	}
	// The retired keys are gone for good.
	for _, name := range []string{"sign-release", keyFulcio} {
		check(t, os.Remove(cfg.path("keys", name+".key")))
	}
	_, err = newLongLived(ctx, cfg, care.password, silent)
	check(t, err)
	check(t, cfg.checkAuthority())
	out, _ := runs(t, 0, "keys", "status", "--dir", cfg.dir)
	for _, want := range []string{"sign-release    sign-release.2", "ca-fulcio-2", thisOperator().User} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// TestLongLivedRefuses: what is not there is not rotated, and a key never takes
// the place of itself or of another's.
func TestLongLivedRefuses(t *testing.T) {
	dir := newDeployment(t)
	config := filepath.Join(dir, configName)
	says(t, exitNo, "signing.keys of", "keys", "rotate", "sign-release", "--dir", dir)
	says(t, exitNo, "fulcio enable", "keys", "rotate", "ca-fulcio", "--dir", dir)
	says(t, exitUsage, "one kind of key", "keys", "rotate", "sign-", "--dir", dir)
	says(t, exitUsage, "--root-key is for", "keys", "rotate", "sign-release", "--root-key", "k", "--dir", dir)
	writeFile(t, config, strings.Replace(readFile(t, config), "  bundleLog: v1\n", "  bundleLog: v1\n  keys: [{name: release, signatures: file, attestations: file}]\n", 1))
	says(t, exitNo, "keys create", "keys", "rotate", "sign-release", "--dir", dir)
	runs(t, 0, "keys", "create", "--dir", dir)
	cfg, err := readConfig(config)
	check(t, err)
	for _, pair := range [][2]string{{"attest-release", "sign-release"}, {"attest-release", "attest-release"}} {
		own, err := keys.ReadPublic(cfg.path("keys", pair[0]+".pub"))
		check(t, err)
		if err := cfg.refuseKnownKey(own, &keyRotation{Kind: pair[1], Key: pair[1] + ".2"}); err == nil || !strings.Contains(err.Error(), "signs already") {
			t.Errorf("%s by the key of %s: %v", pair[1], pair[0], err)
		}
	}
	// A replica that lacks the next key says so, and signs on.
	password, err := cfg.password()
	check(t, err)
	_, err = recordRotation(t.Context(), cfg, password, "sign-release", rotateOptions{wait: time.Hour, keep: time.Hour})
	check(t, err)
	check(t, os.Remove(cfg.path("keys", "sign-release.2.key")))
	byKey, err := newLongLived(t.Context(), cfg, password, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "copy keys/ and trust/ here") {
		t.Errorf("without the next key: %v", err)
	}
	if pair := byKey.keys()["release"]; pair.Signatures == nil || byKey.ready(t.Context()) == nil {
		t.Errorf("pair %+v, ready", pair)
	}
	if err := signer.CheckKeys(byKey.keys()); err != nil {
		t.Error(err)
	}
}
