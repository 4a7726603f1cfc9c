// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

const (
	attestorSAN    = "https://hallmark.example/attestor"
	attestorIssuer = "https://hallmark.example"
	predicateSPDX  = "https://spdx.dev/Document/v2.3"
)

// artifact is the image in the tests' registry.
var artifact = oci.Artifact{Registry: "registry.example", Repository: "acme/app", Tag: "v1", Digest: image, Kind: "image"}

// testPolicy demands a signature by CI and, if asked, an SBOM by the attestor.
func testPolicy(t testing.TB, withSBOM bool) *policy.TrustPolicy {
	t.Helper()
	spec := policy.TrustPolicySpec{
		Images: []string{"registry.example/acme/"},
		Signers: []policy.Signer{
			{Name: "ci", Issuer: ciIssuer, SubjectRegexp: `https://github\.com/acme/.*`},
			{Name: "attestor", Issuer: attestorIssuer, Subject: attestorSAN},
		},
		Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"ci"}}},
	}
	if withSBOM {
		spec.Require.Attestations = []policy.AttestationRequirement{{Name: "sbom", PredicateTypes: []string{predicateSPDX}, Signers: []string{"attestor"}}}
	}
	p, err := policy.NewTrustPolicy("prod", spec)
	must(t, err)
	return p
}

func newVerifier(t testing.TB, l *lab, withSBOM bool, opts ...verifier.Option) *verifier.Verifier {
	t.Helper()
	opts = append(opts, verifier.WithClock(clockAtNow))
	v, err := verifier.New(newRoot(t, l), testPolicy(t, withSBOM), opts...)
	must(t, err)
	return v
}

// bundles made by the two identities of the tests.
func (l *lab) signature(t testing.TB, d attest.Digest) []byte {
	return l.sign(t, signing{payload: statement(t, d, attest.PredicateSignature, "{}")}).encode(t)
}

func (l *lab) sbom(t testing.TB, d attest.Digest, san, issuer string) []byte {
	return l.sign(t, signing{payload: statement(t, d, predicateSPDX, `{"spdxVersion":"SPDX-2.3"}`), sans: sans(san), issuer: &issuer}).encode(t)
}

func evidence(bundles ...[]byte) []verifier.Evidence {
	var all []verifier.Evidence
	for i, b := range bundles {
		all = append(all, verifier.Evidence{Origin: fmt.Sprintf("bundle %d", i), Bundle: b})
	}
	return all
}

func TestDecisions(t *testing.T) {
	l := newLab(t)
	good, sbom := l.signature(t, image), l.sbom(t, image, attestorSAN, attestorIssuer)
	evil := l.sign(t, signing{payload: statement(t, image, attest.PredicateSignature, "{}"), sans: sans("https://github.com/evil/app")}).encode(t)
	cases := map[string]struct {
		found    []verifier.Evidence
		withSBOM bool
		allowed  bool
		says     string // in the reasons
	}{
		"signed":                        {evidence(good), false, true, ""},
		"signed, with SBOM":             {evidence(good, sbom), true, true, ""},
		"signed, junk beside":           {evidence([]byte("junk"), good, l.signature(t, otherImage)), false, true, ""},
		"nothing":                       {nil, false, false, "no signature found for registry.example/acme/app@" + string(image) + ": sign it in CI with `hallmark sign`"},
		"by somebody else":              {evidence(evil), false, false, "https://github.com/evil/app"},
		"for another image":             {evidence(l.signature(t, otherImage)), false, false, "speaks about another artifact"},
		"only junk":                     {evidence([]byte("junk")), false, false, "bundle 0"},
		"attestation is no signature":   {evidence(l.sbom(t, image, ciSAN, ciIssuer)), false, false, "signature"},
		"message signature is none":     {evidence(l.sign(t, signing{blob: imageBytes}).encode(t)), false, false, "signature"},
		"no SBOM":                       {evidence(good), true, false, predicateSPDX},
		"SBOM of another image":         {evidence(good, l.sbom(t, otherImage, attestorSAN, attestorIssuer)), true, false, predicateSPDX},
		"SBOM by the wrong signer":      {evidence(good, l.sbom(t, image, ciSAN, ciIssuer)), true, false, attestorSAN},
		"signature by the attestor":     {evidence(l.sign(t, signing{payload: statement(t, image, attest.PredicateSignature, "{}"), sans: sans(attestorSAN)}).encode(t)), false, false, attestorSAN},
		"SBOM and signature exchanged":  {evidence(evil, sbom), true, false, "https://github.com/evil/app"},
		"signature of nobody we know":   {evidence(newLab(t).signature(t, image)), false, false, "bundle 0"},
		"good signature, cut in two":    {evidence(good[:len(good)/2], good[len(good)/2:]), false, false, "bundle 1"},
		"the same signature many times": {evidence(good, good, good), false, true, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, l, tc.withSBOM)
			d, err := v.VerifyDigest(t.Context(), artifact, tc.found)
			must(t, err)
			reasons := strings.Join(d.Reasons(), "\n")
			if d.Allowed() != tc.allowed || !strings.Contains(reasons, tc.says) {
				t.Errorf("allowed %v, reasons:\n%s\nwant %v and %q", d.Allowed(), reasons, tc.allowed, tc.says)
			}
			if tc.allowed != (len(d.Reasons()) == 0) {
				t.Errorf("allowed %v with %d reasons", d.Allowed(), len(d.Reasons()))
			}
			slices.Reverse(tc.found)
			again, err := v.VerifyDigest(t.Context(), artifact, tc.found)
			must(t, err)
			if again.Allowed() != tc.allowed {
				t.Error("the order of the evidence changes the decision")
			}
		})
	}
}

