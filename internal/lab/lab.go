// SPDX-License-Identifier: Apache-2.0

// Package lab is a whole Hallmark for tests, on loopback and in a temporary
// folder: the real hallmark-server, an OCI registry that can be told to
// misbehave, and the development token issuer. Tests start one, ask it for
// tokens, images and signatures, kill it, start it again, and have fsck look.
package lab

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

// Options change a Lab from its defaults.
type Options struct {
	// Registry is the host:port of a registry that runs already. Default: one
	// in this process, with the referrers API.
	Registry string
	// Wrap stands between the service and the registry in this process, and
	// may misbehave.
	Wrap func(http.Handler) http.Handler
	// Writers is log.writers; default issued.
	Writers string
	// Identities is YAML of more identity sources, one "- {…}" a line.
	Identities string
	// Policy is the signing policy; default the shipped example.
	Policy []byte
}

// Lab is a running Hallmark.
type Lab struct {
	Dir      string // of the deployment
	URL      string // the service; also the audience of tokens
	AdminURL string
	Registry string // host:port of the central registry
	Issuer   *devissuer.Issuer

	server *process
}

// Start starts a Lab and ends it with the test.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	l := &Lab{Dir: t.TempDir(), Registry: o.Registry}
	if l.Registry == "" {
		l.Registry = serveRegistry(t, o.Wrap)
	}
	l.Issuer = serveIssuer(t)
	listen, admin := FreeAddress(t), FreeAddress(t)
	l.URL, l.AdminURL = "http://"+listen, "http://"+admin
	l.configure(t, o, listen, admin)
	init := Run(t, "", os.Environ(), Program(t, "hallmark-server"), "init", "--dir", l.Dir)
	if init.Code != 0 {
		t.Fatalf("hallmark-server init: %s", init.Stderr)
	}
	l.Serve(t)
	return l
}

func (l *Lab) configure(t testing.TB, o Options, listen, admin string) {
	t.Helper()
	if o.Writers == "" {
		o.Writers = "issued"
	}
	if o.Policy == nil {
		o.Policy = policyfiles.SigningPolicy
	}
	config := fmt.Sprintf(`origin: %s
listen: %s
admin: %s
registry: {host: "%s", insecure: true}
password: {file: password}
policy: signing-policy.yaml
log: {writers: %s}
identities:
- {name: github, provider: github, issuer: "%s", url: https://github.com}
- {name: gitlab, provider: gitlab, issuer: "%s", url: https://gitlab.com}
%s
`, l.URL, listen, admin, l.Registry, o.Writers, l.Issuer.URL(devissuer.GitHub), l.Issuer.URL(devissuer.GitLab), o.Identities)
	for name, content := range map[string][]byte{
		"hallmark.yaml": []byte(config), "password": []byte("correct horse battery staple\n"), "signing-policy.yaml": o.Policy,
	} {
		if err := os.WriteFile(filepath.Join(l.Dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TrustedRoot is the path of trusted_root.json.
func (l *Lab) TrustedRoot() string { return filepath.Join(l.Dir, "trust", "trusted_root.json") }

// Token returns a CI token for this service. Claims are NAME=VALUE; without
// any it is a push to refs/heads/main of acme/app.
func (l *Lab) Token(t testing.TB, provider string, claims ...string) string {
	t.Helper()
	overrides, err := devissuer.ParseClaims(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := l.Issuer.Mint(provider, l.URL, overrides, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Hallmark runs the CLI as a CI job with this token would, or without one when
// it is empty.
func (l *Lab) Hallmark(t testing.TB, token string, args ...string) Result {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "HALLMARK_URL=" + l.URL, "TRUSTED_ROOT=" + l.TrustedRoot()}
	if token != "" {
		env = append(env, "HALLMARK_ID_TOKEN="+token)
	}
	return Run(t, "", env, Program(t, "hallmark"), args...)
}

// serveRegistry runs go-containerregistry's registry.
func serveRegistry(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func serveIssuer(t testing.TB) *devissuer.Issuer {
	t.Helper()
	key, err := devissuer.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	// The issuer must know its URL before it can serve.
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	issuer, err := devissuer.New(key, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	handler = issuer.Handler()
	return issuer
}
