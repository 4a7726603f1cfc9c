// SPDX-License-Identifier: Apache-2.0

// Package interop proves that stock Sigstore verifiers accept what Hallmark
// makes, and refuse what they should refuse: the published cosign 2 and 3
// programs and sigstore-go, against registries with and without the referrers
// API. No service runs, ours or the public one, and the log is a tree in memory
// made with Rekor's code: what is tested is certificates, timestamps, bundles
// and the trusted root.
package interop

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// What the two cosigns say when they accept.
var accepted = []string{"The cosign claims were validated"}

// logKinds are the keys a log may have; verifiers treat them differently.
var logKinds = []keys.Kind{keys.ECDSAP256, keys.Ed25519}

func TestSignature(t *testing.T) {
	t.Parallel()
	hosts := map[string]string{"referrers": newRegistry(t), "fallback tag": stock.Registry(t).Host}
	for _, kind := range logKinds {
		for layout, host := range hosts {
			t.Run(string(kind)+"/"+layout, func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, kind, time.Now())
				img := push(t, host)
				attach(t, img, d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"))
				rootDoc := writeRoot(t, d.material)
				for _, tt := range []struct {
					name   string
					who    identity
					flags  []string
					accept bool
					says   []string
				}{
					{name: "signer", who: workflow, accept: true, says: accepted},
					{name: "signer and its repository", who: workflow, flags: []string{"--certificate-github-workflow-repository", "acme/app"}, accept: true, says: accepted},
					{name: "another branch", who: identity{strings.Replace(workflow.san, "main", "fork", 1), workflow.issuer}, says: []string{"expected SAN value"}},
					{name: "another issuer", who: identity{workflow.san, "https://gitlab.example"}, says: []string{"expected issuer value"}},
					{name: "another repository", who: workflow, flags: []string{"--certificate-github-workflow-repository", "evil/app"}, says: []string{"GithubWorkflowRepository", "Repository"}},
				} {
					for _, c := range cosigns() {
						t.Run(tt.name+"/"+c.version, func(t *testing.T) {
							out, ok := c.verify(t, "verify", rootDoc, tt.who, img.ref, tt.flags...)
							c.expect(t, tt.accept, tt.says, out, ok)
						})
					}
				}
			})
		}
	}
}

// TestDamage is the other half of every acceptance: evidence that is missing,
// moved or made by somebody else.
func TestDamage(t *testing.T) {
	t.Parallel()
	host := newRegistry(t)
	d, stranger := newDeployment(t, keys.ECDSAP256, time.Now()), newDeployment(t, keys.ECDSAP256, time.Now())
	without := func(change func(*trustroot.Material)) trustroot.Material {
		m := d.material
		change(&m)
		return m
	}
	for _, tt := range []struct {
		name   string
		root   trustroot.Material
		bundle func(t *testing.T, img image, good attest.Bundle) []attest.Bundle
		says   []string
	}{
		{"unsigned", d.material, func(*testing.T, image, attest.Bundle) []attest.Bundle { return nil }, []string{"no signatures found"}},
		{"no timestamp", d.material, func(_ *testing.T, _ image, b attest.Bundle) []attest.Bundle {
			b.Timestamp = nil
			return []attest.Bundle{b}
		}, []string{"threshold not met"}},
		{"signature of another image", d.material, func(t *testing.T, _ image, _ attest.Bundle) []attest.Bundle {
			return []attest.Bundle{d.sign(t, workflow, push(t, host).digest, attest.PredicateSignature, "{}")}
		}, []string{"does not match any digest"}},
		{"log entry of another signature", d.material, func(t *testing.T, img image, b attest.Bundle) []attest.Bundle {
			b.Entry = d.sign(t, workflow, img.digest, attest.PredicateSignature, `{"other":true}`).Entry
			return []attest.Bundle{b}
		}, []string{"transparency log signature does not match", "calculated root", "transparency log certificate does not match"}},
		{"timestamp of another signature", d.material, func(t *testing.T, img image, b attest.Bundle) []attest.Bundle {
			b.Timestamp = d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}").Timestamp
			return []attest.Bundle{b}
		}, []string{"threshold not met"}},
		{"timestamp of another authority", d.material, func(t *testing.T, _ image, b attest.Bundle) []attest.Bundle {
			token, err := stranger.tsa.Timestamp(t.Context(), b.Signature)
			check(t, err)
			b.Timestamp = token
			return []attest.Bundle{b}
		}, []string{"threshold not met"}},
		{"another deployment", stranger.material, keep, []string{"not enough verified log entries", "leaf certificate verification failed", "threshold not met"}},
		{"log not trusted", without(func(m *trustroot.Material) { m.Logs = stranger.material.Logs }), keep, []string{"log entries"}},
		{"certificate log not trusted", without(func(m *trustroot.Material) { m.CertificateLogs = stranger.material.CertificateLogs }), keep, []string{"SCT"}},
		{"authority not trusted", without(func(m *trustroot.Material) { m.CertificateAuthorities = stranger.material.CertificateAuthorities }), keep, []string{"leaf certificate verification failed"}},
		{"timestamps not trusted", without(func(m *trustroot.Material) { m.TimestampAuthorities = stranger.material.TimestampAuthorities }), keep, []string{"threshold not met"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := push(t, host)
			good := d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}")
			attach(t, img, tt.bundle(t, img, good)...)
			rootDoc := writeRoot(t, tt.root)
			for _, c := range cosigns() {
				out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
				c.expect(t, false, tt.says, out, ok)
			}
		})
	}
}

