// SPDX-License-Identifier: Apache-2.0

// Package documents tests statements about documents as their users see them: large
// ones in the registry, many in one call, of platforms, and each type as stock
// cosign reads it.
package documents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func TestMain(m *testing.M) { lab.Main(m) }

// job is a CI job.
type job struct{ *lab.Job }

func newJob(t *testing.T, l *lab.Lab, claims ...string) *job { return &job{l.Job(t, claims...)} }

// run runs hallmark as the job.
func (j *job) run(t *testing.T, code int, args ...string) lab.Result {
	t.Helper()
	got := j.Do(t, args...)
	if got.Code != code {
		t.Fatalf("hallmark %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got.Code, code, got.Stdout, got.Stderr)
	}
	return got
}

// attest attests documents and returns the receipts.
func (j *job) attest(t *testing.T, image string, args ...string) []signer.Receipt {
	t.Helper()
	var answer struct{ Receipts []signer.Receipt }
	got := j.run(t, 0, append([]string{"attest", image, "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(got.Stdout), &answer); err != nil {
		t.Fatalf("%v in %s", err, got.Stdout)
	}
	return answer.Receipts
}

// spdx is an SBOM of so many packages, of 100 bytes each.
func spdx(packages int) string {
	var b strings.Builder
	b.WriteString(`{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "dataLicense": "CC0-1.0", "documentNamespace": "https://acme.example/app",
		"creationInfo": {"created": "2026-01-02T03:04:05Z", "creators": ["Tool: test"]}, "packages": [`)
	for i := range packages {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name": "library-%08d", "SPDXID": "SPDXRef-%08d", "versionInfo": "1.%08d", "downloadLocation": "NOASSERTION"}`, i, i, i)
	}
	b.WriteString("]}")
	return b.String()
}

func trivy(severity string) string {
	return fmt.Sprintf(`{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": %q, "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1?arch=amd64"}, "Severity": %q}]}]}`,
		time.Now().UTC().Format(time.RFC3339), severity)
}

const (
	cyclonedx = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"timestamp": "2026-01-02T03:04:05Z"}, "components": [{"type": "library", "name": "openssl", "version": "3.0.1"}]}`
	junit     = `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/></testsuite></testsuites>`
	openvex   = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "anybody", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [
		{"vulnerability": {"name": "CVE-2026-9"}, "products": [{"@id": "pkg:oci/app"}], "status": "not_affected", "justification": "component_not_present"}]}`
	vulns = `{"scanner": {"uri": "pkg:github/acme/scanner", "version": "1", "db": {}, "result": []}, "metadata": {"scanStartedOn": "2026-01-02T03:04:05Z", "scanFinishedOn": "2026-01-02T03:04:05Z"}}`
)

// TestEveryType: stock cosign reads each type of statement that the service
// makes, as the attestor's, and takes none for a signature.
func TestEveryType(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates, Signing: "verificationSummary: true, embedEvidence: 64KiB"})
	j, security := newJob(t, l), newJob(t, l, "repository=acme/security")
	image := l.PushHallmark(t, "acme/app", "v1")
	large := j.File(t, "large.spdx.json", spdx(10_000)) // 1 MB
	j.attest(t, image, "--sbom", j.File(t, "bom.json", cyclonedx), "--sbom", large, "--scan", j.File(t, "vulns.json", vulns))
	security.attest(t, image, "--vex", security.File(t, "vex.json", openvex))
	j.run(t, 0, "sign", image, "--sbom", j.File(t, "sbom.json", spdx(3)), "--scan", j.File(t, "scan.json", trivy("LOW")), "--test", j.File(t, "junit.xml", junit),
		"--dependency", "pkg:generic/base@sha256:"+strings.Repeat("a", 64), "--byproduct", "sbom="+large)

	attestor := []string{"--trusted-root", l.TrustedRoot(), "--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL}
	types := map[string][]string{ // and what the statement holds
		"spdxjson":  {`"SPDX-2.3"`},
		"cyclonedx": {`"CycloneDX"`},
		"vuln":      {"CVE-2026-1"},
		"https://in-toto.io/attestation/vulns/v0.2":          {"pkg:github/acme/scanner"},
		"https://openvex.dev/ns/v0.2.0":                      {"component_not_present"},
		"https://in-toto.io/attestation/test-result/v0.1":    {"PASSED", "hallmark_document", "junit.xml"},
		"slsaprovenance1":                                    {"buildDefinition", "hallmark_claimed", "pkg:generic/base", `"sbom"`},
		"https://slsa.dev/verification_summary/v1":           {"PASSED", "SLSA_BUILD_LEVEL_2", "inputAttestations"},
		"https://hallmark.dev/attestation/sbom-reference/v1": {`"packages":10000`, "large.spdx.json", "application/spdx+json"},
	}
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for kind, holds := range types {
			got := stock.Cosign(t, version, append(append([]string{"verify-attestation"}, attestor...), "--type", kind, image)...)
			if got.Code != 0 {
				t.Errorf("%s does not read %s: %s", version, kind, got.Stderr)
				continue
			}
			// Several statements of a type are several lines.
			var payloads strings.Builder
			for line := range strings.Lines(got.Stdout) {
				var envelope struct{ Payload []byte }
				if json.Unmarshal([]byte(line), &envelope) == nil {
					payloads.Write(envelope.Payload)
				}
			}
			for _, text := range holds {
				if !strings.Contains(payloads.String(), text) {
					t.Errorf("%s: %s holds no %s: %.2000s", version, kind, text, payloads.String())
				}
			}
		}
	}

	// The large document is where other tools look for it, byte for byte.
	repository, digest, _ := strings.Cut(strings.TrimPrefix(image, l.Registry+"/"), "@")
	var list struct {
		Manifests []struct{ Digest, ArtifactType string }
	}
	get(t, l, repository+"/referrers/"+digest, &list)
	found := false
	for _, m := range list.Manifests {
		var manifest struct {
			ArtifactType string
			Layers       []struct{ Digest, MediaType string }
		}
		get(t, l, repository+"/manifests/"+m.Digest, &manifest)
		if manifest.ArtifactType != "application/spdx+json" {
			continue
		}
		found = true
		want, err := os.ReadFile(large)
		if err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, l, repository+"/blobs/"+manifest.Layers[0].Digest); got != string(want) {
			t.Errorf("the document in the registry has %d bytes, the file %d", len(got), len(want))
		}
	}
	if !found {
		t.Errorf("no document among the referrers: %+v", list)
	}

	// What only the service makes, no job does.
	for _, kind := range []string{"https://slsa.dev/verification_summary/v1", "https://hallmark.dev/attestation/sbom-reference/v1"} {
		j.run(t, 2, "attest", image, "--type", kind, "--predicate", j.File(t, "forged", `{"verificationResult": "PASSED"}`))
	}
	// Nothing large went through the log, and nothing is left of the documents.
	if left, err := os.ReadDir(filepath.Join(l.Dir, "spool")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
	l.Stop(t)
	l.Fsck(t)
}

