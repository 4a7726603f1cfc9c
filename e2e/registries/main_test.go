// SPDX-License-Identifier: Apache-2.0

// Package registries tests how the service gets on with registries: those that
// want a password, a token or a certificate of their own, those that send it
// elsewhere, those that are shared with other writers, and those that lie.
package registries

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// genesis is how many entries a v1 log begins with.
const genesis = 1

func TestMain(m *testing.M) { lab.Main(m) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// push pushes a small random image and returns it by digest.
func push(t testing.TB, host, repository string, options ...remote.Option) string {
	t.Helper()
	img, err := random.Image(64, 1)
	check(t, err)
	tag, err := name.NewTag(host + "/" + repository + ":1")
	check(t, err)
	check(t, remote.Write(tag, img, append(options, remote.WithContext(t.Context()))...))
	digest, err := img.Digest()
	check(t, err)
	return tag.Context().Digest(digest.String()).String()
}

// sign signs as a CI job and wants an exit code.
func sign(t testing.TB, l *lab.Lab, code int, image string) (signer.Receipt, string) {
	t.Helper()
	r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image, "-o", "json")
	if r.Code != code {
		t.Fatalf("sign %s: exit code %d, want %d: %s", image, r.Code, code, r.Stderr)
	}
	var receipt signer.Receipt
	if code == 0 {
		check(t, json.Unmarshal([]byte(r.Stdout), &receipt))
	}
	return receipt, r.Stderr
}

// bundles are those that a registry has for an image.
func bundles(t testing.TB, image string, registry oci.Registry, keychain authn.Keychain) []oci.StoredBundle {
	t.Helper()
	client, err := oci.New(oci.Config{Registries: []oci.Registry{registry}, Keychain: keychain})
	check(t, err)
	subject, err := client.Resolve(t.Context(), image)
	check(t, err)
	found, err := client.Bundles(t.Context(), subject)
	check(t, err)
	return found
}

// decisions are the audit record of a stopped deployment on SQLite.
func decisions(t testing.TB, l *lab.Lab) []store.Event {
	t.Helper()
	db, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(l.Dir, "hallmark.db"))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	events, err := db.Events(t.Context(), store.EventQuery{})
	check(t, err)
	return events
}

// reconfigure restarts the service with other words about its registry.
func reconfigure(t testing.TB, l *lab.Lab, registry string) {
	t.Helper()
	l.Stop(t)
	path := filepath.Join(l.Dir, "hallmark.yaml")
	raw, err := os.ReadFile(path)
	check(t, err)
	before, rest, ok := strings.Cut(string(raw), "registry: {")
	_, after, found := strings.Cut(rest, "\n")
	if !ok || !found {
		t.Fatal("the configuration has no registry")
	}
	check(t, os.WriteFile(path, fmt.Appendf(nil, "%sregistry: {host: %q, %s\n%s", before, l.Registry, registry, after), 0o600))
	l.Serve(t)
}

// endsWith stops a deployment and checks that it has signed so many things, and
// logged no others.
func endsWith(t testing.TB, l *lab.Lab, signatures int) {
	t.Helper()
	l.Stop(t)
	signed := 0
	for _, e := range decisions(t, l) {
		if e.Decision == signer.DecisionSigned {
			signed++
		}
	}
	if report := l.Fsck(t); signed != signatures || !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+signatures)) {
		t.Errorf("%d signatures, want %d:\n%s", signed, signatures, report)
	}
}

// user is a keychain of one account, for whatever host the test asks.
type user struct{ name, password string }

func (u user) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: u.name, Password: u.password}, nil
}

// authority is a certificate authority of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// transport is one that believes this authority only.
func (a *authority) transport() http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}
}

// file writes the authority's certificate.
func (a *authority) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
	return path
}

// issue makes a certificate for this machine, as files and for a server of the
// test.
func (a *authority) issue(t testing.TB) (certFile, keyFile string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	check(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	cert, private := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	check(t, os.WriteFile(certFile, cert, 0o600))
	check(t, os.WriteFile(keyFile, private, 0o600))
	pair, err = tls.X509KeyPair(cert, private)
	check(t, err)
	return certFile, keyFile, pair
}
