// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-dev/hallmark/signer"
)

// epoch is a fixed time for certificates: tests do not depend on today.
var epoch = time.Date(2026, 3, 4, 5, 6, 7, 800_000_000, time.UTC)

const testSAN = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"

// lab is an authority with everything it was made from.
type lab struct {
	cfg     Config
	ca      *CA
	rootKey crypto.Signer
}

func newLab(t *testing.T, change ...func(*Config)) lab {
	t.Helper()
	rootKey, issuingKey, ctKey := newP256(t), newP256(t), newP256(t)
	rootCert, err := NewRoot(rootKey, Name{"acme", "root"}, epoch.Add(-time.Hour))
	check(t, err)
	issuing, err := NewIntermediate(rootCert, rootKey, issuingKey.Public(), Name{"acme", "issuing"}, epoch.Add(-time.Hour))
	check(t, err)
	l := lab{rootKey: rootKey, cfg: Config{
		Chain: []*x509.Certificate{issuing, rootCert}, Signer: issuingKey, CTSigner: ctKey,
		Clock: func() time.Time { return epoch },
	}}
	for _, c := range change {
		c(&l.cfg)
	}
	l.ca, err = New(l.cfg)
	check(t, err)
	return l
}

func newP256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// allExtensions sets every field, so that one that gets lost shows.
func allExtensions() certificate.Extensions {
	return certificate.Extensions{
		Issuer:                              "https://token.actions.githubusercontent.com",
		GithubWorkflowTrigger:               "push",
		GithubWorkflowSHA:                   "5b3c3f3a9d1e4c0f8a7b6c5d4e3f2a1b0c9d8e7f",
		GithubWorkflowName:                  "release",
		GithubWorkflowRepository:            "acme/app",
		GithubWorkflowRef:                   "refs/heads/main",
		BuildSignerURI:                      testSAN,
		BuildSignerDigest:                   "5b3c3f3a9d1e4c0f8a7b6c5d4e3f2a1b0c9d8e7f",
		RunnerEnvironment:                   "github-hosted",
		SourceRepositoryURI:                 "https://github.com/acme/app",
		SourceRepositoryDigest:              "5b3c3f3a9d1e4c0f8a7b6c5d4e3f2a1b0c9d8e7f",
		SourceRepositoryRef:                 "refs/heads/main",
		SourceRepositoryIdentifier:          "1234567",
		SourceRepositoryOwnerURI:            "https://github.com/acme",
		SourceRepositoryOwnerIdentifier:     "7654321",
		BuildConfigURI:                      testSAN,
		BuildConfigDigest:                   "5b3c3f3a9d1e4c0f8a7b6c5d4e3f2a1b0c9d8e7f",
		BuildTrigger:                        "push",
		RunInvocationURI:                    "https://github.com/acme/app/actions/runs/1/attempts/1",
		SourceRepositoryVisibilityAtSigning: "private",
		DeploymentEnvironment:               "production",
		Subject:                             "repo:acme/app:ref:refs/heads/main",
	}
}

func request(t *testing.T) signer.CertificateRequest {
	t.Helper()
	return signer.CertificateRequest{SAN: testSAN, Extensions: allExtensions(), PublicKey: newP256(t).Public()}
}

// material is the trust root that verifies a lab's certificates.
func (l lab) material(t *testing.T) root.TrustedMaterial {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(l.cfg.CTSigner.Public())
	check(t, err)
	id := sha256.Sum256(spki)
	m, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: l.cfg.Chain[1], Intermediates: l.cfg.Chain[:1]}},
		map[string]*root.TransparencyLog{fmt.Sprintf("%x", id): {
			ID: id[:], PublicKey: l.cfg.CTSigner.Public(), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			ValidityPeriodStart: epoch.Add(-time.Hour),
		}}, nil, nil)
	check(t, err)
	return m
}

