// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigstoretuf "github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestRepository: stock clients learn whom to trust from the repository, and
// need no other flag.
func TestRepository(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{RootKeys: true})
	image := l.PushSmall(t, "acme/app", "v1")
	sign(t, l, image)
	unsigned := l.PushSmall(t, "acme/app", "unsigned")

	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		c := newCosign(t, l, version)
		c.verifies(t, l, image)
		if r := c.run(t, append([]string{"verify", unsigned}, who(l)...)...); r.Code == 0 {
			t.Errorf("%s verifies an unsigned image", version)
		}
		// Without initialize, from the environment alone.
		r := stock.Command{Tool: version, Env: []string{"TUF_MIRROR=" + l.URL + "/tuf", "TUF_ROOT_JSON=" + filepath.Join(l.Dir, "trust", "1.root.json")}}.
			Run(t, append([]string{"verify", image}, who(l)...)...)
		if r.Code != 0 {
			t.Errorf("%s with TUF_MIRROR: %s", version, r.Stderr)
		}
	}
	sigstoreGo(t, l)

	u := user{t.TempDir()}
	u.wants(t, l, 0, "verified", image)
	u.wants(t, l, 0, "verified", image, "--revocations-max-age", "24h")
	u.wants(t, l, 1, "not verified", unsigned)
	// Another root is another service.
	other := filepath.Join(t.TempDir(), "1.root.json")
	doc, err := os.ReadFile(filepath.Join(l.Dir, "trust", "1.root.json"))
	check(t, err)
	check(t, os.WriteFile(other, []byte(strings.Replace(string(doc), `"threshold": 1`, `"threshold": 2`, 1)), 0o600))
	if r := u.verify(t, l, image, "--tuf-root", other); r.Code != 3 {
		t.Errorf("a root that is not signed: exit code %d: %s", r.Code, r.Stderr)
	}

	// Nothing but the repository is served, and caches are told what changes.
	for path, want := range map[string]struct {
		code  int
		cache string
	}{
		"/tuf/timestamp.json":      {200, "no-store"},
		"/tuf/1.root.json":         {200, "public, max-age=31536000, immutable"},
		"/tuf/2.root.json":         {404, "no-store"},
		"/tuf/rotations.json":      {404, "no-store"},
		"/tuf/../trust/.lock":      {404, ""},
		"/tuf/keys/ca.key":         {404, "no-store"},
		"/tuf/%2e%2e/keys/ca.key":  {404, ""},
		"/tuf/targets/keys/ca.key": {404, "no-store"},
	} {
		resp, err := http.Get(l.URL + path) //nolint:noctx // loopback
		check(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != want.code || want.cache != "" && resp.Header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q, want %d %q", path, resp.StatusCode, resp.Header.Get("Cache-Control"), want.code, want.cache)
		}
	}
	// The root's key is not in the deployment.
	if err := filepath.WalkDir(l.Dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, "root.key") && !strings.HasSuffix(path, "ca-root.key") && !strings.HasSuffix(path, "tsa-root.key") {
			t.Errorf("%s is in the deployment", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}

	// The server goes away: what was verified is good until it expires.
	l.Kill(t)
	u.wants(t, l, 0, "going on with what it said on", image)
	u.wants(t, l, 3, "too old", image, "--revocations-max-age", "1ns")
	if r := (user{t.TempDir()}).verify(t, l, image); r.Code != 3 {
		t.Errorf("no repository and nothing kept: exit code %d: %s", r.Code, r.Stderr)
	}
}

// sigstoreGo reads the targets with sigstore-go's own client.
func sigstoreGo(t *testing.T, l *lab.Lab) {
	t.Helper()
	first, err := os.ReadFile(filepath.Join(l.Dir, "trust", "1.root.json"))
	check(t, err)
	opts := (&sigstoretuf.Options{}).WithRoot(first).WithRepositoryBaseURL(l.URL + "/tuf").WithCachePath(t.TempDir())
	if trusted, err := root.FetchTrustedRootWithOptions(opts); err != nil || len(trusted.RekorLogs()) != 2 {
		t.Errorf("trusted root: %v", err)
	}
	client, err := sigstoretuf.New(opts)
	check(t, err)
	for _, name := range []string{
		"signing_config.v0.2.json", "revocations.json", "rekor.pub", "ctfe.pub", "fulcio_v1.crt.pem", "fulcio_intermediate_v1.crt.pem", "tsa_leaf.crt.pem", "tsa_root.crt.pem",
	} {
		if _, err := client.GetTarget(name); err != nil {
			t.Errorf("target %s: %v", name, err)
		}
	}
}

