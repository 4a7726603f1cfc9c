// SPDX-License-Identifier: Apache-2.0

// Package evidence tests how evidence is made and looked at: `hallmark sbom` with
// the real syft, and `hallmark evidence`.
package evidence

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const tests = `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/></testsuite></testsuites>`

// scan is a Trivy report of now.
func scan() string {
	return fmt.Sprintf(`{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": %q, "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "Severity": "LOW"}]}]}`, time.Now().UTC().Format(time.RFC3339))
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func want(t *testing.T, what string, got lab.Result, code int, says ...string) {
	t.Helper()
	if got.Code != code {
		t.Fatalf("%s: exit code %d, want %d\n%s%s", what, got.Code, code, got.Stdout, got.Stderr)
	}
	for _, word := range says {
		if !strings.Contains(got.Stdout+got.Stderr, word) {
			t.Errorf("%s: does not say %q:\n%s%s", what, word, got.Stdout, got.Stderr)
		}
	}
}

// tree is what the tests look at of the answer.
type tree struct {
	Allowed  bool
	Decision *json.RawMessage
	Attached []struct {
		What, Origin, Kind, Format, Problem, Signer, Author string
		Verified, Superseded                                bool
		Counts                                              map[string]int
	}
	Platforms []tree
}

// found counts what is attached, as "what kind verified".
func (t tree) found() []string {
	var all []string
	for _, a := range t.Attached {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s", a.What, a.Kind))+fmt.Sprintf(" %t", a.Verified))
	}
	slices.Sort(all)
	return all
}

// The two lines that a pipeline needs, with the real syft on a real image, and
// everything that can be seen of it afterwards.
func TestSBOMAndEvidence(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates, Signing: "legacyTags: true"})
	token := l.Token(t, devissuer.GitHub)
	image := l.PushHallmark(t, "acme/app", "v1")
	root := []string{"--trusted-root", l.TrustedRoot()}
	evidence := func(args ...string) lab.Result {
		return l.Hallmark(t, "", append(append([]string{"evidence", image}, root...), args...)...)
	}
	want(t, "nothing", evidence(), 1, "nothing is attached", "nothing that verifies is attached to it")

	sbom := filepath.Join(t.TempDir(), "sbom.json")
	want(t, "sbom", l.Hallmark(t, "", "sbom", image, "-o", sbom, "--syft", stock.Tool(t, "syft")), 0, "CycloneDX of "+image, "is an index")
	arm64 := filepath.Join(t.TempDir(), "arm64.json")
	want(t, "sbom of a platform", l.Hallmark(t, "", "sbom", image, "--platform", "linux/aarch64", "-o", arm64, "--syft", stock.Tool(t, "syft")), 0, "CycloneDX of linux/arm64 ")
	want(t, "about the wrong platform", l.Hallmark(t, token, "attest", image, "--sbom", "linux/amd64="+arm64), 2, "is about")
	want(t, "sbom of none", l.Hallmark(t, "", "sbom", image, "--platform", "linux/amd46", "--syft", stock.Tool(t, "syft")), 1, "has no such image (hint: it has linux/amd64, linux/arm64)")
	report := scan()
	want(t, "sign", l.Hallmark(t, token, "sign", image, "--sbom", sbom, "--scan", write(t, "scan.json", report), "--test", write(t, "tests.xml", tests)), 0)
	spdx := filepath.Join(t.TempDir(), "sbom.spdx.json")
	want(t, "sbom as SPDX", l.Hallmark(t, "", "sbom", image, "-o", spdx, "--format", "spdx-json", "--syft", stock.Tool(t, "syft")), 0, "SPDX of "+image)
	want(t, "attest SPDX", l.Hallmark(t, token, "attest", image, "--type", "spdxjson", "--predicate", spdx), 0)
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for kind, says := range map[string]string{"cyclonedx": "CycloneDX", "spdxjson": "SPDX-2.3"} {
			got := stock.Cosign(t, version, "verify-attestation", "--trusted-root", l.TrustedRoot(), "--certificate-identity", l.URL+"/attestor",
				"--certificate-oidc-issuer", l.URL, "--type", kind, image)
			var envelope struct{ Payload []byte }
			if got.Code != 0 || json.Unmarshal([]byte(strings.SplitN(got.Stdout, "\n", 2)[0]), &envelope) != nil || !strings.Contains(string(envelope.Payload), says) ||
				!strings.Contains(string(envelope.Payload), "sigstore-go") { // a module of the program in the image
				t.Errorf("%s: %s: %d %s", version, kind, got.Code, got.Stderr)
			}
		}
	}

	// All of it, verified.
	want(t, "tree", evidence(), 0, "all of it verifies\t"+image, "─ signature", "attestation sbom: cyclonedx, ", "attestation scan: trivy 0.60.0, 1 finding, 1 low", "platform linux/amd64 sha256:", "platform linux/arm64 sha256:",
		"of "+l.URL+", for https://github.com/acme/app/", "attestation provenance")
	all := parse(t, evidence("-o", "json"))
	wanted := []string{
		"attestation provenance true", "attestation provenance true", "attestation sbom true", "attestation sbom true", "attestation sbom true", "attestation sbom true",
		"attestation scan true", "attestation scan true", "attestation test true", "attestation test true", "document false", "signature true", "signature true",
	} // each as a bundle and under a legacy tag; the document is the JUnit file, which its statement names
	if !slices.Equal(all.found(), wanted) || !all.Allowed || len(all.Platforms) != 2 {
		t.Errorf("found %q, want %q", all.found(), wanted)
	}
	want(t, "with the service", evidence("--server", l.URL), 0, ", service")
	identity := []string{"--certificate-identity-regexp", "https://github.com/acme/app/.*", "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub)}
	want(t, "by the workflow", evidence(identity...), 0, "verified\t"+image)
	want(t, "by somebody else", evidence("--certificate-identity", "https://elsewhere.example", "--certificate-oidc-issuer", identity[3]), 1, "no signature by an accepted signer")

	// The documents, byte for byte.
	folder := t.TempDir()
	want(t, "download", evidence("--download", folder), 0, "saved as "+folder)
	for _, file := range []string{sbom, spdx, write(t, "scan", report), write(t, "junit", tests)} {
		original, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files(t, folder), func(saved string) bool { return saved == strings.TrimSpace(string(original)) }) {
			t.Errorf("%s is not among what was saved", file)
		}
	}
	want(t, "download again", evidence("--download", folder), 0)

	// What others push beside it is shown as what it is.
	junk(t, image, "application/vnd.dev.sigstore.bundle.v0.3+json", `{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}`)
	junk(t, image, "application/vnd.cyclonedx+json", `{"bomFormat": "CycloneDX"}`)
	want(t, "with junk", evidence(), 1, "NOT VERIFIED unknown", "unsigned: application/vnd.cyclonedx+json", "does not verify")
	want(t, "with junk, by policy", evidence(identity...), 0, "NOT VERIFIED unknown")

	want(t, "no such image", l.Hallmark(t, "", append([]string{"evidence", strings.Split(image, "@")[0] + ":none"}, root...)...), 1)
	want(t, "no registry", l.Hallmark(t, "", append([]string{"evidence", lab.FreeAddress(t) + "/acme/app:v1"}, root...)...), 3)
}