func TestIssueIsAcceptedBySigstore(t *testing.T) {
	ed25519Key, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	l := newLab(t)
	for name, key := range map[string]crypto.PublicKey{
		"P-256": newP256(t).Public(), "P-384": p384.Public(), "Ed25519": ed25519Key, "RSA": rsaKey.Public(),
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t)
			req.PublicKey = key
			got, err := l.ca.Issue(t.Context(), req)
			check(t, err)
			leaf, err := x509.ParseCertificate(got.Leaf)
			check(t, err)
			chains, err := verify.VerifyLeafCertificate(epoch, leaf, l.material(t))
			check(t, err)
			if err := verify.VerifySignedCertificateTimestamp(chains, 1, l.material(t)); err != nil {
				t.Errorf("sigstore-go refuses the SCT: %v", err)
			}
			if err := verify.VerifySignedCertificateTimestamp(chains, 1, newLab(t).material(t)); err == nil {
				t.Error("the SCT verifies under another log's key")
			}
			if _, err := verify.VerifyLeafCertificate(epoch.Add(LeafLife+time.Second), leaf, l.material(t)); err == nil {
				t.Error("certificate is valid after ten minutes")
			}
			extensions, err := certificate.ParseExtensions(leaf.Extensions)
			check(t, err)
			if extensions != allExtensions() {
				t.Errorf("extensions %+v", extensions)
			}
		})
	}
}

