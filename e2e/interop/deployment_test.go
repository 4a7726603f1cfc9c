// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

const origin = "https://hallmark.example"

// identity is who a bundle is signed as.
type identity struct{ san, issuer string }

// workflow signs images; attestor, the service's own identity, signs what the
// service states about them.
var (
	workflow = identity{"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", "https://token.actions.githubusercontent.com"}
	attestor = identity{origin + "/attestor", origin}
)

// deployment is the part of a Hallmark service whose work stock verifiers see:
// authorities and log, made as `init` makes them. Its clock is the test's.
type deployment struct {
	ca       *ca.CA
	tsa      *tsa.TSA
	log      signer.Log // the one that sign writes to: v2, or after useV1 v1
	v1       signer.Log
	material trustroot.Material
	now      time.Time
}

// newDeployment is a deployment that comes into being at the time given.
func newDeployment(t *testing.T, logKind keys.Kind, born time.Time) *deployment {
	t.Helper()
	d := &deployment{now: born}
	clock := func() time.Time { return d.now }
	key := func(kind keys.Kind) crypto.Signer {
		k, err := keys.Generate(kind)
		check(t, err)
		return k
	}
	rootKey, issuingKey, ctKey := key(keys.ECDSAP256), key(keys.ECDSAP256), key(keys.ECDSAP256)
	tsaRootKey, tsaKey, logKey := key(keys.ECDSAP256), key(keys.ECDSAP256), key(logKind)

	root, err := ca.NewRoot(rootKey, ca.Name{Organization: "acme", CommonName: "Hallmark root"}, born)
	check(t, err)
	issuing, err := ca.NewIntermediate(root, rootKey, issuingKey.Public(), ca.Name{Organization: "acme", CommonName: "Hallmark issuing"}, born)
	check(t, err)
	d.ca, err = ca.New(ca.Config{Chain: []*x509.Certificate{issuing, root}, Signer: issuingKey, CTSigner: ctKey, Clock: clock})
	check(t, err)

	chain, err := tsa.NewCertificates(tsaRootKey, tsaKey.Public(), tsa.Name{Organization: "acme", CommonName: "Hallmark timestamps"}, born)
	check(t, err)
	d.tsa, err = tsa.New(tsa.Config{Chain: chain, Signer: tsaKey, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	check(t, err)

	base, err := url.Parse(origin)
	check(t, err)
	d.log = newMemoryLog(t, base.Hostname(), logKey)
	v1Key := key(keys.ECDSAP256)
	d.v1 = newMemoryLogV1(t, base.Hostname(), v1Key, clock)
	d.material = trustroot.Deployment{
		Origin: base, CAChain: d.ca.Chain(), TSAChain: d.tsa.Chain(), CT: ctKey.Public(),
		LogV1: v1Key.Public(), LogV2: logKey.Public(), Start: born,
	}.Material()
	return d
}

// useV1 has bundles carry an entry of the v1 log, as the service does by
// default.
func (d *deployment) useV1() *deployment {
	d.log = d.v1
	return d
}

// sign makes a bundle the way the signing flow does. The flow itself is tested
// elsewhere; this is about the bytes.
func (d *deployment) sign(t *testing.T, who identity, subject attest.Digest, predicateType, predicate string) attest.Bundle {
	t.Helper()
	statement, err := attest.NewStatement(subject, predicateType, []byte(predicate))
	check(t, err)
	payload, err := statement.Encode()
	check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	cert, err := d.ca.Issue(t.Context(), signer.CertificateRequest{SAN: who.san, Extensions: extensions(who), PublicKey: key.Public()})
	check(t, err)
	digest := sha256.Sum256(attest.PAE(attest.PayloadType, payload))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(t, err)
	token, err := d.tsa.Timestamp(t.Context(), signature)
	check(t, err)
	entry, err := d.log.Append(t.Context(), signer.Entry{PayloadType: attest.PayloadType, Payload: payload, Signature: signature, Certificate: cert.Leaf})
	check(t, err)
	return attest.Bundle{Payload: payload, Signature: signature, Certificate: cert.Leaf, Entry: entry, Timestamp: token}
}

// extensions has fields that stock flags read, and two that are younger than
// the verifiers in the field.
func extensions(who identity) certificate.Extensions {
	return certificate.Extensions{
		Issuer:                   who.issuer,
		GithubWorkflowTrigger:    "push",
		GithubWorkflowRepository: "acme/app",
		GithubWorkflowRef:        "refs/heads/main",
		SourceRepositoryURI:      "https://github.com/acme/app",
		DeploymentEnvironment:    "production",
		Subject:                  "repo:acme/app:ref:refs/heads/main",
	}
}

// writeRoot writes trusted_root.json into a folder of the test.
func writeRoot(t *testing.T, m trustroot.Material) (path string) {
	t.Helper()
	doc, err := trustroot.TrustedRoot(m)
	check(t, err)
	path = filepath.Join(t.TempDir(), "trusted_root.json")
	check(t, os.WriteFile(path, doc, 0o600))
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return len(parts) == 0
}
