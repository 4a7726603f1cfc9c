// SPDX-License-Identifier: Apache-2.0

// Package lab is a whole Hallmark for tests, on loopback and in a temporary
// folder: the real hallmark-server, an OCI registry that can be told to
// misbehave, and the development token issuer. Tests start one, ask it for
// tokens, images and signatures, kill it, start it again, and have fsck look.
//
// With Options.Database it keeps its logs in PostgreSQL, and Replica adds more
// servers to the same deployment:
//
//	pg := pglab.Start(t)
//	l := lab.Start(t, lab.Options{Database: pg.NewDatabase(t), Writers: "open"})
//	second, third := l.Replica(t), l.Replica(t)
//	second.Kill(t) // kill -9; l and third go on
//	second.Serve(t)
//	l.Fsck(t)
package lab

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	// RegistryConfig is YAML of what else the configuration says about the
	// registry: the members behind its host, and further lines below. Default:
	// plain HTTP.
	RegistryConfig string
	// Wrap stands between the service and the registry in this process, and
	// may misbehave.
	Wrap func(http.Handler) http.Handler
	// Writers is log.writers; default issued.
	Writers string
	// Identities is YAML of more identity sources, one "- {…}" a line.
	Identities string
	// Without names identity sources of the development issuer that are not
	// wanted, because Identities has others of that name.
	Without []string
	// Audience is the audience of tokens; default the origin.
	Audience string
	// Policy is the signing policy; default the shipped example.
	Policy []byte
	// Database is the URL of an empty PostgreSQL database, with the password in
	// it (package pglab makes such). Default: SQLite in the deployment's folder.
	Database string
	// BundleLog is signing.bundleLog; default that of the service.
	BundleLog string
	// Signing is YAML of further members of signing, in the flow style:
	// "legacyTags: true, keys: [{name: release, signatures: file}]".
	Signing string
	// RootKeys signs the first root of the trust repository with a key outside of
	// the deployment's folder, so that there is a repository at /tuf.
	RootKeys bool
	// Config is YAML of more members of hallmark.yaml.
	Config string
	// MaxUses is how many requests a token of the lab's issuers serves; default
	// that of the service.
	MaxUses int
	// LogKeys is YAML of registered keys, one "- {…}" a line. Paths in it are
	// relative to the deployment's folder, or absolute.
	LogKeys string
	// Fulcio is YAML of the member fulcio, "{audience: sigstore}"; default: off.
	Fulcio string
}

// Lab is a running Hallmark: one server of a deployment. Its replicas are Labs
// too.
type Lab struct {
	Dir      string // of the deployment
	Origin   string // of the deployment: the audience of tokens
	URL      string // this server; of the first one it is the origin
	AdminURL string
	Registry string // host:port of the central registry
	Issuer   *devissuer.Issuer
	// RootKeys is the folder with the key of the trust repository's root.
	RootKeys string

	listen, admin string // addresses
	server        *process
}

// Start starts a Lab and ends it with the test.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	l := &Lab{Dir: t.TempDir(), Registry: o.Registry}
	if l.Registry == "" {
		l.Registry = serveRegistry(t, o.Wrap)
	}
	l.Issuer = serveIssuer(t)
	l.takeAddresses(t)
	l.Origin = l.URL
	l.configure(t, o)
	create := []string{"init"}
	if o.RootKeys {
		l.RootKeys = filepath.Join(t.TempDir(), "root-keys")
		create = append(create, "--root-keys", l.RootKeys)
	}
	if init := l.Server(t, create...); init.Code != 0 {
		t.Fatalf("hallmark-server init: %s", init.Stderr)
	}
	l.Serve(t)
	return l
}

// Replica starts another server of the same deployment: the same folder, keys
// and database, at other addresses. It needs Options.Database, because only one
// process may have a SQLite file. It has its own Serve, Kill and Stop, and the
// test ends it.
func (l *Lab) Replica(t testing.TB) *Lab {
	t.Helper()
	r := &Lab{Dir: l.Dir, Origin: l.Origin, Registry: l.Registry, Issuer: l.Issuer}
	r.takeAddresses(t)
	r.Serve(t)
	return r
}

func (l *Lab) takeAddresses(t testing.TB) {
	t.Helper()
	l.listen, l.admin = FreeAddress(t), FreeAddress(t)
	l.URL, l.AdminURL = "http://"+l.listen, "http://"+l.admin
}

// Server runs a command of hallmark-server on the deployment's folder to its
// end: l.Server(t, "log", "list", "-o", "json").
func (l *Lab) Server(t testing.TB, command ...string) Result {
	t.Helper()
	return Run(t, "", os.Environ(), Program(t, "hallmark-server"), append(command, "--dir", l.Dir)...)
}

func (l *Lab) configure(t testing.TB, o Options) {
	t.Helper()
	if o.Writers == "" {
		o.Writers = "issued"
	}
	if o.Policy == nil {
		o.Policy = policyfiles.SigningPolicy
	}
	if o.RegistryConfig == "" {
		o.RegistryConfig = "insecure: true}"
	}
	sources := l.Issuer.Sources(o.Without...)
	if o.MaxUses > 0 {
		sources = strings.ReplaceAll(sources, "- {name:", fmt.Sprintf("- {maxUses: %d, name:", o.MaxUses))
	}
	config := fmt.Sprintf(`origin: %[1]s
listen: %[2]s
admin: %[3]s
registry: {host: "%[4]s", %[5]s
password: {file: password}
policy: signing-policy.yaml
identities:
%[6]s%[7]s
log:
  writers: %[8]s
`, l.Origin, l.listen, l.admin, l.Registry, o.RegistryConfig, sources, o.Identities, o.Writers)
	files := map[string]string{"password": "correct horse battery staple\n", "signing-policy.yaml": string(o.Policy)}
	if o.LogKeys != "" {
		config += "  keys:\n  " + strings.ReplaceAll(strings.TrimSpace(o.LogKeys), "\n", "\n  ") + "\n"
	}
	if o.Audience != "" {
		config += "audience: " + o.Audience + "\n"
	}
	if o.BundleLog != "" || o.Signing != "" {
		signing := []string{o.Signing}
		if o.BundleLog != "" {
			signing = append(signing, "bundleLog: "+o.BundleLog)
		}
		config += "signing: {" + strings.Trim(strings.Join(signing, ", "), ", ") + "}\n"
	}
	if o.Config != "" {
		config += o.Config + "\n"
	}
	if o.Fulcio != "" {
		config += "fulcio: " + o.Fulcio + "\n"
	}
	if o.Database != "" {
		u, password := splitPassword(t, o.Database)
		config += "database: {url: \"" + u + "\", passwordFile: db-password}\n"
		files["db-password"] = password + "\n"
	}
	files["hallmark.yaml"] = config
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// splitPassword takes the password out of a database URL: the service wants it
// in a file.
func splitPassword(t testing.TB, raw string) (withoutPassword, password string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal("database: not a URL") // without its password
	}
	password, _ = u.User.Password()
	u.User = url.User(u.User.Username())
	return u.String(), password
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
	token, err := l.Issuer.Mint(provider, l.Origin, overrides, time.Now())
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

// NewRegistry is go-containerregistry's registry, empty, in memory, with the
// referrers API.
func NewRegistry() http.Handler {
	return registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
}

// serveRegistry runs go-containerregistry's registry.
func serveRegistry(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	handler := NewRegistry()
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
