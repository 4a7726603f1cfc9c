// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestKeyMode has stock cosign sign a file and an image's statement with a
// long-lived key into Hallmark's log, and Hallmark verify the bundles by that
// key, with the exit codes of the offline command.
func TestKeyMode(t *testing.T) {
	l := lab.Start(t, lab.Options{Writers: "open"})
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) string {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	cosign := func(args ...string) {
		t.Helper()
		got := stock.Command{Tool: stock.CosignV3, Dir: dir, Env: []string{"COSIGN_PASSWORD="}}.Run(t, args...)
		if got.Code != 0 {
			t.Fatalf("cosign %v: %s", args, got.Stderr)
		}
	}
	file, changed := write("app.tgz", "an archive"), write("changed.tgz", "another archive")
	predicate := write("predicate.json", `{"buildDefinition": {}}`)
	config := filepath.Join(l.Dir, "trust", "signing_config.v0.2.json")
	timeless := write("timeless.json", withoutTSA(t, config))
	for _, name := range []string{"mine", "theirs"} {
		cosign("generate-key-pair", "--output-key-prefix", name)
	}
	sign := []string{"--key", "mine.key", "--trusted-root", l.TrustedRoot(), "--yes"}
	cosign(append([]string{"sign-blob", file, "--bundle", "timed.json", "--signing-config", config}, sign...)...)
	cosign(append([]string{"sign-blob", file, "--bundle", "untimed.json", "--signing-config", timeless}, sign...)...)
	cosign(append([]string{"attest-blob", file, "--predicate", predicate, "--type", "slsaprovenance1", "--bundle", "attested.json", "--signing-config", timeless}, sign...)...)

	for name, private := range importedKeys(t) {
		write(name+".pem", private)
		cosign("import-key-pair", "--key", name+".pem", "--output-key-prefix", name, "--yes")
		by := []string{"--key", name + ".key", "--trusted-root", l.TrustedRoot(), "--signing-config", timeless, "--yes"}
		cosign(append([]string{"sign-blob", file, "--bundle", name + ".json"}, by...)...)
		cosign(append([]string{"attest-blob", file, "--predicate", predicate, "--type", "slsaprovenance1", "--bundle", name + "-attested.json"}, by...)...)
	}

	certificate := []string{"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", "https://issuer.example"}
	key := []string{"--key", in("mine.pub")}
	for _, tc := range []struct {
		name, bundle, subject string
		flags                 []string
		want                  int
		says                  string
	}{
		{"message with a timestamp", "timed.json", file, key, 0, " UTC"},
		{"message without", "untimed.json", file, key, 0, "unproven time"},
		{"statement", "attested.json", file, key, 0, "https://slsa.dev/provenance/v1"},
		{"RSA", "rsa.json", file, []string{"--key", in("rsa.pub")}, 0, "verified"},
		{"RSA, statement", "rsa-attested.json", file, []string{"--key", in("rsa.pub")}, 0, "verified"},
		{"P-384", "p384.json", file, []string{"--key", in("p384.pub")}, 0, "verified"},
		{"P-384, statement", "p384-attested.json", file, []string{"--key", in("p384.pub")}, 0, "verified"},
		{"changed file", "untimed.json", changed, key, 1, "another artifact"},
		{"changed file, statement", "attested.json", changed, key, 1, "another artifact"},
		{"another key", "timed.json", file, []string{"--key", in("theirs.pub")}, 1, "signed with another key"},
		{"by identity", "timed.json", file, certificate, 1, "long-lived key"},
		{"private key", "timed.json", file, []string{"--key", in("mine.key")}, 2, "private key, keep it secret"},
		{"no such key", "timed.json", file, []string{"--key", in("absent.pub")}, 2, "no such file"},
		{"empty key", "timed.json", file, append([]string{"--key", ""}, certificate...), 2, "exclude"},
		{"empty key alone", "timed.json", file, []string{"--key", ""}, 2, "names no file"},
		{"key and identity", "timed.json", file, append(key, certificate...), 2, "exclude"},
		{"key and empty issuer", "timed.json", file, append(key, "--certificate-oidc-issuer", ""), 2, "exclude"},
		{"key and policy", "timed.json", file, append(key, "--policy", in("policy.yaml")), 2, "exclude"},
		{"image by key", "", l.Registry + "/acme/app:v1", key, 2, "goes with --bundle"},
	} {
		args := []string{"verify", "--trusted-root", l.TrustedRoot()}
		if tc.bundle != "" {
			args = append(args, "--bundle", in(tc.bundle))
		}
		got := l.Hallmark(t, "", append(append(args, tc.flags...), tc.subject)...)
		if got.Code != tc.want || !strings.Contains(got.Stdout+got.Stderr, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.name, got.Code, tc.want, tc.says, got.Stdout, got.Stderr)
		}
	}
}

// importedKeys are the kinds of key that cosign does not make itself, as PKCS #8
// in PEM. Ed25519 is not among them: with such a key and a v2 log, cosign 3.1.3
// refuses the signature that it just made.
func importedKeys(t *testing.T) map[string]string {
	t.Helper()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	fatal(t, err)
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	fatal(t, err)
	out := make(map[string]string)
	for name, key := range map[string]crypto.Signer{"p384": p384, "rsa": rsa2048} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		fatal(t, err)
		out[name] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return out
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// withoutTSA returns the signing configuration without timestamp authorities.
func withoutTSA(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	unmarshal(t, raw, &config)
	delete(config, "tsaUrls")
	delete(config, "tsaConfig")
	out, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