func keep(_ *testing.T, _ image, b attest.Bundle) []attest.Bundle { return []attest.Bundle{b} }

// TestAttestation shows why attestations have an identity of their own: no
// statement of the service, good or bad, may pass for the workflow's signature.
func TestAttestation(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, keys.ECDSAP256, time.Now())
	img := push(t, newRegistry(t))
	attach(t, img, d.sign(t, attestor, img.digest, "https://spdx.dev/Document", `{"spdxVersion":"SPDX-2.3"}`))
	rootDoc := writeRoot(t, d.material)
	for _, c := range cosigns() {
		out, ok := c.verify(t, "verify-attestation", rootDoc, attestor, img.ref, "--type", "spdxjson")
		c.expect(t, true, accepted, out, ok)
		out, ok = c.verify(t, "verify-attestation", rootDoc, attestor, img.ref, "--type", "cyclonedx")
		c.expect(t, false, nil, out, ok)
		out, ok = c.verify(t, "verify", rootDoc, workflow, img.ref)
		c.expect(t, false, []string{"expected SAN value"}, out, ok)
	}
	attach(t, img, d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"))
	for _, c := range cosigns() {
		out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
		c.expect(t, true, accepted, out, ok)
		out, ok = c.verify(t, "verify-attestation", rootDoc, attestor, img.ref, "--type", "spdxjson")
		c.expect(t, true, accepted, out, ok)
	}
}

// TestSigstoreGo asks the library for everything it can check.
func TestSigstoreGo(t *testing.T) {
	t.Parallel()
	for _, kind := range logKinds {
		d := newDeployment(t, kind, time.Now().Add(-time.Hour))
		subject := attest.DigestOf([]byte("an artifact"))
		encoded, err := d.sign(t, workflow, subject, attest.PredicateSignature, "{}").Encode()
		check(t, err)
		var b bundle.Bundle
		check(t, b.UnmarshalJSON(encoded))
		doc, err := trustroot.TrustedRoot(d.material)
		check(t, err)
		trusted, err := root.NewTrustedRootFromJSON(doc)
		check(t, err)
		v, err := verify.NewVerifier(trusted, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
		check(t, err)
		id, err := verify.NewShortCertificateIdentity(workflow.issuer, "", workflow.san, "")
		check(t, err)
		result, err := v.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", subject.Bytes()), verify.WithCertificateIdentity(id)))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if len(result.VerifiedTimestamps) != 1 || !result.VerifiedTimestamps[0].Timestamp.Equal(d.now.Truncate(time.Second)) {
			t.Errorf("%s: timestamps %v, want %s", kind, result.VerifiedTimestamps, d.now)
		}
		other := bytes.Repeat([]byte{1}, len(subject.Bytes()))
		if _, err := v.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", other), verify.WithCertificateIdentity(id))); err == nil {
			t.Errorf("%s: accepted for another artifact", kind)
		}
	}
}
