// SPDX-License-Identifier: Apache-2.0

package documents

import (
	"strings"
	"testing"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// reportOf is a clean Trivy report that names a digest, of at least so many bytes.
func reportOf(digest string, size int) string {
	report := strings.Replace(trivy("LOW"), `"Results"`, `"Metadata": {"RepoDigests": ["registry.corp/acme/app@`+digest+`"]}, "Results"`, 1)
	return report + strings.Repeat(" ", max(0, size-len(report)))
}

// TestAnotherImage: a report or an SBOM that names another image is refused,
// small or large, and nothing of the request is attached. One that names the
// index, or a platform of it, is taken and counts.
func TestAnotherImage(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates, Signing: "embedEvidence: 64KiB"})
	j := newJob(t, l)
	image := l.PushHallmark(t, "acme/app", "v1")
	repository, index, _ := strings.Cut(strings.TrimPrefix(image, l.Registry+"/"), "@")
	var platforms struct{ Manifests []struct{ Digest string } }
	get(t, l, repository+"/manifests/"+index, &platforms)
	arm64 := platforms.Manifests[1].Digest

	other := "sha256:" + strings.Repeat("0", 64)
	good := j.File(t, "good.json", spdx(1))
	small, large := j.File(t, "small.json", reportOf(other, 0)), j.File(t, "large.json", reportOf(other, 70_000))
	wrapped := j.File(t, "wrapped.json", `{"invocation": {}, "scanner": {"uri": "trivy", "result": `+reportOf(other, 0)+`}}`)
	bom := j.File(t, "bom.json", strings.Replace(cyclonedx, `"components"`, `"x": 0, "components"`, 1))
	foreign := j.File(t, "foreign.json", strings.Replace(cyclonedx, `{"timestamp"`, `{"component": {"type": "container", "name": "app", "purl": "pkg:oci/app@`+strings.Replace(other, ":", "%3A", 1)+`?repository_url=r.example%2Fapp"}, "timestamp"`, 1))
	for what, tc := range map[string]struct {
		says string
		args []string
	}{
		"small":      {"$.Metadata.RepoDigests", []string{"attest", image, "--sbom", good, "--scan", small}},
		"large":      {"$.Metadata.RepoDigests", []string{"attest", image, "--sbom", good, "--scan", large}},
		"sign":       {"$.Metadata.RepoDigests", []string{"sign", image, "--sbom", good, "--scan", small}},
		"predicate":  {"$.scanner.result.Metadata.RepoDigests", []string{"attest", image, "--type", "vuln", "--predicate", wrapped}},
		"SBOM":       {"$.metadata.component", []string{"attest", image, "--sbom", foreign, "--scan", j.File(t, "scan.json", trivy("LOW"))}},
		"a platform": {"$.Metadata.RepoDigests", []string{"attest", image, "--platform", "linux/amd64", "--scan", j.File(t, "arm64.json", reportOf(arm64, 0))}},
	} {
		got := j.run(t, 2, tc.args...)
		if !strings.Contains(got.Stderr, tc.says+": is about sha256:") || !strings.Contains(got.Stderr, ", not about sha256:") {
			t.Errorf("%s: %s", what, got.Stderr)
		}
	}
	for _, digest := range []string{index, platforms.Manifests[0].Digest, arm64} {
		var list struct{ Manifests []any }
		get(t, l, repository+"/referrers/"+digest, &list)
		if len(list.Manifests) > 0 {
			t.Errorf("attached to %s: %v", digest, list.Manifests)
		}
	}

	// The gate counts what was taken in: the report of one platform about the
	// index, and that of the index about a platform.
	j.run(t, 0, "attest", image, "--platform", "all", "--scan", j.File(t, "index.json", reportOf(index, 0)))
	j.run(t, 0, "attest", image, "--sbom", bom, "--scan", j.File(t, "arm64.json", reportOf(strings.ToUpper(arm64[:7])+strings.ToUpper(arm64[7:]), 70_000)))
	j.run(t, 0, "sign", image, "--test", j.File(t, "junit.xml", junit))
	// By its own digest a platform's image knows the index that it is in.
	j.run(t, 0, "attest", l.Registry+"/"+repository+"@"+arm64, "--scan", j.File(t, "again.json", reportOf(index, 0)))
}
