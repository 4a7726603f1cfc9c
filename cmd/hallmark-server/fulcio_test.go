// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-dev/hallmark/attest"
	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
)

// TestFulcioConfiguration: each mistake says what to change.
func TestFulcioConfiguration(t *testing.T) {
	for _, tt := range []struct{ yaml, says string }{
		{"fulcio: {}", "fulcio.audience is missing (hint: sigstore"},
		{"fulcio: {audience: '" + testOrigin + "'}", "is that of tokens for signing"},
		{"fulcio: {audience: a}\naudience: a", "is that of tokens for signing"},
		{"fulcio: {audience: sigstore, audiences: []}", "field audiences not found"},
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, configName), "origin: "+testOrigin+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nregistry: {host: r.example}\npassword: {file: p}\npolicy: p\n"+tt.yaml+"\n")
		says(t, exitUsage, tt.says, "serve", "--dir", dir)
	}
}

// publishedAuthorities are the certificate authorities that a stock verifier reads, and
// whether clients are told of one.
func publishedAuthorities(t *testing.T, dir string) (marked []bool, offered bool) {
	t.Helper()
	trusted, err := root.NewTrustedRootFromPath(filepath.Join(dir, "trust", trustedRootName))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range trusted.FulcioCertificateAuthorities() {
		authority, ok := a.(*root.FulcioCertificateAuthority)
		if !ok {
			t.Fatalf("an authority of type %T", a)
		}
		marked = append(marked, slices.Contains(authority.Intermediates[0].Subject.OrganizationalUnit, attest.UnitOnRequest))
	}
	config, err := root.NewSigningConfigFromPath(filepath.Join(dir, "trust", signingConfigName))
	if err != nil {
		t.Fatal(err)
	}
	cas, issuers := config.FulcioCertificateAuthorityURLs(), config.OIDCProviderURLs()
	if len(cas) != len(issuers) || len(cas) > 0 && (cas[0].URL != testOrigin || cas[0].MajorAPIVersion != 1) {
		t.Errorf("clients are told of %v and %v", cas, issuers)
	}
	return marked, len(cas) > 0
}

// assembles says whether serve would start.
func assembles(t *testing.T, dir string) error {
	t.Helper()
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	s, err := assemble(context.Background(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.close()
}

// TestFulcioEnable switches the API on in a deployment that was made without,
// and off again.
func TestFulcioEnable(t *testing.T) {
	dir := newDeployment(t)
	config := filepath.Join(dir, configName)
	off, before := readFile(t, config), readFile(t, filepath.Join(dir, "trust", trustedRootName))
	on := off + "fulcio: {audience: sigstore}\n"
	if marked, offered := publishedAuthorities(t, dir); !slices.Equal(marked, []bool{false}) || offered {
		t.Fatalf("before: %v, %v", marked, offered)
	}
	says(t, exitUsage, "does not have the member fulcio", "fulcio", "enable", "--dir", dir)
	writeFile(t, config, on)
	says(t, exitUsage, "hallmark-server fulcio enable --dir "+dir, "serve", "--dir", dir)

	// The root key is in its safe, as it should be.
	safe := filepath.Join(t.TempDir(), "ca-root.key")
	if err := os.Rename(filepath.Join(dir, "keys", "ca-root.key"), safe); err != nil {
		t.Fatal(err)
	}
	says(t, exitUsage, "--ca-root-key FILE", "fulcio", "enable", "--dir", dir)
	key := readFile(t, filepath.Join(dir, "keys", "ca-fulcio.key"))
	says(t, 0, "actions: [certificate]", "fulcio", "enable", "--dir", dir, "--ca-root-key", safe)
	if readFile(t, filepath.Join(dir, "keys", "ca-fulcio.key")) != key {
		t.Error("the key that an interrupted call made is another one now")
	}
	if marked, offered := publishedAuthorities(t, dir); !slices.Equal(marked, []bool{false, true}) || !offered {
		t.Errorf("after: %v, %v", marked, offered)
	}
	if err := assembles(t, dir); err != nil {
		t.Errorf("serve: %v", err)
	}
	chain, trusted := readFile(t, filepath.Join(dir, "certs", fulcioChainName)), readFile(t, filepath.Join(dir, "trust", trustedRootName))
	runs(t, 0, "fulcio", "enable", "--dir", dir) // again: nothing to do, and no key needed
	if readFile(t, filepath.Join(dir, "certs", fulcioChainName)) != chain || readFile(t, filepath.Join(dir, "trust", trustedRootName)) != trusted {
		t.Error("enabled again: something changed")
	}
	// Switched off it is offered to nobody, and believed as before.
	writeFile(t, config, off)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if marked, offered := publishedAuthorities(t, dir); !slices.Equal(marked, []bool{false, true}) || offered {
		t.Errorf("off again: %v, %v", marked, offered)
	}
	if err := assembles(t, dir); err != nil {
		t.Errorf("serve, off again: %v", err)
	}
	writeFile(t, config, on)
	unpublished(t, dir, before)
}

// unpublished: certificates that no verifier knows are not issued, and an
// authority that is not marked issues none on request.
func unpublished(t *testing.T, dir, before string) {
	t.Helper()
	trusted := filepath.Join(dir, "trust", trustedRootName)
	after := readFile(t, trusted)
	writeFile(t, trusted, before)
	if err := assembles(t, dir); err == nil || !strings.Contains(err.Error(), "its authority is not in") {
		t.Errorf("unpublished: %v", err)
	}
	writeFile(t, trusted, after)
	for _, name := range []string{"certs/%s-chain.pem", "keys/%s.key", "keys/%s.pub"} {
		copyFile(t, filepath.Join(dir, strings.ReplaceAll(name, "%s", "ca")), filepath.Join(dir, strings.ReplaceAll(name, "%s", "ca-fulcio")))
	}
	// The service's chain is published, and is not one for this.
	if err := assembles(t, dir); err == nil || !strings.Contains(err.Error(), "is marked for") {
		t.Errorf("with the service's authority: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content := readFile(t, from)
	if bytes.Equal([]byte(content), []byte(readFile(t, to))) {
		t.Fatalf("%s and %s are the same", from, to)
	}
	writeFile(t, to, content)
}

// TestFulcioInit: a deployment that is created with the API has its authority.
func TestFulcioInit(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, configName), "origin: "+testOrigin+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nregistry: {host: r.example}\npassword: {file: password}\n"+
		"policy: signing-policy.yaml\nidentities:\n- {name: github, provider: github, issuer: https://token.actions.githubusercontent.com, url: https://github.com}\nfulcio: {audience: sigstore}\n")
	writeFile(t, filepath.Join(dir, "password"), "correct horse battery staple\n")
	writeFile(t, filepath.Join(dir, "signing-policy.yaml"), string(policyfiles.SigningPolicy))
	runs(t, 0, "init", "--dir", dir)
	if marked, offered := publishedAuthorities(t, dir); !slices.Equal(marked, []bool{false, true}) || !offered {
		t.Errorf("%v, %v", marked, offered)
	}
	if err := assembles(t, dir); err != nil {
		t.Error(err)
	}
}
