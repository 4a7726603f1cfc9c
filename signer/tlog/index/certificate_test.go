// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	fulcio "github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// certificate makes a signing certificate.
func certificate(t testing.TB, key crypto.Signer, adjust func(*x509.Certificate), ext *fulcio.Extensions) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Minute)}
	if ext != nil {
		rendered, err := ext.Render()
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = rendered
	}
	if adjust != nil {
		adjust(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What a certificate is indexed under is found by what people type, in all the
// ways in which they type it.
func TestCertificateIsFoundByWhatPeopleType(t *testing.T) {
	const workflow = "https://github.com/Acme/App/.github/workflows/release.yml"
	uri, err := url.Parse(workflow + "@refs/tags/v1.0")
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, newKey(t), func(c *x509.Certificate) {
		c.URIs = []*url.URL{uri}
		c.EmailAddresses = []string{"Release@Corp.Example"}
		c.DNSNames = []string{"build.corp.example"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	}, &fulcio.Extensions{
		Issuer:                 "https://token.actions.githubusercontent.com",
		BuildSignerURI:         "https://github.com/Acme/shared/.github/workflows/sign.yml@refs/heads/main",
		BuildSignerDigest:      hex40,
		RunnerEnvironment:      "self-hosted",
		SourceRepositoryURI:    "https://github.com/Acme/App",
		SourceRepositoryDigest: hex40,
		SourceRepositoryRef:    "refs/tags/v1.0",
		BuildConfigURI:         workflow + "@refs/tags/v1.0",
		BuildTrigger:           "push",
	})
	keys := index.OfCertificate(cert)
	publicKey, err := index.PublicKey(cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{
		"release@corp.example", "email:Release@corp.example", "identity:release@corp.example", "subject: RELEASE@CORP.EXAMPLE ",
		"identity:" + uri.String(), "SAN:" + strings.ToUpper(uri.String()), "identity:build.corp.example", "identity:192.0.2.1",
		"issuer:https://token.actions.githubusercontent.com", "issuer:https://token.actions.githubusercontent.com/", "issuer:token.actions.githubusercontent.com",
		"repository:https://github.com/Acme/App", "repo:github.com/acme/app", "repository:git@github.com:acme/app.git", "repo:https://github.com/acme/app.git",
		"commit:" + hex40, "commit:" + strings.ToUpper(hex40),
		"workflow:" + workflow, "workflow:" + workflow + "@refs/tags/v1.0", "workflow:github.com/acme/app/.github/workflows/release.yml",
		"workflow:github.com/acme/shared/.github/workflows/sign.yml", "workflow:https://github.com/acme/shared/.github/workflows/sign.yml@refs/heads/main",
		publicKey, "key:sha256:" + strings.TrimPrefix(publicKey, "publickey:"),
	} {
		term, err := index.ParseTerm(typed)
		if err != nil || !slices.Contains(keys, term) {
			t.Errorf("%q is %q, %v, not among %q", typed, term, err, keys)
		}
	}
	for _, other := range []string{"repo:github.com/acme/app2", "workflow:github.com/acme/app/.github/workflows/release.yml@refs/tags/v2", "email:corp.example"} {
		if term, err := index.ParseTerm(other); err != nil || slices.Contains(keys, term) {
			t.Errorf("%q is found: %q, %v", other, term, err)
		}
	}
	for _, key := range keys {
		if again, err := index.ParseTerm(key); err != nil || again != key {
			t.Errorf("key %q as a term: %q, %v", key, again, err)
		}
	}
}

func TestOldAndOddCertificates(t *testing.T) {
	old := index.OfCertificate(certificate(t, newKey(t), nil, &fulcio.Extensions{
		Issuer: "https://idp.example", GithubWorkflowRepository: "acme/app", GithubWorkflowSHA: hex40,
	}))
	for _, want := range []string{"repository:github.com/acme/app", "commit:" + hex40, "issuer:idp.example"} {
		if !slices.Contains(old, want) {
			t.Errorf("%q is not among %q", want, old)
		}
	}
	if plain := index.OfCertificate(certificate(t, newKey(t), nil, nil)); len(plain) != 1 || !strings.HasPrefix(plain[0], "publickey:") {
		t.Errorf("a certificate that says nothing: %q", plain)
	}
	san, err := cryptoutils.MarshalOtherNameSAN("user name!", true)
	if err != nil {
		t.Fatal(err)
	}
	named := index.OfCertificate(certificate(t, newKey(t), func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, *san) }, nil))
	if !slices.Contains(named, "identity:user name!") {
		t.Errorf("user name: %q", named)
	}
	broken := certificate(t, newKey(t), func(c *x509.Certificate) {
		c.EmailAddresses = []string{"a@b.example"}
		c.ExtraExtensions = []pkix.Extension{{Id: fulcio.OIDIssuerV2, Value: []byte{0xff, 0xff}}}
	}, nil)
	if keys := index.OfCertificate(broken); !slices.Contains(keys, "identity:a@b.example") || len(keys) != 2 {
		t.Errorf("extensions that cannot be read: %q", keys)
	}
	var names []string
	for range 100 {
		names = append(names, strings.Repeat("x", len(names)+1)+".example", strings.Repeat("y", tlog.MaxKey)+".example")
	}
	many := index.OfCertificate(certificate(t, newKey(t), func(c *x509.Certificate) { c.DNSNames = names }, &fulcio.Extensions{Issuer: "https://idp.example"}))
	if len(many) != tlog.MaxKeys || slices.ContainsFunc(many, func(k string) bool { return len(k) > tlog.MaxKey }) {
		t.Errorf("%d keys", len(many))
	}
}

// Whatever a certificate says, whoever types the same finds it.
func FuzzOfCertificate(f *testing.F) {
	f.Add("https://github.com/Acme/App.git", "https://idp.example/", "a@b", hex40, "https://h/w.yml@refs/heads/main")
	f.Add("git@h:a", " ://", "\xff", "X", "@")
	f.Add("ssh://u@h/a", "HTTP://İ", "", "", "w@")
	key := newKey(f)
	f.Fuzz(func(t *testing.T, repository, issuer, user, commit, workflow string) {
		for _, s := range []string{repository, issuer, user, commit, workflow} {
			if !utf8.ValidString(s) {
				return // no certificate says it
			}
		}
		san, err := cryptoutils.MarshalOtherNameSAN(user, true)
		if err != nil || issuer == "" {
			return // as above
		}
		ext := fulcio.Extensions{Issuer: issuer, SourceRepositoryURI: repository, SourceRepositoryDigest: commit, BuildConfigURI: workflow}
		keys := index.OfCertificate(certificate(t, key, func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, *san) }, &ext))
		for _, typed := range []string{"repository:" + repository, "issuer:" + issuer, "identity:" + user, "commit:" + commit, "workflow:" + workflow} {
			if term, err := index.ParseTerm(typed); err == nil && !slices.Contains(keys, term) {
				t.Errorf("%q is %q, not among %q", typed, term, keys)
			}
		}
		for _, k := range keys {
			if _, value, _ := strings.Cut(k, ":"); value == "" || len(k) > tlog.MaxKey {
				t.Errorf("key %q", k)
			}
		}
	})
}