// TestCeremony: three holders, two of whom sign; then one leaves, another comes,
// and the server's keys change. Clients that know the first root follow.
func TestCeremony(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{})
	image := l.PushSmall(t, "acme/app", "v1")
	sign(t, l, image)
	if resp, err := http.Get(l.URL + "/tuf/timestamp.json"); err != nil || resp.StatusCode != http.StatusNotFound { //nolint:noctx,bodyclose // nothing in it
		t.Errorf("a repository without a root: %v", err)
	}
	dir, trust := t.TempDir(), filepath.Join(l.Dir, "trust")
	hallmark := func(code int, says string, args ...string) string {
		t.Helper()
		r := lab.Run(t, "", []string{"HALLMARK_ROOT_PASSWORD=correct horse"}, lab.Program(t, "hallmark"), append([]string{"root"}, args...)...)
		if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
			t.Fatalf("hallmark root %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), r.Code, code, says, r.Stdout, r.Stderr)
		}
		return r.Stdout
	}
	key := func(name string) string { return filepath.Join(dir, name+".key") }
	ids := map[string]string{}
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		ids[name], _, _ = strings.Cut(hallmark(0, "", "key", key(name)), "\t")
	}
	hallmark(2, "exist", "key", key("alice")) // never overwritten
	ceremony := filepath.Join(dir, "ceremony")
	online := filepath.Join(trust, "tuf-online.json")

	hallmark(2, "threshold", "init", "--dir", ceremony, "--holder", key("alice")+".pub", "--threshold", "2", "--online", online)
	hallmark(0, "drafted", "init", "--dir", ceremony, "--holder", key("alice")+".pub", "--holder", key("bob")+".pub", "--holder", key("carol")+".pub", "--threshold", "2", "--online", online)
	hallmark(2, "under way", "init", "--dir", ceremony, "--holder", key("alice")+".pub", "--threshold", "1", "--online", online)
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("alice"))
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("alice")) // twice is once
	hallmark(1, "1 of the 2", "publish", "--dir", ceremony, "--to", trust)
	hallmark(1, "not a root key", "sign", "--dir", ceremony, "--key", key("dave"))
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("carol"))
	hallmark(0, "2 of 3 holders", "show", "--dir", ceremony)
	hallmark(0, "published", "publish", "--dir", ceremony, "--to", trust)
	hallmark(0, "version 1", "verify", "--dir", ceremony)
	served := func(path string) func() bool {
		return func() bool {
			resp, err := http.Get(l.URL + "/tuf/" + path) //nolint:noctx // loopback
			check(t, err)
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		}
	}
	eventually(t, "the server serves the repository", served("1.root.json"))
	two, three, u := newCosign(t, l, stock.CosignV2), newCosign(t, l, stock.CosignV3), user{t.TempDir()}
	for _, c := range []cosign{two, three} {
		c.verifies(t, l, image)
	}
	u.wants(t, l, 0, "verified", image)

	// A new timestamp key of the server, alice leaves and dave comes: one version.
	server(t, l, 0, "made", "keys", "rotate", "tuf-timestamp", "--wait", "1s")
	hallmark(0, "drafted", "next", "--dir", ceremony, "--add-holder", key("dave")+".pub", "--remove-holder", ids["alice"], "--online", online)
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("bob"))
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("alice"))
	hallmark(1, "1 of the 2 that version 2", "publish", "--dir", ceremony, "--to", trust) // two of the old, one of the new
	hallmark(0, "signed", "sign", "--dir", ceremony, "--key", key("dave"))
	hallmark(0, "published", "publish", "--dir", ceremony, "--to", trust)
	eventually(t, "the server serves version 2", served("2.root.json"))
	eventually(t, "the old timestamp key is done", func() bool { return strings.Contains(server(t, l, 0, "", "keys", "status"), "done") })
	for _, c := range []cosign{two, three, newCosign(t, l, stock.CosignV2), newCosign(t, l, stock.CosignV3)} {
		c.verifies(t, l, image)
	}
	u.wants(t, l, 0, "verified", image)
	server(t, l, 1, "exists", "tuf", "init", "--root-keys", t.TempDir())

	// Somebody else's root in the folder is refused, and what was there is served.
	check(t, os.WriteFile(filepath.Join(trust, "3.root.json"), []byte(`{"signed":{},"signatures":[]}`), 0o600))
	eventually(t, "the server complains", func() bool { return strings.Contains(l.Log(), "trust material is not up to date") })
	u.wants(t, l, 0, "verified", image)
	check(t, os.Remove(filepath.Join(trust, "3.root.json")))
}

// TestOlderDeployment: one that was made before there was a repository gets one
// while it runs.
func TestOlderDeployment(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{})
	for _, pattern := range []string{"keys/tuf-*", "trust/tuf-online.json", "trust/revocations.json"} {
		files, err := filepath.Glob(filepath.Join(l.Dir, pattern))
		check(t, err)
		for _, file := range files {
			check(t, os.Remove(file))
		}
	}
	image := l.PushSmall(t, "acme/app", "v1")
	sign(t, l, image)
	server(t, l, 1, "no trust repository", "keys", "rotate", "tuf-snapshot")
	server(t, l, 2, "inside the deployment", "tuf", "init", "--root-keys", filepath.Join(l.Dir, "root-keys"))
	server(t, l, 0, "initialised", "tuf", "init", "--root-keys", t.TempDir())
	user{t.TempDir()}.wants(t, l, 0, "verified", image)
	newCosign(t, l, stock.CosignV3).verifies(t, l, image)
	if r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image); r.Code != 0 {
		t.Error(r.Stderr)
	}
}
