// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConfigurationMistakes: each is wrong usage, and says what to change.
func TestConfigurationMistakes(t *testing.T) {
	for _, tt := range []struct{ name, yaml, says string }{
		{"a password in the URL", "database: {url: 'postgres://hallmark:hunter2@db/hallmark'}", "database.url has a password in it (hint: passwordFile)"},
		{"another database", "database: {url: 'mysql://hallmark@db/hallmark'}", "is not postgres://user@host/database"},
		{"no user", "database: {url: 'postgres://db/hallmark'}", "is not postgres://user@host/database"},
		{"no database", "database: {url: 'postgres://hallmark@db'}", "is not postgres://user@host/database"},
		{"no URL", "database: {url: 'postgres://hallmark:hunter2@db:port/hallmark'}", "database.url is not a URL"},
		{"unknown member of database", "database: {url: 'postgres://hallmark@db/hallmark', password: x}", "field password not found"},
		{"unknown log", "signing: {bundleLog: v3}", `signing.bundleLog "v3" is not v1, v2 or both`},
		{"unknown member of signing", "signing: {bundlelog: v1}", "field bundlelog not found"},
		{"unknown writers", "log: {writers: everybody}", `log.writers "everybody" is not issued, closed or open`},
		{"keys for nobody", "log: {writers: closed, keys: [{name: a, owner: b, publicKey: c, expires: 2030-01-01T00:00:00Z}]}", `log.keys are for writers "issued", not "closed"`},
		{"key without an owner", "log: {keys: [{name: a, publicKey: c, expires: 2030-01-01T00:00:00Z}]}", "owner and publicKey are compulsory"},
		{"key for ever", "log: {keys: [{name: a, owner: b, publicKey: c}]}", "expires is compulsory"},
		{"key that expires some day", "log: {keys: [{name: a, owner: b, publicKey: c, expires: some day}]}", "some day"},
		{"two keys of one name", "log: {keys: [{name: a, owner: b, publicKey: c, expires: 2030-01-01T00:00:00Z}, {name: a, owner: b, publicKey: c, expires: 2030-01-01T00:00:00Z}]}", `two keys are called "a"`},
		{"jobs under the service's issuer", "identities: [{name: ci, provider: gitlab, issuer: '" + testOrigin + "/'}]", `identity source "ci": issuer ` + testOrigin + "/ is this service's own origin"},
		{"jobs under the service's URIs", "identities: [{name: ci, provider: generic, issuer: 'https://ci.example', url: '" + testOrigin + "'}]", "url " + testOrigin + " is this service's own origin"},
		{"negative rate", "log: {keys: [{name: a, owner: b, publicKey: c, expires: 2030-01-01T00:00:00Z, perMinute: -1}]}", "perMinute is negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, configName), "origin: "+testOrigin+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nregistry: {host: r.example}\npassword: {file: p}\npolicy: p\n"+tt.yaml+"\n")
			_, words := runs(t, exitUsage, "serve", "--dir", dir)
			if !strings.Contains(words, tt.says) {
				t.Errorf("it says %q, want %q", words, tt.says)
			}
			if strings.Contains(words, "hunter2") {
				t.Errorf("it repeats the password: %q", words)
			}
		})
	}
}

// TestMistakesThatServeFinds: the configuration can be read, and what it names
// is wrong.
func TestMistakesThatServeFinds(t *testing.T) {
	dir := newDeployment(t)
	config := filepath.Join(dir, configName)
	good := readFile(t, config)
	for _, tt := range []struct{ name, old, replacement, says string }{
		{"no policy", "policy: signing-policy.yaml", "policy: no-policy.yaml", "no-policy.yaml"},
		{"an identity source that is none", "provider: github", "provider: gitlub", "gitlub"},
		{"a key file that is not there", "  writers: issued\n", "  keys: [{name: release, owner: o, publicKey: release.pub, expires: 2030-01-01T00:00:00Z}]\n", `key "release": open `},
		{"a key file that is none", "  writers: issued\n", "  keys: [{name: release, owner: o, publicKey: hallmark.yaml, expires: 2030-01-01T00:00:00Z}]\n", "BEGIN PUBLIC KEY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(good, tt.old, tt.replacement, 1)
			if bad == good {
				t.Fatal("nothing was replaced")
			}
			writeFile(t, config, bad)
			says(t, exitUsage, tt.says, "serve", "--dir", dir)
		})
	}
}

func TestConfigurationDefaults(t *testing.T) {
	dir := newDeployment(t)
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Signing.BundleLog != bundleLogV1 || cfg.Log.Writers != "issued" || cfg.shared() {
		t.Errorf("configuration %+v", cfg)
	}
	writeFile(t, filepath.Join(dir, configName), readFile(t, filepath.Join(dir, configName))+
		"  keys: [{name: release, owner: team, publicKey: release.pub, expires: 2030-01-02T03:04:05Z, perMinute: 6}]\n")
	public, err := cfg.readMaterial()
	if err != nil {
		t.Fatal(err)
	}
	writePublicKey(t, filepath.Join(dir, "release.pub"), public.Logs[0].Key)
	if cfg, err = readConfig(filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	keys, err := cfg.writerKeys()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	k := keys[0]
	if k.Name != "release" || k.Owner != "team" || k.PerMinute != 6 || !k.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) || k.PublicKey == nil {
		t.Errorf("key %+v", k)
	}
}