func fetch(t *testing.T, l *lab.Lab, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Registry+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s, %v", path, resp.StatusCode, body, err)
	}
	return string(body)
}

func get(t *testing.T, l *lab.Lab, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(fetch(t, l, path)), into); err != nil {
		t.Fatal(err)
	}
}

const (
	// requestsMost is how many requests ten documents may cost. Each needs a blob
	// and a manifest of its own, or stock clients would not find it: twenty. The
	// image and its index are looked up, and the list is read back.
	requestsMost = 23
	// tagRequestsMost is what legacy tags add: a blob of each and the config of the
	// tag, and the tag is looked at, read, written, and read back.
	tagRequestsMost = 10 + 5
	// shareMost is what ten documents in one call may cost of ten calls of a stock
	// client.
	shareMost = 0.1
	// attempts bounds how often the rounds are counted: a machine that stops between
	// two requests makes two rounds of one.
	attempts = 3
)

// TestRoundTrips: ten documents in one call, and ten calls of stock cosign.
func TestRoundTrips(t *testing.T) {
	var registry counter
	l := lab.Start(t, lab.Options{Wrap: registry.wrap, Writers: "open"})
	j := newJob(t, l)
	var files []string
	for i := range 10 {
		files = append(files, j.File(t, fmt.Sprintf("sbom-%d.json", i), spdx(i+1)))
	}
	keys := t.TempDir()
	cosign := func(version string, args ...string) {
		if got := (stock.Command{Tool: version, Dir: keys, Env: []string{"COSIGN_PASSWORD="}}).Run(t, args...); got.Code != 0 {
			t.Fatalf("%s %s: %s", version, strings.Join(args, " "), got.Stderr)
		}
	}
	cosign(stock.CosignV2, "generate-key-pair")
	theirs := map[string]traffic{}
	fewest := 1 << 20
	for version, flags := range map[string][]string{
		stock.CosignV2: {"--rekor-url=" + l.URL},
		stock.CosignV3: {"--trusted-root=" + l.TrustedRoot(), "--signing-config=" + filepath.Join(l.Dir, "trust", "signing_config.v0.2.json")},
	} {
		image := l.PushSmall(t, "acme/app", version)
		registry.since()
		for _, f := range files {
			cosign(version, append(append([]string{"attest", "--type", "spdxjson", "--predicate", f, "--key=cosign.key", "--yes", "--allow-http-registry", "--allow-insecure-registry"}, flags...), image)...)
		}
		theirs[version] = registry.since()
		fewest = min(fewest, theirs[version].rounds())
	}

	ours := leastRounds(t, l, &registry, shareMost*float64(fewest))
	if len(ours) > requestsMost {
		t.Errorf("ten documents cost %d requests, at most %d are needed:\n%s", len(ours), requestsMost, ours)
	}
	for version, all := range theirs {
		requests, rounds := float64(len(ours))/float64(len(all)), float64(ours.rounds())/float64(all.rounds())
		fmt.Printf("ten documents at the registry, of ten calls of %s: round trips %.3f (%d of %d), requests %.3f (%d of %d); target of each %.1f\n", version, rounds, ours.rounds(), all.rounds(), requests, len(ours), len(all), shareMost)
		if rounds > shareMost {
			t.Errorf("%d round trips, %s has %d:\n%s", ours.rounds(), version, all.rounds(), ours)
		}
		if requests > 0.25 { // beyond a blob and a manifest of each nothing is left to save
			t.Errorf("%d requests, %s has %d", len(ours), version, len(all))
		}
	}
	l.Stop(t)

	// Legacy tags are one more blob of each, and one list for all.
	tagged := leastRounds(t, lab.Start(t, lab.Options{Wrap: registry.wrap, Signing: "legacyTags: true"}), &registry, shareMost*float64(fewest))
	fmt.Printf("the same with legacy tags: round trips %d, requests %d\n", tagged.rounds(), len(tagged))
	if len(tagged) > requestsMost+tagRequestsMost || float64(tagged.rounds()) > shareMost*float64(fewest) {
		t.Errorf("%d requests in %d rounds:\n%s", len(tagged), tagged.rounds(), tagged)
	}
}

