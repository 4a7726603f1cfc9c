// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

// TestKeyMistakes: each is wrong usage, is found before a KMS is asked, and says
// what to change.
func TestKeyMistakes(t *testing.T) {
	for _, tt := range []struct{ name, yaml, says string }{
		{"a key that there is not", "keys: {attestor: 'hashivault://a'}", "keys.attestor: there is no such key"},
		{"a key without a KMS", "keys: {ca: keys/ca.key}", "keys.ca: not a KMS key reference"},
		{"a scheme that would be a program", "keys: {ca: 'touch://pwned'}", "it begins with awskms://, gcpkms://, azurekms://, hashivault://"},
		{"a token", "keys: {ca: 'pkcs11:token=a'}", "PKCS#11 is not supported yet"},
		{"Vault in the clear", "kms: {vault: {address: 'http://vault.corp.example'}}", "kms: address http://vault.corp.example of Vault: its token is sent over HTTPS"},
		{"Vault with a password", "kms: {vault: {address: 'https://a:hunter2@vault.corp.example'}}", "not a URL"},
		{"a KMS that may take its time", "kms: {timeout: 10m}", "time-out"},
		{"no time", "kms: {timeout: 0s}", "want a span of time such as 10s"},
		{"a number", "kms: {timeout: ten}", "want a span of time such as 10s"},
		{"unknown member of kms", "kms: {vault: {token: hunter2}}", "field token not found"},
		{"a signing key without a name", "signing: {keys: [{signatures: file}]}", "want lower-case letters"},
		{"a signing key out of the folder", "signing: {keys: [{name: ../ca, signatures: file}]}", "want lower-case letters"},
		{"a signing key that is nowhere", "signing: {keys: [{name: release}]}", `key "release": signatures is missing`},
		{"a signing key in a file of its own", "signing: {keys: [{name: release, signatures: release.key}]}", "neither file nor the reference of a KMS"},
		{"a signing key from a program", "signing: {keys: [{name: release, signatures: 'touch://x'}]}", "not a KMS key reference"},
		{"one key for both", "signing: {keys: [{name: release, signatures: 'hashivault://a', attestations: 'hashivault://a'}]}", "hashivault://a is named twice"},
		{"two pairs of one name", "signing: {keys: [{name: a, signatures: file}, {name: a, signatures: file}]}", `two keys are called "a"`},
		{"legacy tags, perhaps", "signing: {legacyTags: perhaps}", "cannot unmarshal"},
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

// TestInitKMSFlags: wrong ones are refused before anything is written, right ones
// are written down.
func TestInitKMSFlags(t *testing.T) {
	for flag, want := range map[string]string{
		"ca":                  "want NAME=REFERENCE",
		"root=hashivault://a": "want NAME=REFERENCE with one of the names",
		"ca=touch://pwned":    "--kms ca: not a KMS key reference",
		"ca=":                 "not a KMS key reference",
	} {
		dir := filepath.Join(t.TempDir(), "d")
		_, words := runs(t, exitUsage, "init", "--dir", dir, "--origin", testOrigin, "--registry", "r.example", "--kms", flag)
		if !strings.Contains(words, want) || exists(dir) {
			t.Errorf("--kms %s: %q, want %q; written: %v", flag, words, want, exists(dir))
		}
	}
	t.Setenv("VAULT_ADDR", "")
	t.Setenv("BAO_ADDR", "")
	dir := filepath.Join(t.TempDir(), "d")
	_, words := runs(t, exitUndecided, "init", "--dir", dir, "--origin", testOrigin, "--registry", "r.example", "--kms", "ca=hashivault://hallmark-ca")
	if !strings.Contains(words, "where is Vault?") {
		t.Errorf("it says %q", words)
	}
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Keys["ca"] != "hashivault://hallmark-ca" || !cfg.Signing.LegacyTags || exists(cfg.path("keys")) {
		t.Errorf("configuration %+v", cfg)
	}
	if _, words = runs(t, exitUsage, "init", "--dir", dir, "--kms", "ca=hashivault://another"); !strings.Contains(words, "says \"hashivault://hallmark-ca\"") {
		t.Errorf("it says %q", words)
	}
}

// TestKeysAreListed: every key, where it is, and which it is.
func TestKeysAreListed(t *testing.T) {
	dir := newDeployment(t)
	config := filepath.Join(dir, configName)
	writeFile(t, config, strings.Replace(readFile(t, config), "  bundleLog: v1\n", "  bundleLog: v1\n  keys: [{name: release, signatures: file, attestations: 'hashivault://att'}]\n", 1))
	out, _ := runs(t, 0, "keys", "list", "--dir", dir)
	for _, want := range []string{"ca-root", "keys/log-v1.key", "release", "hashivault://att", "signatures", "attestations"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	pin, err := keys.ReadPublic(filepath.Join(dir, "keys", "ct.pub"))
	if err != nil {
		t.Fatal(err)
	}
	hint, err := keys.Hint(pin)
	if err != nil || !strings.Contains(out, hint) {
		t.Errorf("%q, %v is not in\n%s", hint, err, out)
	}
}

// TestPins: a key is opened by its pin only, and a pin is never replaced.
func TestPins(t *testing.T) {
	dir := newDeployment(t)
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	password, err := cfg.password()
	if err != nil {
		t.Fatal(err)
	}
	folder := cfg.path("keys")
	if _, err := cfg.openKey(t.Context(), folder, cfg.place(keyCA), password); err != nil {
		t.Fatal(err)
	}
	// Keys of another deployment, or of another role, in the place of one.
	other := readFile(t, filepath.Join(folder, keyTSA+".key"))
	writeFile(t, filepath.Join(folder, keyCA+".key"), other)
	if _, err := cfg.openKey(t.Context(), folder, cfg.place(keyCA), password); !errors.Is(err, keys.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	writeFile(t, filepath.Join(folder, keyCA+".pub"), "junk")
	if _, err := cfg.openKey(t.Context(), folder, cfg.place(keyCA), password); err == nil || !strings.Contains(err.Error(), "not a public key") {
		t.Errorf("a pin that is none: %v", err)
	}
	// In a KMS there is no key without a pin.
	if _, err := cfg.openKey(t.Context(), folder, place{name: "new", reference: "hashivault://new"}, password); err == nil || !strings.Contains(err.Error(), "keys create") {
		t.Errorf("no pin: %v", err)
	}
	// A key that a crash left without its pin is pinned, not made again.
	p := place{name: "sign-release"}
	if _, err := cfg.makeKey(t.Context(), folder, p, password); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, p.pinIn(folder))
	if made, err := cfg.adoptKey(t.Context(), folder, p, password); made || err != nil {
		t.Errorf("a complete key was made: %v, %v", made, err)
	}
	if err := os.Remove(p.pinIn(folder)); err != nil {
		t.Fatal(err)
	}
	if made, err := cfg.adoptKey(t.Context(), folder, p, password); !made || err != nil || readFile(t, p.pinIn(folder)) != before {
		t.Errorf("the pin is back: %v, %v", made, err)
	}
	if _, err := cfg.makeKey(t.Context(), folder, p, password); err == nil {
		t.Error("a key was replaced")
	}
}

func TestDuration(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, configName), "origin: "+testOrigin+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nregistry: {host: r.example}\npassword: {file: p}\npolicy: p\nkms: {timeout: 3s}\n")
	cfg, err := readConfig(path)
	if err != nil || cfg.kms().Timeout != 3*time.Second {
		t.Errorf("%+v, %v", cfg, err)
	}
}
