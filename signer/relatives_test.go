// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// reportOf is a clean report that names digests.
func reportOf(names ...string) string {
	for i, name := range names {
		names[i] = `"registry.corp/acme/app@` + name + `"`
	}
	return strings.Replace(scanFile("LOW"), `"Results"`, `"Metadata": {"RepoDigests": [`+strings.Join(names, ",")+`]}, "Results"`, 1)
}

// bomOf is an SBOM that names a digest.
func bomOf(name string) string {
	return `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}], "metadata": {"component": {"type": "container", "name": "app", "purl": "pkg:oci/app@` +
		strings.ReplaceAll(name, ":", "%3A") + `?repository_url=registry.corp%2Facme%2Fapp"}}}`
}

// TestAnotherArtifact: whatever names another image is refused whole, and nothing
// of the request is left: embedded, large, and as a predicate of its own.
func TestAnotherArtifact(t *testing.T) {
	other := string(attest.DigestOf([]byte("another image")))
	const cosignVuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
	type attempt struct{ file, place string }
	attempts := map[string]attempt{
		"report.json":  {reportOf(other), "$.Metadata.RepoDigests"},
		"several.json": {reportOf(other, "sha512:"+strings.Repeat("ab", 64)), "$.Metadata.RepoDigests"},
		"sbom.json":    {bomOf(other), "$.metadata.component"},
	}
	refused := func(t *testing.T, w *world, name, place string, err error) {
		t.Helper()
		var wrong *attest.FormatError
		if !errors.Is(err, signer.ErrBadRequest) || !errors.Is(err, attest.ErrOtherArtifact) || !errors.As(err, &wrong) || wrong.Place != place ||
			!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "not about "+string(theImage)) {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.intents)+len(w.documents)+len(w.attached)+len(w.logs[0].entries) > 0 {
			t.Errorf("%s: %d intents, %d documents, %d bundles, %d entries", name, len(w.intents), len(w.documents), len(w.attached), len(w.logs[0].entries))
		}
	}
	for name, a := range attempts {
		for _, embed := range []int64{100, 1 << 20} {
			w := newDocuments(t)
			w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: [https://cyclonedx.org/bom, ", 1)
			s := w.startWith(func(c *signer.Config) { c.Embed = embed })
			_, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "good.json", Content: []byte(sbomOf(70))}, signer.Document{Name: name, Content: []byte(a.file)}))
			refused(t, w, name, a.place, err)
			req := documents(signer.Document{Name: name, Content: []byte(a.file)})
			_, err = s.Sign(t.Context(), req)
			refused(t, w, name, a.place, err)
			if _, err = s.DryRun(t.Context(), req); !errors.Is(err, attest.ErrOtherArtifact) {
				t.Errorf("dry run of %s: %v", name, err)
			}
		}
	}
	// A predicate that somebody has made, alone and beside a document.
	predicate := `{"invocation": {}, "scanner": {"uri": "x", "result": ` + reportOf(other) + `}}`
	w := newDocuments(t)
	s := w.start()
	req := goodRequest()
	req.PredicateType, req.Predicate = cosignVuln, []byte(predicate)
	_, err := s.Attest(t.Context(), req)
	refused(t, w, "predicate", "$.scanner.result.Metadata.RepoDigests", err)
	req.Documents = []signer.Document{{Name: "good.json", Content: []byte(sbomOf(1))}}
	_, err = s.AttestDocuments(t.Context(), req)
	refused(t, w, "predicate", "$.scanner.result.Metadata.RepoDigests", err)
	// The very image's passes on the same ways.
	req.Predicate = []byte(strings.Replace(predicate, other, string(theImage), 1))
	if _, err = s.AttestDocuments(t.Context(), req); err != nil {
		t.Error(err)
	}
	req.Documents = nil
	if _, err = s.Attest(t.Context(), req); err != nil {
		t.Error(err)
	}
}

// TestRelatives: a report may name the subject, its index, or a platform of it, in
// any spelling; of several names one is enough.
func TestRelatives(t *testing.T) {
	image := func(platform string) oci.PlatformImage {
		return oci.PlatformImage{Platform: platform, Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Digest: attest.DigestOf([]byte(platform)), Kind: oci.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1,
		}}
	}
	amd64, arm64 := image("linux/amd64"), image("linux/arm64")
	index, other := string(theImage), string(attest.DigestOf([]byte("another image")))
	for i, tc := range []struct {
		names    []string
		platform string
		fits     bool
	}{
		{nil, "", true},
		{[]string{index}, "", true},
		{[]string{strings.ToUpper(index)}, "", true},
		{[]string{other, index}, "", true},
		{[]string{other, "x", ""}, "", false},
		{[]string{string(arm64.Digest)}, "", true},
		{[]string{string(arm64.Digest)}, "index", true},
		{[]string{index}, "linux/amd64", true},
		{[]string{string(amd64.Digest)}, "linux/amd64", true},
		{[]string{string(arm64.Digest)}, "linux/amd64", false},
		{[]string{index}, "all", true},
		{[]string{string(arm64.Digest)}, "all", false}, // not about the other one
		{[]string{string(arm64.Digest), string(amd64.Digest)}, "all", true},
	} {
		for _, embed := range []int64{100, 1 << 20} {
			w := newDocuments(t)
			w.images, w.kind = []oci.PlatformImage{amd64, arm64}, oci.KindIndex
			req := documents(signer.Document{Name: "report.json", Content: []byte(reportOf(append([]string(nil), tc.names...)...))})
			req.Platform = tc.platform
			_, err := w.startWith(func(c *signer.Config) { c.Embed = embed }).AttestDocuments(t.Context(), req)
			if (err == nil) != tc.fits || (err != nil && !errors.Is(err, attest.ErrOtherArtifact)) {
				t.Errorf("%d: %q about %q: %v", i, tc.names, tc.platform, err)
			}
		}
	}
	// A registry that does not answer is no refusal.
	w := newDocuments(t)
	w.down["relatives"] = fmt.Errorf("look: %w", oci.ErrUnavailable)
	_, err := w.start().AttestDocuments(t.Context(), documents(signer.Document{Name: "report.json", Content: []byte(reportOf(other))}))
	if !errors.Is(err, oci.ErrUnavailable) || errors.Is(err, signer.ErrBadRequest) {
		t.Error(err)
	}
}
