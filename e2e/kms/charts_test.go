// SPDX-License-Identifier: Apache-2.0

//go:build peers

package kms

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const chartsPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: charts
  identity: github
  actions: [chart-provenance]
  kinds: [chart]
  repositories: [acme/charts/]
  conditions: [{name: own, expression: 'claims.repository == "acme/app"', message: only acme/app}]
`

// chartsPassphrase protects the key that GnuPG makes.
const chartsPassphrase = "open sesame"

// TestChartKeys: one deployment signs charts with an RSA and an ECDSA key in
// Vault, the same in AWS KMS, and a key that GnuPG has made, each rotated into the
// place of the one before. Helm and GnuPG verify all of it with the ring that is
// published in the end.
func TestChartKeys(t *testing.T) {
	v, a := startVault(t), startAWS(t)
	v.create(t, "rsa-2048", "weak")
	v.create(t, "rsa-3072", "charts-rsa")
	v.create(t, "ecdsa-p256", "charts")
	for alias, spec := range map[string]string{"charts-rsa": "RSA_4096", "charts": "ECC_NIST_P256"} {
		a.call(t, "CreateAlias", map[string]any{"AliasName": "alias/" + alias, "TargetKeyId": a.create(t, spec)})
	}
	token := tokenFile(t)
	v.token(t, token)
	l := lab.Start(t, lab.Options{
		Policy: []byte(chartsPolicy),
		Config: fmt.Sprintf("kms: {timeout: 5s, vault: {address: %q, tokenFile: %q}}\nkeys: {charts-pgp-2: 'hashivault://weak', charts-pgp-3: %q, charts-pgp-4: %q}\n"+
			"charts: {pgpKey: 'hashivault://charts-rsa', userID: Acme charts <charts@acme.example>}\n", v.address, token, a.ref("charts-rsa"), a.ref("charts")),
	})
	c := &charts{Lab: l, token: l.Token(t, devissuer.GitHub), dir: t.TempDir(), keys: map[string]string{}}
	c.sign(t, "1.0.0")

	// A weak key is not taken into use.
	if r := l.Server(t, "keys", "rotate", "charts-pgp", "--wait", "0s"); r.Code == 0 || !strings.Contains(r.Stderr, "RSA of 2048 bits is too weak") || !strings.Contains(r.Stderr, "of type rsa-3072 or rsa-4096") {
		t.Errorf("rotate to RSA-2048: exit code %d: %s", r.Code, r.Stderr)
	}
	config := filepath.Join(l.Dir, "hallmark.yaml")
	text, err := os.ReadFile(config)
	fatal(t, err)
	fatal(t, os.WriteFile(config, []byte(strings.Replace(string(text), "hashivault://weak", "hashivault://charts", 1)), 0o600))
	l.Stop(t)
	l.Serve(t)

	c.rotate(t)
	c.sign(t, "1.0.1") // ECDSA in Vault
	c.rotate(t)
	c.sign(t, "1.0.2") // RSA in AWS KMS
	c.rotate(t)
	c.sign(t, "1.0.3") // ECDSA in AWS KMS
	home, secret, fingerprint := gnuPGKey(t)
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	fatal(t, os.WriteFile(passphrase, []byte(chartsPassphrase+"\n"), 0o600))
	c.rotate(t, "--import", secret, "--passphrase", passphrase)
	c.sign(t, "1.0.4")
	if c.keys["1.0.4"] != fingerprint {
		t.Errorf("the imported key signs as %s, was %s", c.keys["1.0.4"], fingerprint)
	}
	// GnuPG, in the home where the key was made, knows its own signature.
	gpg(t, home, "--verify", c.archive("1.0.4")+".prov")

	kinds := map[string]string{"charts-pgp": "rsa-3072", "charts-pgp-2": "ecdsa-p256", "charts-pgp-3": "rsa-4096", "charts-pgp-4": "ecdsa-p256", "charts-pgp-5": "rsa-3072"}
	var listed struct {
		Keys []struct{ Name, Algorithm, Fingerprint string }
	}
	fatal(t, json.Unmarshal([]byte(l.Server(t, "keys", "list", "-o", "json").Stdout), &listed))
	for _, k := range listed.Keys {
		if want, is := kinds[k.Name]; is && (k.Algorithm != want || len(k.Fingerprint) != 40) {
			t.Errorf("key %+v, want %s", k, want)
		}
		delete(kinds, k.Name)
	}
	if len(kinds) > 0 {
		t.Errorf("not listed: %v", kinds)
	}
	c.verifyAll(t)
	l.Stop(t)
	l.Fsck(t)
}

// TestChartKeyInVaultIsExchanged: somebody rotates the key in Vault. That is
// another key, and nobody gets a signature of it.
func TestChartKeyInVaultIsExchanged(t *testing.T) {
	v := startVault(t)
	v.create(t, "rsa-3072", "charts-rsa")
	token := tokenFile(t)
	v.token(t, token)
	l := lab.Start(t, lab.Options{
		Policy: []byte(chartsPolicy),
		Config: fmt.Sprintf("kms: {timeout: 5s, vault: {address: %q, tokenFile: %q}}\ncharts: {pgpKey: 'hashivault://charts-rsa'}\n", v.address, token),
	})
	c := &charts{Lab: l, token: l.Token(t, devissuer.GitHub), dir: t.TempDir(), keys: map[string]string{}}
	c.sign(t, "1.0.0")
	v.call(t, http.MethodPost, "/v1/transit/keys/charts-rsa/rotate", map[string]any{})
	if r := c.ask(t, "1.0.1"); r.Code != 3 || !strings.Contains(l.Log(), "not the key that was pinned") {
		t.Errorf("exit code %d, want 3: %s\n%s", r.Code, r.Stderr, l.Log())
	}
	l.Stop(t)
	l.Fsck(t)
}

// charts is a deployment and what it has signed.
type charts struct {
	*lab.Lab
	token, dir string
	keys       map[string]string // fingerprints by version
}

func (c *charts) archive(version string) string {
	return filepath.Join(c.dir, "app-"+version+".tgz")
}

// ask packages a version of a chart and asks for its provenance file.
func (c *charts) ask(t *testing.T, version string) lab.Result {
	t.Helper()
	source := filepath.Join(t.TempDir(), "app")
	fatal(t, os.MkdirAll(source, 0o700))
	fatal(t, os.WriteFile(filepath.Join(source, "Chart.yaml"), []byte("apiVersion: v2\nname: app\nversion: "+version+"\n"), 0o600))
	if r := (stock.Command{Tool: "helm"}).Run(t, "package", source, "-d", c.dir); r.Code != 0 {
		t.Fatalf("helm package: %s", r.Stderr)
	}
	return c.Hallmark(t, c.token, "chart", "provenance", c.archive(version), "oci://"+c.Registry+"/acme/charts", "--out", c.archive(version)+".prov", "-o", "json")
}

// sign has a version signed, and verifies it with the ring of its key.
func (c *charts) sign(t *testing.T, version string) {
	t.Helper()
	r := c.ask(t, version)
	if r.Code != 0 {
		t.Fatalf("provenance of %s: %s\n%s", version, r.Stderr, c.Log())
	}
	var receipt signer.ChartReceipt
	fatal(t, json.Unmarshal([]byte(r.Stdout), &receipt))
	for before, key := range c.keys {
		if key == receipt.Key {
			t.Errorf("%s and %s are signed by the same key", before, version)
		}
	}
	c.keys[version] = receipt.Key
	c.verify(t, version, c.ring(t, "--key", receipt.Key))
}

func (c *charts) ring(t *testing.T, flags ...string) string {
	t.Helper()
	ring := filepath.Join(t.TempDir(), "pubring.gpg")
	fatal(t, os.WriteFile(ring, []byte(c.Hallmark(t, "", append([]string{"chart", "keyring"}, flags...)...).Stdout), 0o600))
	return ring
}

// verify has Helm and GnuPG verify a version.
func (c *charts) verify(t *testing.T, version, ring string) {
	t.Helper()
	r := stock.Command{Tool: "helm"}.Run(t, "verify", c.archive(version), "--keyring", ring)
	if r.Code != 0 || !strings.Contains(r.Stdout, c.keys[version]) {
		t.Errorf("helm verify %s: %s%s", version, r.Stdout, r.Stderr)
	}
	home := gnuPGHome(t)
	gpg(t, home, "--import", ring)
	said := gpg(t, home, "--status-fd", "1", "--verify", c.archive(version)+".prov")
	if !strings.Contains(said, "[GNUPG:] VALIDSIG "+c.keys[version]) || !strings.Contains(said, "[GNUPG:] GOODSIG") {
		t.Errorf("gpg --verify %s says %s", version, said)
	}
}

// verifyAll verifies all versions with the ring that is published now.
func (c *charts) verifyAll(t *testing.T) {
	t.Helper()
	ring := c.ring(t)
	for version := range c.keys {
		c.verify(t, version, ring)
	}
}

// rotate puts the next key in the place of the one that signs, and waits until
// the running service uses it.
func (c *charts) rotate(t *testing.T, flags ...string) {
	t.Helper()
	if r := c.Server(t, append([]string{"keys", "rotate", "charts-pgp", "--wait", "0s"}, flags...)...); r.Code != 0 {
		t.Fatalf("keys rotate: %s", r.Stderr)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var status struct {
			InUse     map[string]string
			Rotations []struct{ Phase string }
		}
		fatal(t, json.Unmarshal([]byte(c.Server(t, "keys", "status", "-o", "json").Stdout), &status))
		done := true
		for _, r := range status.Rotations {
			done = done && r.Phase == "done"
		}
		// What the service says when it has found the new key in use.
		follows := fmt.Sprintf(`"provenance files of charts are signed with","key":%q`, status.InUse["charts-pgp"])
		if done && strings.Contains(c.Log(), follows) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service does not follow\n%s\n%s", c.Server(t, "keys", "status").Stdout, c.Log())
		}
	}
}

// gnuPGHome is a home of GnuPG, with a short path: its agent listens there.
func gnuPGHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "g")
	fatal(t, err)
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), "gpgconf", "--homedir", home, "--kill", "all").Run() // it may have none
		_ = os.RemoveAll(home)
	})
	return home
}

// gpg runs stock GnuPG, which has to succeed.
func gpg(t *testing.T, home string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--homedir", home, "--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", chartsPassphrase}, args...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gpg %v (hint: make test-peers installs it): %v\n%s", args, err, out)
	}
	return string(out)
}

// gnuPGKey is a key as `gpg` makes it: RSA, with a subkey that encrypts and a
// passphrase.
func gnuPGKey(t *testing.T) (home, secret, fingerprint string) {
	t.Helper()
	home = gnuPGHome(t)
	gpg(t, home, "--quick-generate-key", "Acmé release <release@acme.example>", "rsa3072", "sign", "5y")
	for line := range strings.Lines(gpg(t, home, "--with-colons", "--list-secret-keys")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && fingerprint == "" {
			fingerprint = fields[9]
		}
	}
	gpg(t, home, "--quick-add-key", fingerprint, "rsa3072", "encr", "1y")
	secret = filepath.Join(home, "secret.asc")
	gpg(t, home, "--armor", "--output", secret, "--export-secret-keys", fingerprint)
	return home, secret, fingerprint
}
