// SPDX-License-Identifier: Apache-2.0

//go:build peers

package kms

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestRotationInVault: a deployment whose keys, those of the trust repository
// too, are in Vault goes on to keys in Vault, under a root in Vault, and no
// private key comes to its disk on the way.
func TestRotationInVault(t *testing.T) {
	v := startVault(t)
	path := tokenFile(t)
	later := []string{"ca-2", "ct-2", "tsa-2", "tsa-2-root", "tuf-timestamp-2"}
	for _, name := range append(append([]string{}, roles...), later...) {
		v.create(t, "ecdsa-p256", "hallmark-"+name)
	}
	v.create(t, "ecdsa-p256", "release", "release-attestations")
	v.token(t, path)
	o := options(t, v, path)
	o.RootKeys = true
	for _, name := range later {
		o.Config += fmt.Sprintf("  %s: hashivault://hallmark-%s\n", name, name)
	}
	l := lab.Start(t, o)
	job := l.Token(t, devissuer.GitHub)
	old := l.PushSmall(t, "acme/app", "old")
	if r := sign(t, l, job, old); r.Code != 0 {
		t.Fatalf("sign: %s\n%s", r.Stderr, l.Log())
	}

	for _, args := range [][]string{{"ca", "--root-key", "ca-root"}, {"ct"}, {"tsa"}, {"tuf-timestamp"}} {
		if r := l.Server(t, append([]string{"keys", "rotate", "--wait", "0s", "--keep", "1s"}, args...)...); r.Code != 0 {
			t.Fatalf("rotate %v: %s", args, r.Stderr)
		}
	}
	var status string
	for deadline := time.Now().Add(60 * time.Second); strings.Count(status, "done") < 3; time.Sleep(200 * time.Millisecond) {
		if status = l.Server(t, "keys", "status").Stdout; time.Now().After(deadline) {
			t.Fatalf("%s\n%s", status, l.Log())
		}
	}
	private, err := filepath.Glob(filepath.Join(l.Dir, "keys", "*.key"))
	fatal(t, err)
	if len(private) != 0 {
		t.Errorf("there are private keys on the disk: %v", private)
	}
	if list := l.Server(t, "keys", "list").Stdout; !strings.Contains(list, "hashivault://hallmark-ca-2") || !strings.Contains(list, "hashivault://hallmark-tuf-targets") {
		t.Errorf("keys list:\n%s", list)
	}

	fresh := l.PushSmall(t, "acme/app", "fresh")
	if r := sign(t, l, job, fresh); r.Code != 0 {
		t.Fatalf("sign: %s\n%s", r.Stderr, l.Log())
	}
	for _, image := range []string{old, fresh} {
		for _, version := range []string{stock.CosignV2, stock.CosignV3} {
			got := stock.Cosign(t, version, "verify", "--certificate-identity", appWorkflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub), "--trusted-root", l.TrustedRoot(), image)
			if got.Code != 0 {
				t.Errorf("%s %s: %s", version, image, got.Stderr)
			}
		}
	}
	// The repository is signed in Vault as well, and says the same.
	r := lab.Run(t, "", []string{"HOME=" + t.TempDir()}, lab.Program(t, "hallmark"), "verify", fresh, "--tuf-url", l.URL+"/tuf", "--tuf-root", filepath.Join(l.Dir, "trust", "1.root.json"),
		"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub))
	if r.Code != 0 {
		t.Errorf("verify by the repository: %s", r.Stderr)
	}
	// And all of it is found again at the next start.
	l.Stop(t)
	l.Serve(t)
	l.Stop(t)
	l.Fsck(t)
}
