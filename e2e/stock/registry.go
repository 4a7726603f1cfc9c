// SPDX-License-Identifier: Apache-2.0

package stock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// registryStart bounds the wait for a registry's first answer. It starts in a
// tenth of a second on an idle machine.
const registryStart = 30 * time.Second

// pollPause is the pause between two looks at a registry that is starting.
const pollPause = 20 * time.Millisecond

// listening is the line by which the registry tells the port that the kernel
// chose. Choosing a port here would race with every other test.
var listening = regexp.MustCompile(`msg="listening on (127\.0\.0\.1:[0-9]+)(?:, tls)?"`)

// RegistryServer is a running CNCF distribution registry. It speaks plain HTTP
// on loopback, stores in a temporary folder and allows deletion. This registry
// has no referrers API, so clients list signatures by the fallback tag.
type RegistryServer struct {
	// Host is host:port, the first part of an image reference.
	Host string
	// Daemon is its process. Its port stays closed when it is stopped.
	*Daemon

	user, password string
	tls            *TLS
	token          *TokenAuth
}

// TLS makes a registry speak HTTPS.
type TLS struct {
	// CertFile and KeyFile are PEM.
	CertFile, KeyFile string
	// Roots are what its certificate is checked with when the test waits for
	// the first answer.
	Roots *x509.CertPool
}

// TokenAuth makes a registry take tokens of a token service (distribution's
// `auth.token`).
type TokenAuth struct {
	Realm   string // URL of the token service
	Service string // the tokens' audience
	Issuer  string
	JWKS    string // file with the token service's public keys
}

// RegistryOption changes how Registry starts.
type RegistryOption func(*RegistryServer)

// WithBasicAuth makes the registry refuse everybody but this user.
func WithBasicAuth(user, password string) RegistryOption {
	return func(r *RegistryServer) { r.user, r.password = user, password }
}

// WithTLS makes the registry speak HTTPS only.
func WithTLS(config TLS) RegistryOption { return func(r *RegistryServer) { r.tls = &config } }

// WithTokenAuth makes the registry refuse everybody without a token.
func WithTokenAuth(config TokenAuth) RegistryOption {
	return func(r *RegistryServer) { r.token = &config }
}

// Registry starts a registry and returns when it answers. It is stopped when
// the test ends; if the test failed, its log is printed.
func Registry(t testing.TB, options ...RegistryOption) *RegistryServer {
	t.Helper()
	r := &RegistryServer{}
	for _, o := range options {
		o(r)
	}
	r.Daemon = Command{Tool: "registry"}.Start(t, "serve", r.configFile(t))
	r.await(t)
	return r
}

// await waits until the registry has told its port and answers there.
func (r *RegistryServer) await(t testing.TB) {
	t.Helper()
	deadline := time.After(registryStart)
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		if m := listening.FindStringSubmatch(r.Output()); m != nil {
			r.Host = m[1]
			if r.answers(t.Context()) {
				return
			}
		}
		select {
		case <-r.Exited():
			t.Fatalf("registry ended early:\n%s", r.Output())
		case <-deadline:
			t.Fatalf("registry did not answer within %s:\n%s", registryStart, r.Output())
		case <-tick.C:
		}
	}
}

func (r *RegistryServer) answers(ctx context.Context) bool {
	scheme, client := "http", http.DefaultClient
	if r.tls != nil {
		scheme = "https"
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: r.tls.Roots, MinVersion: tls.VersionTLS12}}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.Host+"/v2/", nil)
	if err != nil {
		return false
	}
	if r.user != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK || r.token != nil && resp.StatusCode == http.StatusUnauthorized
}

// configFile writes the registry's configuration. JSON is YAML.
func (r *RegistryServer) configFile(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "info"},
		"storage": map[string]any{
			"filesystem": map[string]any{"rootdirectory": filepath.Join(dir, "data")},
			"delete":     map[string]any{"enabled": true},
		},
	}
	serve := map[string]any{"addr": "127.0.0.1:0"}
	if r.tls != nil {
		serve["tls"] = map[string]any{"certificate": r.tls.CertFile, "key": r.tls.KeyFile}
	}
	config["http"] = serve
	if r.token != nil {
		config["auth"] = map[string]any{"token": map[string]any{
			"realm": r.token.Realm, "service": r.token.Service, "issuer": r.token.Issuer, "jwks": r.token.JWKS,
		}}
	}
	if r.user != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(r.password), bcrypt.MinCost)
		if err != nil {
			t.Fatalf("hash registry password: %v", err)
		}
		users := filepath.Join(dir, "htpasswd")
		write(t, users, fmt.Appendf(nil, "%s:%s\n", r.user, hash))
		config["auth"] = map[string]any{"htpasswd": map[string]any{"realm": "stock", "path": users}}
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("encode registry configuration: %v", err)
	}
	path := filepath.Join(dir, "config.yml")
	write(t, path, b)
	return path
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