// TestDecisionRecords: every bundle is named once, whatever became of it.
func TestDecisionRecords(t *testing.T) {
	l := newLab(t)
	good := l.signature(t, image)
	d, err := newVerifier(t, l, false).VerifyDigest(t.Context(), artifact, evidence(good, []byte("junk"), good))
	must(t, err)
	if len(d.Evidence) != 2 || !d.Evidence[0].Verified || d.Evidence[0].Signer != ciSAN || !d.Evidence[0].SignedAt.Equal(signedAt) {
		t.Errorf("evidence = %+v", d.Evidence)
	}
	if e := d.Evidence[1]; e.Verified || e.Reason != verifier.ReasonMalformed || e.Detail == "" || e.Bundle != string(attest.DigestOf([]byte("junk"))) {
		t.Errorf("evidence = %+v", d.Evidence[1])
	}
	failed := slices.IndexFunc(d.Checks, func(c policy.Check) bool { return c.Rule == "evidence" && !c.Passed })
	if failed < 0 || d.Checks[failed].Name != "bundle 1" {
		t.Errorf("the junk is not among the checks: %+v", d.Checks)
	}
	b, err := json.Marshal(d)
	must(t, err)
	if !bytes.Contains(b, []byte(`"allowed":true`)) || !bytes.Contains(b, []byte(ciSAN)) {
		t.Errorf("JSON = %s", b)
	}
	var back verifier.Decision
	if err := json.Unmarshal(b, &back); err == nil || back.Allowed() {
		t.Error("a decision was read from JSON")
	}
}

func TestZeroDecisionDenies(t *testing.T) {
	var d verifier.Decision
	if d.Allowed() || len(d.Reasons()) == 0 {
		t.Errorf("zero decision: allowed %v, reasons %v", d.Allowed(), d.Reasons())
	}
}

func TestNewRefuses(t *testing.T) {
	l := newLab(t)
	root, p := newRoot(t, l), testPolicy(t, false)
	for name, construct := range map[string]func() (*verifier.Verifier, error){
		"no policy":    func() (*verifier.Verifier, error) { return verifier.New(root, nil) },
		"empty policy": func() (*verifier.Verifier, error) { return verifier.New(root, &policy.TrustPolicy{}) },
		"no root":      func() (*verifier.Verifier, error) { return verifier.New(nil, p) },
		"nil registry": func() (*verifier.Verifier, error) { return verifier.New(root, p, verifier.WithRegistry(nil)) },
		"nil source":   func() (*verifier.Verifier, error) { return verifier.New(root, p, verifier.WithSource(nil)) },
		"nil clock":    func() (*verifier.Verifier, error) { return verifier.New(root, p, verifier.WithClock(nil)) },
	} {
		if v, err := construct(); err == nil || v != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// registry is a verifier.Registry in memory that can be told to fail.
type registry struct {
	found                  []oci.StoredBundle
	resolveErr, bundlesErr error
}

func (r registry) Resolve(_ context.Context, ref string) (oci.Artifact, error) {
	if ref != "registry.example/acme/app:v1" {
		return oci.Artifact{}, oci.ErrNotFound
	}
	return artifact, r.resolveErr
}

func (r registry) Bundles(context.Context, oci.Artifact) ([]oci.StoredBundle, error) {
	return r.found, r.bundlesErr
}

// TestVerify: whatever the registry does, nothing but good evidence allows, and "could not decide" is an error.
func TestVerify(t *testing.T) {
	l := newLab(t)
	stored := func(n int, bundle []byte) []oci.StoredBundle {
		var all []oci.StoredBundle
		for i := range n {
			b := append(bytes.Clone(bundle), bytes.Repeat([]byte(" "), i)...) // another blob each
			all = append(all, oci.StoredBundle{Manifest: attest.DigestOf(b), Blob: attest.DigestOf(b), Bytes: b})
		}
		return all
	}
	good := stored(1, l.signature(t, image))
	sourceDown := errors.New("source is down")
	cases := map[string]struct {
		registry registry
		ref      string
		extra    verifier.Source
		allowed  bool
		err      error
	}{
		"signed":               {registry{found: good}, "registry.example/acme/app:v1", nil, true, nil},
		"unsigned":             {registry{}, "registry.example/acme/app:v1", nil, false, nil},
		"not there":            {registry{found: good}, "registry.example/acme/app:v2", nil, false, oci.ErrNotFound},
		"registry down":        {registry{found: good, resolveErr: oci.ErrUnavailable}, "registry.example/acme/app:v1", nil, false, oci.ErrUnavailable},
		"referrers down":       {registry{found: good, bundlesErr: oci.ErrUnavailable}, "registry.example/acme/app:v1", nil, false, oci.ErrUnavailable},
		"too many referrers":   {registry{found: stored(verifier.MaxBundles+1, l.signature(t, image))}, "registry.example/acme/app:v1", nil, false, verifier.ErrTooMuchEvidence},
		"as many as allowed":   {registry{found: stored(verifier.MaxBundles, good[0].Bytes)}, "registry.example/acme/app:v1", nil, true, nil},
		"one source down":      {registry{found: good}, "registry.example/acme/app:v1", source{err: sourceDown}, false, sourceDown},
		"both sources answer":  {registry{}, "registry.example/acme/app:v1", source{found: evidence(good[0].Bytes)}, true, nil},
		"too large altogether": {registry{found: stored(5, make([]byte, 30<<20))}, "registry.example/acme/app:v1", nil, false, verifier.ErrTooMuchEvidence},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opts := []verifier.Option{verifier.WithRegistry(tc.registry)}
			if tc.extra != nil {
				opts = append(opts, verifier.WithSource(tc.extra), verifier.WithSource(verifier.Referrers(tc.registry)))
			}
			d, err := newVerifier(t, l, false, opts...).Verify(t.Context(), tc.ref)
			if d.Allowed() != tc.allowed || !errors.Is(err, tc.err) || (tc.err == nil) != (err == nil) {
				t.Errorf("allowed %v, error %v, want %v, %v", d.Allowed(), err, tc.allowed, tc.err)
			}
		})
	}
}

