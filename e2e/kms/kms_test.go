// SPDX-License-Identifier: Apache-2.0

//go:build peers

package kms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const appWorkflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"

// roles are the deployment's own keys.
var roles = []string{"ca-root", "ca", "ct", "log-v1", "log-v2", "tsa-root", "tsa", "tuf-targets", "tuf-snapshot", "tuf-timestamp"}

// options are a deployment all of whose keys are in Vault.
func options(t *testing.T, v *vault, token string) lab.Options {
	t.Helper()
	var config strings.Builder
	_, _ = fmt.Fprintf(&config, "kms: {timeout: 5s, vault: {address: %q, tokenFile: %q}}\nkeys:\n", v.address, token)
	for _, role := range roles {
		_, _ = fmt.Fprintf(&config, "  %s: hashivault://hallmark-%s\n", role, role)
	}
	policy := bytes.Replace(policyfiles.SigningPolicy, []byte("- name: acme-github\n"), []byte("- name: acme-github\n  keys: [release]\n"), 1)
	return lab.Options{
		Policy: policy, Config: config.String(),
		Signing: "legacyTags: true, keys: [{name: release, signatures: hashivault://release, attestations: hashivault://release-attestations}]",
	}
}

// TestVault: a deployment without a single private key on its disk signs by
// certificate and by key, and stock cosign accepts it.
func TestVault(t *testing.T) {
	v := startVault(t)
	for _, role := range roles {
		v.create(t, "ecdsa-p256", "hallmark-"+role)
	}
	v.create(t, "ecdsa-p256", "release", "release-attestations")
	path := tokenFile(t)
	token := v.token(t, path)
	l := lab.Start(t, options(t, v, path))

	private, err := filepath.Glob(filepath.Join(l.Dir, "keys", "*.key"))
	fatal(t, err)
	if len(private) != 0 {
		t.Errorf("there are private keys on the disk: %v", private)
	}
	job := l.Token(t, devissuer.GitHub)
	image := l.PushSmall(t, "acme/app", "signed")
	if r := sign(t, l, job, image); r.Code != 0 {
		t.Fatalf("sign: %s\n%s", r.Stderr, l.Log())
	}
	predicate := filepath.Join(t.TempDir(), "sbom.json")
	fatal(t, os.WriteFile(predicate, []byte(`{"spdxVersion": "SPDX-2.3"}`), 0o600))
	if r := l.Hallmark(t, job, "attest", image, "--type", "spdxjson", "--predicate", predicate); r.Code != 0 {
		t.Fatalf("attest: %s", r.Stderr)
	}
	public, attestations := key(t, l), key(t, l, "--attestations")
	issuer := l.Issuer.URL(devissuer.GitHub)
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for _, args := range [][]string{
			{"verify", "--key", public},
			{"verify", "--certificate-identity", appWorkflow, "--certificate-oidc-issuer", issuer},
			{"verify-attestation", "--type", "spdxjson", "--key", attestations},
			{"verify-attestation", "--type", "spdxjson", "--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL},
		} {
			if got := stock.Cosign(t, version, append(args, "--trusted-root", l.TrustedRoot(), image)...); got.Code != 0 {
				t.Errorf("%s %v: %s", version, args, got.Stderr)
			}
		}
		if got := stock.Cosign(t, version, "verify-attestation", "--type", "spdxjson", "--key", public, "--trusted-root", l.TrustedRoot(), image); got.Code == 0 {
			t.Errorf("%s takes the signatures' key for that of attestations", version)
		}
	}

	// The token ends, and its agent writes another: the service goes on without
	// a restart.
	v.call(t, http.MethodPost, "/v1/auth/token/revoke", map[string]any{"token": token})
	during := l.PushSmall(t, "acme/app", "during")
	if r := sign(t, l, job, during); r.Code != 3 {
		t.Errorf("sign without the right to: exit code %d, want 3: %s", r.Code, r.Stderr)
	}
	v.token(t, path)
	var last lab.Result
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		if last = sign(t, l, job, during); last.Code == 0 || time.Now().After(deadline) {
			break
		}
	}
	if last.Code != 0 {
		t.Fatalf("sign with a new token: %s\n%s", last.Stderr, l.Log())
	}

	// Somebody rotates a key in Vault: another key is an error, not an identity.
	v.call(t, http.MethodPost, "/v1/transit/keys/release/rotate", map[string]any{})
	after := l.PushSmall(t, "acme/app", "after")
	if r := sign(t, l, job, after); r.Code != 3 || !strings.Contains(l.Log(), "not the key that was pinned") {
		t.Errorf("sign with a rotated key: exit code %d, want 3: %s\n%s", r.Code, r.Stderr, l.Log())
	}
	if got := stock.Cosign(t, stock.CosignV3, "verify", "--certificate-identity", appWorkflow, "--certificate-oidc-issuer", issuer, "--trusted-root", l.TrustedRoot(), after); got.Code == 0 {
		t.Error("an image whose signing failed has a signature")
	}
	l.Stop(t)
	l.Fsck(t)
	if r := l.Server(t, "serve"); r.Code == 0 || !strings.Contains(r.Stderr, "not the key that was pinned") {
		t.Errorf("serve with a rotated key: exit code %d: %s", r.Code, r.Stderr)
	}
}

