// SPDX-License-Identifier: Apache-2.0

// Package trust tests the root of trust as its users see it: the ceremony of its
// holders, the repository that stock cosign and sigstore-go learn keys from, the
// rotation of every key while a client keeps looking, and revocation.
package trust

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"

func TestMain(m *testing.M) { lab.Main(m) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sign signs an image as a CI job of acme/app.
func sign(t testing.TB, l *lab.Lab, image string) signer.Receipt {
	t.Helper()
	r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image, "-o", "json")
	if r.Code != 0 {
		t.Fatalf("sign: exit code %d: %s", r.Code, r.Stderr)
	}
	var receipt signer.Receipt
	check(t, json.Unmarshal([]byte(r.Stdout), &receipt))
	return receipt
}

// server runs a command of hallmark-server and wants an exit code and a text.
func server(t testing.TB, l *lab.Lab, code int, says string, args ...string) string {
	t.Helper()
	r := l.Server(t, args...)
	if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
		t.Fatalf("hallmark-server %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), r.Code, code, says, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// who are the flags that say whose signature it must be.
func who(l *lab.Lab) []string {
	return []string{"--certificate-identity", workflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub)}
}

// cosign is a stock cosign with a home of its own, initialised from the
// repository, as a user has it.
type cosign struct{ version, home string }

func newCosign(t testing.TB, l *lab.Lab, version string) cosign {
	t.Helper()
	c := cosign{version, t.TempDir()}
	if r := c.run(t, "initialize", "--mirror", l.URL+"/tuf", "--root", filepath.Join(l.Dir, "trust", "1.root.json")); r.Code != 0 {
		t.Fatalf("%s initialize: %s%s", version, r.Stdout, r.Stderr)
	}
	return c
}

func (c cosign) run(t testing.TB, args ...string) stock.Result {
	t.Helper()
	return stock.Command{Tool: c.version, Env: []string{"TUF_ROOT=" + c.home}}.Run(t, args...)
}

func (c cosign) verifies(t testing.TB, l *lab.Lab, image string) {
	t.Helper()
	if r := c.run(t, append([]string{"verify", image}, who(l)...)...); r.Code != 0 {
		t.Errorf("%s verify: exit code %d: %s%s", c.version, r.Code, r.Stdout, r.Stderr)
	}
}

// user is hallmark verify with a cache of its own, by the repository.
type user struct{ home string }

func (u user) verify(t testing.TB, l *lab.Lab, image string, more ...string) lab.Result {
	t.Helper()
	args := append([]string{"verify", image, "--tuf-url", l.URL + "/tuf", "--tuf-root", filepath.Join(l.Dir, "trust", "1.root.json")}, who(l)...)
	return lab.Run(t, "", []string{"HOME=" + u.home}, lab.Program(t, "hallmark"), append(args, more...)...)
}

func (u user) wants(t testing.TB, l *lab.Lab, code int, says, image string, more ...string) {
	t.Helper()
	if r := u.verify(t, l, image, more...); r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
		t.Errorf("hallmark verify: exit code %d, want %d and %q\n%s%s", r.Code, code, says, r.Stdout, r.Stderr)
	}
}

// eventually waits for what the service does by itself within seconds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute) // of a machine that runs other suites as well
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within five minutes", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