func TestIssuedCertificate(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Backdate = 5 * time.Second })
	got, err := l.ca.Issue(t.Context(), request(t))
	check(t, err)
	leaf, err := x509.ParseCertificate(got.Leaf)
	check(t, err)
	start := epoch.Add(-5 * time.Second).Truncate(time.Second)
	if !leaf.NotBefore.Equal(start) || !leaf.NotAfter.Equal(start.Add(10*time.Minute)) {
		t.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	if !got.NotBefore.Equal(leaf.NotBefore) || !got.NotAfter.Equal(leaf.NotAfter) {
		t.Errorf("answer says %s to %s", got.NotBefore, got.NotAfter)
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != testSAN {
		t.Errorf("names %v", leaf.URIs)
	}
	if len(leaf.SubjectKeyId) == 0 || string(leaf.AuthorityKeyId) != string(l.cfg.Chain[0].SubjectKeyId) {
		t.Errorf("key ids %x and %x", leaf.SubjectKeyId, leaf.AuthorityKeyId)
	}
	if len(got.Chain) != 2 || string(got.Chain[0]) != string(l.cfg.Chain[0].Raw) || string(got.Chain[1]) != string(l.cfg.Chain[1].Raw) {
		t.Error("chain is not issuing certificate, root")
	}
	again, err := l.ca.Issue(t.Context(), request(t))
	check(t, err)
	second, err := x509.ParseCertificate(again.Leaf)
	check(t, err)
	if second.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
}

func TestIssueRefusesRequests(t *testing.T) {
	l := newLab(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // weak on purpose
	check(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	check(t, err)
	for _, tt := range []struct {
		name   string
		change func(*signer.CertificateRequest)
	}{
		{"no name", func(r *signer.CertificateRequest) { r.SAN = "" }},
		{"name without a scheme", func(r *signer.CertificateRequest) { r.SAN = "github.com/acme/app" }},
		{"name without a host", func(r *signer.CertificateRequest) { r.SAN = "https:///acme/app" }},
		{"mail address", func(r *signer.CertificateRequest) { r.SAN = "mailto:dev@acme.example" }},
		{"name with a password", func(r *signer.CertificateRequest) { r.SAN = "https://user:pass@github.com/acme" }},
		{"name that changes when parsed", func(r *signer.CertificateRequest) { r.SAN = "HTTPS://github.com/acme" }},
		{"name with a line break", func(r *signer.CertificateRequest) { r.SAN = testSAN + "\n" }},
		{"name with a space", func(r *signer.CertificateRequest) { r.SAN = "https://github.com/acme app" }},
		{"name outside ASCII", func(r *signer.CertificateRequest) { r.SAN = "https://github.com/äcme" }},
		{"long name", func(r *signer.CertificateRequest) { r.SAN = testSAN + strings.Repeat("a", maxSAN) }},
		{"no issuer", func(r *signer.CertificateRequest) { r.Extensions.Issuer = "" }},
		{"huge extension", func(r *signer.CertificateRequest) { r.Extensions.BuildConfigURI = strings.Repeat("a", maxExtensions) }},
		{"extension that is not UTF-8", func(r *signer.CertificateRequest) { r.Extensions.BuildTrigger = "\xff" }},
		{"no key", func(r *signer.CertificateRequest) { r.PublicKey = nil }},
		{"RSA 1024", func(r *signer.CertificateRequest) { r.PublicKey = weak.Public() }},
		{"P-224", func(r *signer.CertificateRequest) { r.PublicKey = p224.Public() }},
		{"P-256 point off the curve", func(r *signer.CertificateRequest) {
			r.PublicKey = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // no other way to make a bad point
		}},
		{"nil P-256", func(r *signer.CertificateRequest) { r.PublicKey = (*ecdsa.PublicKey)(nil) }},
		{"nil RSA", func(r *signer.CertificateRequest) { r.PublicKey = (*rsa.PublicKey)(nil) }},
		{"RSA with exponent 3", func(r *signer.CertificateRequest) {
			r.PublicKey = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 3}
		}},
		{"short Ed25519", func(r *signer.CertificateRequest) { r.PublicKey = ed25519.PublicKey("short") }},
		{"private key", func(r *signer.CertificateRequest) { r.PublicKey = newP256(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t)
			tt.change(&req)
			got, err := l.ca.Issue(t.Context(), req)
			if !errors.Is(err, signer.ErrBadRequest) || got.Leaf != nil {
				t.Errorf("certificate %v, error %v; want ErrBadRequest", got.Leaf != nil, err)
			}
		})
	}
}

func TestIssueFailsWithoutBlame(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newLab(t).ca.Issue(cancelled, request(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	now := epoch
	l := newLab(t, func(c *Config) { c.Clock = func() time.Time { return now } })
	now = l.cfg.Chain[0].NotAfter.Add(-time.Minute)
	if _, err := l.ca.Issue(t.Context(), request(t)); err == nil || errors.Is(err, signer.ErrBadRequest) || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("issuing certificate about to end: %v", err)
	}
	broken := newLab(t, func(c *Config) { c.CTSigner = liar{c.CTSigner} })
	if _, err := broken.ca.Issue(t.Context(), request(t)); err == nil || !strings.Contains(err.Error(), "certificate timestamp") {
		t.Errorf("SCT key that signs something else: %v", err)
	}
}

// liar signs, but not what it is given: a KMS with the wrong key behind it.
type liar struct{ crypto.Signer }

func (l liar) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	other := sha256.Sum256(digest)
	return l.Signer.Sign(r, other[:], opts)
}

func TestIssueConcurrently(t *testing.T) {
	l := newLab(t)
	var wg sync.WaitGroup
	for range 16 {
		req := request(t)
		wg.Go(func() {
			if _, err := l.ca.Issue(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	good := newLab(t).cfg
	other := newLab(t).cfg
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	for _, tt := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no chain", func(c *Config) { c.Chain = nil }, "chain of 0"},
		{"root alone", func(c *Config) { c.Chain = c.Chain[1:] }, "chain of 1"},
		{"wrong order", func(c *Config) { c.Chain = []*x509.Certificate{c.Chain[1], c.Chain[0]} }, "issuing first"},
		{"another root of the same name", func(c *Config) { c.Chain = []*x509.Certificate{c.Chain[0], other.Chain[1]} }, "not signed"},
		{"another key", func(c *Config) { c.Signer = other.Signer }, "does not belong"},
		{"issuer that may make authorities", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) { tmpl.MaxPathLenZero = false })
		}, "further authorities"},
		{"issuer for every use", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) { tmpl.ExtKeyUsage = nil })
		}, "codeSigning alone"},
		{"issuer that is not a CA", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) { tmpl.IsCA, tmpl.MaxPathLenZero = false, false })
		}, "not a CA"},
		{"no key", func(c *Config) { c.Signer = nil }, "compulsory"},
		{"no SCT key", func(c *Config) { c.CTSigner = nil }, "compulsory"},
		{"one key for both", func(c *Config) { c.CTSigner = c.Signer }, "same"},
		{"Ed25519 SCT key", func(c *Config) { c.CTSigner = ed25519.NewKeyFromSeed(make([]byte, 32)) }, "ECDSA P-256"},
		{"RSA issuing key", func(c *Config) { c.Signer = rsaKey }, "does not belong"},
		{"expired", func(c *Config) { c.Clock = func() time.Time { return c.Chain[0].NotAfter.Add(time.Hour) } }, "not now"},
		{"not yet valid", func(c *Config) { c.Clock = func() time.Time { return c.Chain[0].NotBefore.Add(-time.Hour) } }, "not now"},
		{"backdate into the future", func(c *Config) { c.Backdate = -time.Second }, "backdate"},
		{"backdate too far", func(c *Config) { c.Backdate = MaxBackdate + 1 }, "backdate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			cfg.Chain = slices.Clone(good.Chain)
			tt.change(&cfg)
			got, err := New(cfg)
			if err == nil || got != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

// recertified replaces the configuration's root and returns an intermediate of
// it that differs from a good one by the change.
func recertified(t *testing.T, c *Config, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	rootKey := newP256(t)
	rootCert, err := NewRoot(rootKey, Name{"acme", "root"}, epoch.Add(-time.Hour))
	check(t, err)
	c.Chain[1] = rootCert
	tmpl, err := authorityTemplate(c.Signer.Public(), Name{"acme", "issuing"}, epoch.Add(-time.Hour), rootCert.NotAfter)
	check(t, err)
	tmpl.MaxPathLenZero, tmpl.ExtKeyUsage = true, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	change(tmpl)
	cert, err := certify(tmpl, rootCert, c.Signer.Public(), rootKey)
	check(t, err)
	return cert
}

func TestAuthorities(t *testing.T) {
	l := newLab(t)
	issuing, rootCert := l.cfg.Chain[0], l.cfg.Chain[1]
	if !rootCert.IsCA || rootCert.MaxPathLenZero || len(rootCert.ExtKeyUsage) != 0 || rootCert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Error("root is not in the profile")
	}
	if !issuing.IsCA || !issuing.MaxPathLenZero || len(issuing.ExtKeyUsage) != 1 || issuing.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning {
		t.Error("intermediate is not in the profile")
	}
	for _, c := range l.cfg.Chain {
		if len(c.SubjectKeyId) == 0 || string(c.AuthorityKeyId) != string(rootCert.SubjectKeyId) || c.SerialNumber.BitLen() < minSerialBits {
			t.Errorf("%s: key ids %x, %x, serial %d", c.Subject, c.SubjectKeyId, c.AuthorityKeyId, c.SerialNumber)
		}
		for _, e := range c.Extensions {
			if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 15}) && !e.Critical {
				t.Errorf("%s: key usage is not critical", c.Subject)
			}
		}
	}
	if got := rootCert.NotAfter.Sub(rootCert.NotBefore); got != RootLife+MaxBackdate {
		t.Errorf("root lives %s", got)
	}

	// A late intermediate must not outlive its root.
	late, err := NewIntermediate(rootCert, l.rootKey, newP256(t).Public(), Name{"acme", "late"}, rootCert.NotAfter.Add(-time.Hour))
	check(t, err)
	if !late.NotAfter.Equal(rootCert.NotAfter) {
		t.Errorf("intermediate ends %s, root %s", late.NotAfter, rootCert.NotAfter)
	}
	if _, err := NewIntermediate(rootCert, newP256(t), newP256(t).Public(), Name{"acme", "x"}, epoch); err == nil {
		t.Error("certified with a key that is not the root's")
	}
	if _, err := NewRoot(newP256(t), Name{CommonName: "x"}, epoch); err == nil {
		t.Error("root without an organization")
	}
}
