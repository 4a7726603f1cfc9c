// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestByKeyOnly: a rule whose signatures have no certificate, with entries of
// the v2 log in its bundles and of the v1 log in its tags.
func TestByKeyOnly(t *testing.T) {
	l := startByKey(t, lab.Options{Policy: byKeyToo(t, "  modes: [key]\n"), BundleLog: "v2"})
	token := l.Token(t, devissuer.GitHub)
	image := l.PushSmall(t, "acme/app", "signed")
	signed := mustSign(t, l, token, image)
	attested := mustAttest(t, l, token, image, "spdxjson", sbom)
	if signed.Identity != "" || signed.Key != "release" || len(signed.Others) != 0 || len(signed.Tags) != 1 {
		t.Errorf("the receipt names other things than a key and a layer: %+v", signed)
	}
	if attested.KeyHint == "" || attested.KeyHint == signed.KeyHint {
		t.Errorf("attestation and signature are by key %q and %q", attested.KeyHint, signed.KeyHint)
	}
	layersOf(t, image, "sig", 1)
	layersOf(t, image, "att", 1)
	sigPub, attPub := publicKeys(t, l)
	askCosign(t, []question{
		{name: "bundle by key", verb: "verify", image: image, flags: []string{"--trusted-root", l.TrustedRoot(), "--key", sigPub}},
		{name: "attestation by key", verb: "verify-attestation", image: image, flags: []string{"--trusted-root", l.TrustedRoot(), "--type", "spdxjson", "--key", attPub}, only: stock.CosignV3},
		{name: "by the identity", verb: "verify", image: image, only: stock.CosignV3, says: "public key not found",
			flags: []string{"--trusted-root", l.TrustedRoot(), "--certificate-identity", appWorkflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub)}},
		{name: ".sig by key", verb: "verify", image: onlyTags(t, l, image, "acme/sig-only", "sig"), flags: []string{"--trusted-root", l.TrustedRoot(), "--key", sigPub}, only: stock.CosignV2},
		{name: ".att by key", verb: "verify-attestation", image: onlyTags(t, l, image, "acme/att-only", "att"), flags: []string{"--type", "spdxjson", "--key", attPub}, env: legacyTrust(t, l), only: stock.CosignV2},
	}, true)
	// By certificate it is not signed for Hallmark's own verifier either.
	verifyWith(t, l, image, 1)

	// A bundle of the receipt, offline.
	file := filepath.Join(t.TempDir(), "bundle.json")
	fatal(t, os.WriteFile(file, signed.Bundle, 0o600))
	_, digest, _ := strings.Cut(image, "@")
	if got := l.Hallmark(t, "", "verify", "--trusted-root", l.TrustedRoot(), "--bundle", file, "--key", sigPub, digest); got.Code != 0 {
		t.Errorf("hallmark verify --key: %d: %s", got.Code, got.Stderr)
	}
	if got := l.Hallmark(t, "", "verify", "--trusted-root", l.TrustedRoot(), "--bundle", file, "--key", attPub, digest); got.Code != 1 {
		t.Errorf("hallmark verify --key with the attestations' key: %d: %s", got.Code, got.Stderr)
	}
	l.Stop(t)
	l.Fsck(t)
}

// TestExchangedKey: another key in the place of a pinned one is no new identity,
// it is an error, and nothing is signed.
func TestExchangedKey(t *testing.T) {
	l := startByKey(t, lab.Options{Policy: byKeyToo(t, "")})
	l.Stop(t)
	keys := filepath.Join(l.Dir, "keys")
	exchanged, err := os.ReadFile(filepath.Join(keys, "attest-release.key"))
	fatal(t, err)
	fatal(t, os.WriteFile(filepath.Join(keys, "sign-release.key"), exchanged, 0o600))
	if r := l.Server(t, "serve"); r.Code == 0 || !strings.Contains(r.Stderr, "not the key that was pinned") {
		t.Errorf("serve with an exchanged key: %d: %s", r.Code, r.Stderr)
	}
	// The pin with it: then two purposes have one key.
	pin, err := os.ReadFile(filepath.Join(keys, "attest-release.pub"))
	fatal(t, err)
	fatal(t, os.WriteFile(filepath.Join(keys, "sign-release.pub"), pin, 0o600))
	if r := l.Server(t, "serve"); r.Code == 0 || !strings.Contains(r.Stderr, "each needs a key of its own") {
		t.Errorf("serve with one key for signatures and attestations: %d: %s", r.Code, r.Stderr)
	}
}

// TestKeysCreate: a key that the configuration names later is taken into use by
// a command, and listed.
func TestKeysCreate(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	l.Stop(t)
	config := filepath.Join(l.Dir, "hallmark.yaml")
	text, err := os.ReadFile(config)
	fatal(t, err)
	fatal(t, os.WriteFile(config, append(text, "signing: {keys: [{name: release, signatures: file}]}\n"...), 0o600))
	if r := l.Server(t, "serve"); r.Code == 0 || !strings.Contains(r.Stderr, "hallmark-server keys create") {
		t.Errorf("serve without the key: %d: %s", r.Code, r.Stderr)
	}
	for range 2 { // it may be repeated
		if r := l.Server(t, "keys", "create"); r.Code != 0 || !strings.Contains(r.Stdout, "release") {
			t.Fatalf("keys create: %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
	// A rule that attests by a pair without such a key is not served.
	policy := filepath.Join(l.Dir, "signing-policy.yaml")
	fatal(t, os.WriteFile(policy, byKeyToo(t, ""), 0o600))
	if r := l.Server(t, "serve"); r.Code != 2 || !strings.Contains(r.Stderr, "no key for attestations") {
		t.Errorf("serve with a rule without its key: %d: %s", r.Code, r.Stderr)
	}
}