// leastRounds is what ten documents in one call ask of the registry.
func leastRounds(t *testing.T, l *lab.Lab, registry *counter, enough float64) (all traffic) {
	t.Helper()
	j := newJob(t, l)
	var args []string
	for i := range 10 {
		args = append(args, "--sbom", j.File(t, fmt.Sprintf("sbom-%d.json", i), spdx(i+1)))
	}
	// What the service learns of a registry and a repository, it learns once.
	j.attest(t, l.PushSmall(t, "acme/app", "first"), args[:2]...)
	for i := range attempts {
		image := l.PushSmall(t, "acme/app", fmt.Sprint("ours-", i))
		registry.since()
		if receipts := j.attest(t, image, args...); len(receipts) != 10 {
			t.Fatalf("%d receipts", len(receipts))
		}
		if all = registry.since(); float64(all.rounds()) <= enough {
			break
		}
	}
	return all
}

// TestPlatforms: one file, statements about the index, about one platform, about
// all.
func TestPlatforms(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	j := newJob(t, l)
	image := l.PushHallmark(t, "acme/app", "v1")
	sbom := j.File(t, "sbom.json", spdx(2))
	digests := map[string]bool{}
	for platform, n := range map[string]int{"index": 1, "linux/amd64": 1, "all": 2} {
		receipts := j.attest(t, image, "--sbom", sbom, "--platform", platform)
		if len(receipts) != n {
			t.Errorf("%s: %d receipts", platform, len(receipts))
		}
		for _, r := range receipts {
			digests[string(r.Digest)] = true
		}
	}
	if len(digests) != 3 {
		t.Errorf("statements about %v", digests)
	}
	if receipts := j.attest(t, image, "--type", "custom", "--predicate", j.File(t, "review", `{"Data": "looks good"}`), "--platform", "all"); len(receipts) != 2 {
		t.Errorf("%d receipts of a predicate", len(receipts))
	}
	j.run(t, 1, "attest", image, "--sbom", sbom, "--platform", "linux/s390x") // is not there
	arm64 := j.attest(t, image, "--sbom", sbom, "--platform", "linux/arm64")[0].Digest
	for _, name := range []string{"linux/aarch64", "linux/arm64/v8"} { // other words for it
		if receipts := j.attest(t, image, "--sbom", name+"="+sbom); len(receipts) != 1 || receipts[0].Digest != arm64 {
			t.Errorf("%s: %v", name, receipts)
		}
	}
	j.run(t, 1, "attest", l.PushSmall(t, "acme/app", "small"), "--sbom", sbom, "--platform", "plan9/386")
}