// One step: the SBOMs are made on the way, one for each platform, and are about
// the platforms; what the gates ask for is there, also in a dry run.
func TestSignAutoSBOM(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates})
	token := l.Token(t, devissuer.GitHub)
	image := l.PushHallmark(t, "acme/app", "v1")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	step := []string{
		"sign", strings.Split(image, "@")[0] + ":v1", "--platform", "all", "--sbom", "auto", "--syft", stock.Tool(t, "syft"),
		"--scan", write(t, "scan.json", scan()), "--test", write(t, "tests.xml", tests),
	}
	tree := func() tree {
		return parse(t, l.Hallmark(t, "", "evidence", image, "--trusted-root", l.TrustedRoot(), "-o", "json"))
	}
	dry := append(slices.Clone(step), "--dry-run")
	dry[3] = "linux/amd64"
	want(t, "dry run", l.Hallmark(t, token, dry...), 1, "would be refused", "evidence.sbom: ", ": none")
	if got := tree(); len(got.Attached) > 0 {
		t.Errorf("a dry run attested %q", got.found())
	}
	want(t, "sign", l.Hallmark(t, token, step...), 0, "CycloneDX of linux/amd64", "CycloneDX of linux/arm64", "signed\t"+image)
	got := tree()
	for i, wanted := range [][]string{{"attestation provenance true", "signature true"}, {"attestation sbom true", "attestation scan true", "attestation test true", "document false"}, {"attestation sbom true", "attestation scan true", "attestation test true", "document false"}} {
		about := got
		if i > 0 {
			about = got.Platforms[i-1]
		}
		if found := about.found(); !slices.Equal(found, wanted) {
			t.Errorf("about %d: found %q, want %q", i, found, wanted)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func parse(t *testing.T, r lab.Result) tree {
	t.Helper()
	var answer tree
	if err := json.Unmarshal([]byte(r.Stdout), &answer); err != nil {
		t.Fatalf("%v in %s%s", err, r.Stdout, r.Stderr)
	}
	return answer
}

// files are the contents of a folder.
func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSpace(string(b)))
	}
	return all
}

// junk pushes a referrer, as anybody can who may push.
func junk(t *testing.T, image, mediaType, content string) {
	t.Helper()
	subject, err := name.NewDigest(image)
	if err != nil {
		t.Fatal(err)
	}
	head, err := remote.Head(subject)
	if err != nil {
		t.Fatal(err)
	}
	layered, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.oci.empty.v1+json"),
		mutate.Addendum{Layer: static.NewLayer([]byte(content), types.MediaType(mediaType))})
	if err != nil {
		t.Fatal(err)
	}
	referrer, ok := mutate.Subject(layered, *head).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	digest, err := referrer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(subject.Digest(digest.String()), referrer); err != nil {
		t.Fatal(err)
	}
}
