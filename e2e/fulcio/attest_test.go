// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/devrun"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// attests: `cosign attest`, whose statements carry the workflow's own name.
func attests(t *testing.T, j *job) {
	predicate := filepath.Join(j.dir, "predicate.json")
	check(t, os.WriteFile(predicate, []byte(`{"a":"statement"}`), 0o600))
	for _, w := range ways() {
		if w.version == stock.CosignV3 && w.log == "v1" {
			continue // as with signatures
		}
		t.Run(w.name, func(t *testing.T) {
			image := j.PushSmall(t, "acme/app", "attested")
			before := j.sizes(t)
			args := append([]string{"attest", "--yes", "--predicate", predicate, "--type", "https://example.com/x", "--identity-token", j.token(t)}, w.args(t, j)...)
			if r := j.run(t, w.version, j.env, append(args, image)...); r.Code != 0 {
				t.Fatalf("exit code %d: %s", r.Code, r.Stderr)
			}
			if after, want := j.sizes(t), before.plus(w.log); after != want {
				t.Errorf("the logs have %v entries, want %v", after, want)
			}
			verify := append([]string{"verify-attestation", "--trusted-root", j.TrustedRoot(), "--type", "https://example.com/x"}, j.identity()...)
			if r := j.run(t, stock.CosignV3, nil, append(verify, image)...); r.Code != 0 {
				t.Errorf("cosign 3 refuses: %s", r.Stderr)
			}
		})
	}
}

// signsBlobs: `cosign sign-blob` of both versions, verified by cosign and by
// hallmark.
func signsBlobs(t *testing.T, j *job) {
	blob := filepath.Join(j.dir, "blob")
	check(t, os.WriteFile(blob, []byte("a file"), 0o600))
	for name, tc := range map[string]struct {
		version string
		args    []string
	}{
		"cosign 2": {stock.CosignV2, append(urls(j), "--new-bundle-format", "--trusted-root", j.TrustedRoot())},
		"cosign 3": {stock.CosignV3, []string{"--signing-config", j.signingConfig(t, 2), "--trusted-root", j.TrustedRoot()}},
	} {
		bundle := filepath.Join(t.TempDir(), "bundle.json")
		args := append([]string{"sign-blob", "--yes", "--bundle", bundle}, tc.args...)
		// The way of a CI that has its token in the environment.
		env := append(append([]string(nil), j.env...), "SIGSTORE_ID_TOKEN="+j.token(t))
		if r := j.run(t, tc.version, env, append(args, blob)...); r.Code != 0 {
			t.Errorf("%s: exit code %d: %s", name, r.Code, r.Stderr)
			continue
		}
		verify := append([]string{"verify-blob", "--bundle", bundle, "--trusted-root", j.TrustedRoot()}, j.identity()...)
		if r := j.run(t, stock.CosignV3, nil, append(verify, blob)...); r.Code != 0 {
			t.Errorf("%s: cosign 3 refuses: %s", name, r.Stderr)
		}
		if r := j.Hallmark(t, "", append([]string{"verify", "--bundle", bundle, blob}, j.identity()...)...); r.Code != 0 {
			t.Errorf("%s: hallmark refuses: %s", name, r.Stderr)
		}
	}
}

// signsMany: one call of cosign for several digests asks for a certificate for
// each, so that each has the one entry that a certificate is good for.
func signsMany(t *testing.T, j *job) {
	first, second := j.PushSmall(t, "acme/app", "first"), j.PushSmall(t, "acme/app", "second")
	before := j.sizes(t)
	args := append([]string{"sign", "--yes", "--recursive", "--identity-token", j.token(t)}, urls(j)...)
	if r := j.run(t, stock.CosignV2, j.env, append(args, first, second)...); r.Code != 0 {
		t.Fatalf("exit code %d: %s", r.Code, r.Stderr)
	}
	// Two indexes, each with one child.
	if after := j.sizes(t); after.v1 != before.v1+4 {
		t.Errorf("%d entries, want 4", after.v1-before.v1)
	}
}

// TestDev: the development deployment has it all, and its environment says so.
func TestDev(t *testing.T) {
	bin := filepath.Dir(lab.Program(t, "hallmark"))
	dev, err := devrun.Start(context.Background(), bin) // it ends in the clean-up, when the test's context is over
	check(t, err)
	t.Cleanup(func() { check(t, dev.Stop()) })
	if dev.Env["FULCIO_URL"] != dev.Env["HALLMARK_URL"] || dev.Env["FULCIO_URL"] == "" {
		t.Fatalf("FULCIO_URL is %q", dev.Env["FULCIO_URL"])
	}
	l := &lab.Lab{Dir: filepath.Join(dev.Dir, "server"), URL: dev.Env["HALLMARK_URL"], Registry: dev.Env["REGISTRY"]}
	j := jobAt(t, l)
	for version, args := range map[string][]string{
		stock.CosignV2: {"--fulcio-url", dev.Env["FULCIO_URL"], "--rekor-url", dev.Env["REKOR_URL"], "--timestamp-server-url", dev.Env["TSA_URL"]},
		stock.CosignV3: {"--signing-config", dev.Env["SIGNING_CONFIG"], "--trusted-root", dev.Env["TRUSTED_ROOT"]},
	} {
		image := l.PushSmall(t, "acme/app", version)
		token := devToken(t, dev)
		env := append(append([]string(nil), j.env...), "SIGSTORE_ID_TOKEN="+token)
		if r := j.run(t, version, env, append(append([]string{"sign", "--yes"}, args...), image)...); r.Code != 0 {
			t.Fatalf("%s: exit code %d: %s", version, r.Code, r.Stderr)
		}
		verify := []string{"verify", "--trusted-root", dev.Env["TRUSTED_ROOT"], "--certificate-identity", workflow, "--certificate-oidc-issuer", dev.Env["OIDC_ISSUER"], image}
		if r := j.run(t, stock.CosignV3, nil, verify...); r.Code != 0 {
			t.Errorf("%s: %s", version, r.Stderr)
		}
	}
	if r := j.run(t, stock.CosignV3, nil, "sign", "--yes", "--signing-config", dev.Env["SIGNING_CONFIG"], "--trusted-root", dev.Env["TRUSTED_ROOT"],
		"--identity-token", devToken(t, dev, "--claim", "event_name=pull_request"), l.PushSmall(t, "acme/app", "no")); r.Code == 0 || !strings.Contains(r.Stderr, "no certificate for this workflow") {
		t.Errorf("a pull request: %d %s", r.Code, r.Stderr)
	}
}

// devToken is a token of the development issuer for stock clients.
func devToken(t *testing.T, dev *devrun.Dev, more ...string) string {
	t.Helper()
	args := append([]string{"dev", "token", "--dir", dev.Dir, "--provider", devissuer.GitHub, "--audience", audience}, more...)
	r := lab.Run(t, "", os.Environ(), lab.Program(t, "hallmark"), args...)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}