type source struct {
	found []verifier.Evidence
	err   error
}

func (s source) Bundles(context.Context, oci.Artifact) ([]verifier.Evidence, error) {
	return s.found, s.err
}

func TestCancelled(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, err := newVerifier(t, l, false).VerifyDigest(ctx, artifact, evidence(l.signature(t, image)))
	if !errors.Is(err, context.Canceled) || d.Allowed() {
		t.Errorf("allowed %v, error %v", d.Allowed(), err)
	}
}

func TestVerifyWithoutRegistry(t *testing.T) {
	if d, err := newVerifier(t, newLab(t), false).Verify(t.Context(), "registry.example/acme/app:v1"); err == nil || d.Allowed() {
		t.Errorf("allowed %v, error %v", d.Allowed(), err)
	}
}

func TestOutsideThePolicy(t *testing.T) {
	l := newLab(t)
	v := newVerifier(t, l, false)
	for _, a := range []oci.Artifact{
		{Registry: "registry.example", Repository: "acme-evil/app", Digest: image},
		{Registry: "registry.example.evil.example", Repository: "acme/app", Digest: image},
		{Registry: "REGISTRY.example", Repository: "acme/app", Digest: image},
		{Digest: image},
	} {
		d, err := v.VerifyDigest(t.Context(), a, evidence(l.signature(t, image)))
		if err != nil || d.Allowed() {
			t.Errorf("%s: allowed %v, error %v", a, d.Allowed(), err)
		}
	}
	noDigest := artifact
	noDigest.Digest = ""
	if d, err := v.VerifyDigest(t.Context(), noDigest, nil); err == nil || d.Allowed() {
		t.Error("an artifact without digest was judged")
	}
}

func TestDirectory(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	write := func(name string, b []byte) { must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600)) }
	write("signature.sigstore.json", l.signature(t, image))
	write("other.sigstore.json", l.signature(t, otherImage))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	v := newVerifier(t, l, false, verifier.WithRegistry(registry{}), verifier.WithSource(verifier.Directory(dir)))
	d, err := v.Verify(t.Context(), "registry.example/acme/app:v1")
	if err != nil || !d.Allowed() || len(d.Evidence) != 2 || d.Evidence[1].Origin != "signature.sigstore.json" {
		t.Fatalf("%+v, %v", d, err)
	}
	for i := range verifier.MaxBundles {
		write(fmt.Sprintf("junk-%d", i), []byte("{}"))
	}
	if _, err := v.Verify(t.Context(), "registry.example/acme/app:v1"); !errors.Is(err, verifier.ErrTooMuchEvidence) {
		t.Errorf("a flooded directory: %v", err)
	}
	if _, err := verifier.Directory(filepath.Join(dir, "missing")).Bundles(t.Context(), artifact); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}
