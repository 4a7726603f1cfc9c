// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

const limitsConfig = `origin: https://hallmark.example
listen: 127.0.0.1:0
admin: 127.0.0.1:0
registry: {host: registry.example}
password: {env: P}
policy: policy.yaml
identities:
- {name: github, provider: github, issuer: "https://token.actions.githubusercontent.com"}
- {name: gitlab, provider: gitlab, issuer: "https://gitlab.example", maxUses: 50}
log: {writers: issued}
`

func readText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), configName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readConfig(path)
}

// TestQuotaConfig: without quotas the defaults hold, servers share them, and one
// source may have others.
func TestQuotaConfig(t *testing.T) {
	cfg, err := readText(t, limitsConfig)
	if err != nil {
		t.Fatal(err)
	}
	if q := cfg.Quotas.quotas(); q.Identity != (signer.Quota{PerSecond: 100, Burst: 12_000}) || q.Project != (signer.Quota{PerSecond: 10, Burst: 1200}) ||
		q.Stranger != (signer.Quota{PerSecond: 1. / 6, Burst: 20}) {
		t.Errorf("without quotas: %+v", q)
	}
	if uses := cfg.maxUses(); uses["github"] != 0 || uses["gitlab"] != 50 {
		t.Errorf("uses %v", uses)
	}
	cfg, err = readText(t, limitsConfig+"quotas: {servers: 2, project: {perMinute: 120, burst: 10}, identities: {gitlab: {identity: {perMinute: 60}, project: {perMinute: 0}}}}\n")
	if err != nil {
		t.Fatal(err)
	}
	q := cfg.Quotas.quotas()
	for what, ok := range map[string]bool{
		"project":          q.Project == signer.Quota{PerSecond: 1, Burst: 5},
		"identity":         q.Identity == signer.Quota{PerSecond: 50, Burst: 6000},
		"strangers":        q.Stranger == signer.Quota{PerSecond: 1. / 12, Burst: 10},
		"gitlab":           q.Identities["gitlab"] == signer.Quota{PerSecond: 0.5, Burst: 30},
		"gitlab's project": q.Projects["gitlab"] == signer.Quota{},
	} {
		if !ok {
			t.Errorf("%s: %+v", what, q)
		}
	}
	if _, has := q.Projects["gitlab"]; !has {
		t.Error("a source without a quota for projects has the others'")
	}
}

// TestUnlimited: only who says so bounds nothing.
func TestUnlimited(t *testing.T) {
	cfg, err := readText(t, limitsConfig+"quotas: {unlimited: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	if q := cfg.Quotas.quotas(); q.Identity != (signer.Quota{}) || q.Project != (signer.Quota{}) || q.Stranger != (signer.Quota{}) {
		t.Errorf("unlimited is %+v", q)
	}
	for _, bounded := range []string{"{}", "{unlimited: false}", "{project: {perMinute: 0}}"} {
		cfg, err := readText(t, limitsConfig+"quotas: "+bounded+"\n")
		if err != nil {
			t.Fatal(err)
		}
		q := cfg.Quotas.quotas()
		if q.Identity == (signer.Quota{}) || q.Stranger == (signer.Quota{}) || (q.Project == signer.Quota{}) != strings.Contains(bounded, "project") {
			t.Errorf("%s is %+v", bounded, q)
		}
	}
}

// TestFirstQuotas: init writes the defaults, so that who reads the file sees them.
func TestFirstQuotas(t *testing.T) {
	dir := t.TempDir()
	first := Config{Origin: "https://hallmark.example", Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Registry: RegistryConfig{Host: "registry.example"}}
	if err := ensureConfig(dir, first); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Quotas.Project == nil || cfg.Quotas.Identity == nil || cfg.Quotas.Strangers == nil || !reflect.DeepEqual(cfg.Quotas.quotas(), QuotasConfig{}.quotas()) {
		t.Errorf("init wrote %+v", cfg.Quotas)
	}
}

// TestBadLimits: what bounds nothing, or nobody, is refused.
func TestBadLimits(t *testing.T) {
	for config, want := range map[string]string{
		"quotas: {project: {perMinute: -1}}":                         "quotas.project",
		"quotas: {project: {perMinute: 99999999}}":                   "quotas.project",
		"quotas: {identity: {burst: 5}}":                             "burst without perMinute",
		"quotas: {servers: -1}":                                      "quotas.servers",
		"quotas: {identities: {jenkins: {project: {perMinute: 1}}}}": `no identity source "jenkins"`,
		"quotas: {identities: {gitlab: {project: {perMinute: -1}}}}": "quotas.identities.gitlab.project",
		"quotas: {unlimited: true, servers: 2}":                      "stands alone",
		"quotas: {unlimited: true, project: {perMinute: 1}}":         "stands alone",
		"quotas: {strangers: {perMinute: -1}}":                       "quotas.strangers",
		"quotas: {strangers: {burst: 1}}":                            "burst without perMinute",
		"quotas: off":                                                "QuotasConfig",
		"quotas: {projects: {perMinute: 1}}":                         "projects",
		"quotas: {identities: {gitlab: {projects: {perMinute: 1}}}}": "projects",
	} {
		if _, err := readText(t, limitsConfig+config+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}