// TestInitRefuses: a key that is not there, of another kind, or that the service
// may not use stops init, and leaves nothing that looks like a deployment.
func TestInitRefuses(t *testing.T) {
	v := startVault(t)
	path := tokenFile(t)
	v.token(t, path)
	v.create(t, "ecdsa-p256", "good")
	v.create(t, "rsa-2048", "rsa")
	for name, tc := range map[string]struct{ key, address, says string }{
		"no such key":  {"absent", v.address, "create the key in the KMS first"},
		"another kind": {"rsa", v.address, "ecdsa-p256"},
		"no Vault":     {"good", "http://127.0.0.1:1", "the KMS does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := fmt.Sprintf("origin: http://127.0.0.1:1\nlisten: 127.0.0.1:1\nadmin: 127.0.0.1:2\nregistry: {host: registry.example}\npassword: {file: password}\n"+
				"policy: signing-policy.yaml\nidentities: []\nlog: {}\nkms: {timeout: 4s, vault: {address: %q, tokenFile: %q}}\nkeys: {ca: hashivault://%s}\n", tc.address, path, tc.key)
			fatal(t, os.WriteFile(filepath.Join(dir, "hallmark.yaml"), []byte(config), 0o600))
			fatal(t, os.WriteFile(filepath.Join(dir, "password"), []byte("password\n"), 0o600))
			r := lab.Run(t, "", os.Environ(), lab.Program(t, "hallmark-server"), "init", "--dir", dir)
			if r.Code != 3 || !strings.Contains(r.Stderr, tc.says) {
				t.Errorf("exit code %d, want 3 and %q: %s", r.Code, tc.says, r.Stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, "keys")); !os.IsNotExist(err) {
				t.Errorf("keys were left behind: %v", err)
			}
		})
	}
}

func sign(t *testing.T, l *lab.Lab, job, image string) lab.Result {
	t.Helper()
	r := l.Hallmark(t, job, "sign", image, "-o", "json")
	if r.Code == 0 {
		var receipt signer.Receipt
		fatal(t, json.Unmarshal([]byte(r.Stdout), &receipt))
		if len(receipt.Others) != 1 || receipt.Others[0].Key != "release" {
			t.Errorf("the receipt names no signature by key: %s", r.Stdout)
		}
	}
	return r
}

// key writes a public key to a file, as a verifier would get it.
func key(t *testing.T, l *lab.Lab, flags ...string) string {
	t.Helper()
	r := l.Hallmark(t, "", append([]string{"keys", "public", "release"}, flags...)...)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	path := filepath.Join(t.TempDir(), "key.pub")
	fatal(t, os.WriteFile(path, []byte(r.Stdout), 0o600))
	return path
}