// TestAllOrNone: one unreadable document of several, and nothing is attested.
func TestAllOrNone(t *testing.T) {
	l := lab.Start(t, lab.Options{Signing: "embedEvidence: 64KiB"})
	j := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	large := spdx(10_000)
	got := j.run(t, 2, "attest", image, "--sbom", j.File(t, "good.json", spdx(1)), "--sbom", j.File(t, "large.json", large), "--sbom", j.File(t, "bad.json", large[:len(large)-1000]))
	if !strings.Contains(got.Stderr, "bad.json") {
		t.Errorf("does not say which: %s", got.Stderr)
	}
	repository, digest, _ := strings.Cut(strings.TrimPrefix(image, l.Registry+"/"), "@")
	var list struct{ Manifests []any }
	get(t, l, repository+"/referrers/"+digest, &list)
	if len(list.Manifests) > 0 {
		t.Errorf("attached: %v", list.Manifests)
	}
}

// TestSchemas: a predicate of a type with a schema has to fit it.
func TestSchemas(t *testing.T) {
	const kind = "https://acme.example/review/v1"
	schema := filepath.Join(t.TempDir(), "review.json")
	if err := os.WriteFile(schema, []byte(`{"type": "object", "required": ["reviewer"], "properties": {"reviewer": {"type": "string"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := strings.Replace(string(policyfiles.SigningPolicy), "  predicateTypes:", "  predicateTypes:\n  - "+kind, 1)
	l := lab.Start(t, lab.Options{Policy: []byte(policy), Config: "attestations: {schemas: {" + kind + ": " + schema + "}}"})
	j := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	j.run(t, 0, "attest", image, "--type", kind, "--predicate", j.File(t, "good", `{"reviewer": "ann"}`))
	got := j.run(t, 2, "attest", image, "--type", kind, "--predicate", j.File(t, "bad", `{"reviewer": 1}`))
	if !strings.Contains(got.Stderr, "$.reviewer") {
		t.Errorf("does not say where: %s", got.Stderr)
	}
}
