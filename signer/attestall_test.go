// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// documentsPolicy lets documents of every kind be attested.
const documentsPolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image, index]
  repositories: [acme/]
  predicateTypes: [https://spdx.dev/Document, https://cosign.sigstore.dev/attestation/vuln/v1, https://in-toto.io/attestation/test-result/v0.1]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: sign your own repository}
`

func newDocuments(t *testing.T) *world {
	w := newWorld(t)
	w.policy = documentsPolicy
	return w
}

// statements are those in the log, by predicate type.
func (w *world) statements() map[string][]attest.Statement {
	all := map[string][]attest.Statement{}
	for _, e := range w.logs[0].entries {
		st, err := attest.ParseStatement(e.Payload)
		if err != nil {
			w.t.Fatal(err)
		}
		all[st.PredicateType] = append(all[st.PredicateType], st)
	}
	return all
}

func stored(content string) *signer.Stored {
	return &signer.Stored{From: strings.NewReader(content), Size: int64(len(content)), Digest: attest.DigestOf([]byte(content))}
}

func documents(all ...signer.Document) signer.Request {
	req := goodRequest()
	req.Documents = all
	return req
}

// sbomOf is an SPDX document of so many packages.
func sbomOf(packages int) string {
	return `{"spdxVersion": "SPDX-2.3", "creationInfo": {"created": "2026-01-02T03:04:05Z"}, "packages": [` +
		strings.TrimSuffix(strings.Repeat(`{"name": "a library with a long name"},`, packages), ",") + `]}`
}

// TestLargeDocument: an SBOM above the limit is pushed to the registry, and what
// goes through the log names it.
func TestLargeDocument(t *testing.T) {
	w := newDocuments(t)
	s := w.startWith(func(c *signer.Config) { c.Embed = 1000 })
	large := sbomOf(200)
	receipts, err := s.AttestDocuments(t.Context(), documents(
		signer.Document{Name: "small.json", Content: []byte(sbomOf(1))}, signer.Document{Name: "large.json", Kind: "sbom", Stored: stored(large)},
	))
	if err != nil || len(receipts) != 2 {
		t.Fatalf("%d receipts, %v", len(receipts), err)
	}
	if receipts[0].PredicateType != "https://spdx.dev/Document" || receipts[1].PredicateType != attest.PredicateSBOMReference {
		t.Errorf("receipts of %s, %s", receipts[0].PredicateType, receipts[1].PredicateType)
	}
	kept, ok := w.documents[attest.DigestOf([]byte(large))]
	if len(w.documents) != 1 || !ok || kept.MediaType != "application/spdx+json" || kept.Title != "large.json" {
		t.Errorf("in the registry: %+v", w.documents)
	}
	st := w.statements()[attest.PredicateSBOMReference]
	if len(st) != 1 || len(st[0].Predicate) > 1000 || !strings.Contains(string(st[0].Predicate), kept.Digest.Hex()) || !strings.Contains(string(st[0].Predicate), `"packages":200`) {
		t.Errorf("statements %s", st)
	}
	w.check()
	// Again: the same receipts.
	again, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "large.json", Kind: "sbom", Stored: stored(large)}))
	if err != nil || len(again) != 1 || again[0].ID != receipts[1].ID || len(w.logs[0].entries) != 2 {
		t.Errorf("again: %v, %v", again, err)
	}
}

// TestLargeScan: a scan above the limit is a list of findings that names the
// report.
func TestLargeScan(t *testing.T) {
	w := newDocuments(t)
	s := w.startWith(func(c *signer.Config) { c.Embed = 100 })
	report := scanFile("CRITICAL")
	if _, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "trivy.json", Kind: "scan", Content: []byte(report)})); err != nil {
		t.Fatal(err)
	}
	st := w.statements()["https://in-toto.io/attestation/vulns/v0.2"]
	if len(st) != 1 {
		t.Fatalf("%v", w.statements())
	}
	ev, err := attest.ReadEvidence(st[0].PredicateType, st[0].Predicate)
	if err != nil || len(ev.Scan.Findings) != 1 || ev.Scan.Findings[0].Severity != attest.SeverityCritical || ev.Named == nil || ev.Named.Digest != attest.DigestOf([]byte(report)) {
		t.Errorf("%+v, %v", ev, err)
	}
	if w.documents[ev.Named.Digest].Size != int64(len(report)) {
		t.Errorf("in the registry: %+v", w.documents)
	}
}

// TestLargeScanOfAnother: a report that its statement only names is refused if it
// is about another image.
func TestLargeScanOfAnother(t *testing.T) {
	w := newDocuments(t)
	s := w.startWith(func(c *signer.Config) { c.Embed = 100 })
	report := strings.Replace(scanFile("LOW"), `"Results"`, `"ArtifactType": "container_image", "Metadata": {"RepoDigests": ["registry.corp/acme/app@sha256:`+strings.Repeat("0", 64)+`"]}, "Results"`, 1)
	_, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "trivy.json", Content: []byte(report)}))
	if !errors.Is(err, signer.ErrBadRequest) || !errors.Is(err, attest.ErrOtherArtifact) || !strings.Contains(err.Error(), "(hint: scan sha256:") || len(w.intents)+len(w.documents) > 0 {
		t.Errorf("%v, and %d intents, %d documents", err, len(w.intents), len(w.documents))
	}
}

// TestScanInAnSBOM: a CycloneDX document that is handed in as a scan is stated as
// one: its own statement would be read as an SBOM.
func TestScanInAnSBOM(t *testing.T) {
	const both = `{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"timestamp": "2026-01-02T03:04:05Z"},
		"components": [{"type": "library", "name": "openssl", "version": "3.0.1", "bom-ref": "o", "purl": "pkg:deb/debian/openssl@3.0.1"}],
		"vulnerabilities": [{"id": "CVE-2026-1", "ratings": [{"severity": "critical"}], "affects": [{"ref": "o"}]}]}`
	for kind, want := range map[attest.EvidenceKind]string{"scan": "https://in-toto.io/attestation/vulns/v0.2", "sbom": "https://cyclonedx.org/bom", "": "https://cyclonedx.org/bom"} {
		w := newDocuments(t)
		w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: [https://cyclonedx.org/bom, https://in-toto.io/attestation/vulns/v0.2, ", 1)
		if _, err := w.start().AttestDocuments(t.Context(), documents(signer.Document{Name: "bom.json", Kind: kind, Content: []byte(both)})); err != nil {
			t.Errorf("%q: %v", kind, err)
			continue
		}
		st := w.statements()[want]
		if len(st) != 1 {
			t.Fatalf("%q: %v", kind, w.statements())
		}
		ev, err := attest.ReadEvidence(want, st[0].Predicate)
		if err != nil || kind != "" && ev.Kind != kind {
			t.Errorf("%q is read as %s, %v", kind, ev.Kind, err)
		}
		if kind == "scan" && (ev.Named == nil || len(ev.Scan.Findings) != 1 || w.documents[ev.Named.Digest].Size != int64(len(both))) {
			t.Errorf("%+v, kept %v", ev, w.documents)
		}
	}
}

// TestConvertedDocument: what is said in other words is kept as it was, small or
// not.
func TestConvertedDocument(t *testing.T) {
	const junit = `<testsuite name="app"><testcase classname="app" name="starts"/></testsuite>`
	w := newDocuments(t)
	if _, err := w.start().AttestDocuments(t.Context(), documents(signer.Document{Name: "junit.xml", Content: []byte(junit)})); err != nil {
		t.Fatal(err)
	}
	st := w.statements()["https://in-toto.io/attestation/test-result/v0.1"]
	if len(st) != 1 || !strings.Contains(string(st[0].Predicate), `"hallmark_document":{"name":"junit.xml"`) || !strings.Contains(string(st[0].Predicate), attest.DigestOf([]byte(junit)).Hex()) {
		t.Errorf("%s", st)
	}
	if w.documents[attest.DigestOf([]byte(junit))].Size != int64(len(junit)) {
		t.Errorf("in the registry: %+v", w.documents)
	}
}

// TestAllOrNone: of several documents one that is no good, or that the rule does
// not let the job attest, leaves nothing of the others.
func TestAllOrNone(t *testing.T) {
	good := signer.Document{Name: "sbom.json", Content: []byte(sbomFile)}
	for name, bad := range map[string]signer.Document{
		"unreadable":     {Name: "bad", Content: []byte(`{"a": 1}`)},
		"another kind":   {Name: "bad", Kind: "scan", Content: []byte(sbomFile)},
		"not allowed":    {Name: "bad", Content: []byte(`{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": []}`)},
		"forged":         {Name: "bad", Content: []byte(`{"result": "PASSED", "configuration": [], "hallmark_document": {}}`)},
		"changed":        {Name: "bad", Kind: "sbom", Stored: &signer.Stored{From: strings.NewReader(sbomOf(200)), Size: int64(len(sbomOf(200))), Digest: attest.DigestOf(nil)}},
		"large, and not": {Name: "bad", Kind: "sbom", Stored: stored(sbomOf(200)[:2000])},
	} {
		w := newDocuments(t)
		s := w.startWith(func(c *signer.Config) { c.Embed = 1000 })
		if _, err := s.AttestDocuments(t.Context(), documents(good, bad)); err == nil || !strings.Contains(err.Error(), "bad") {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.logs[0].entries)+len(w.intents)+len(w.attached)+len(w.documents) > 0 {
			t.Errorf("%s: something was done", name)
		}
	}
}

// TestUnreadableSpool: what was received and cannot be read again is no fault of who sent it.
func TestUnreadableSpool(t *testing.T) {
	disk := errors.New("read /var/lib/hallmark/spool/document-1: input/output error")
	for _, size := range []int64{100, 2000} {
		w := newDocuments(t)
		s := w.startWith(func(c *signer.Config) { c.Embed = 1000 })
		_, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "a", Kind: "sbom", Stored: &signer.Stored{From: failingAt{disk}, Size: size, Digest: attest.DigestOf(nil)}}))
		if !errors.Is(err, disk) || errors.Is(err, signer.ErrBadRequest) || errors.Is(err, attest.ErrEvidence) || len(w.intents) > 0 {
			t.Errorf("%d bytes: %v", size, err)
		}
		if len(w.audit) != 1 || w.audit[0].Decision != signer.DecisionFailed {
			t.Errorf("%d bytes: recorded as %+v", size, w.audit)
		}
	}
}

type failingAt struct{ err error }

func (f failingAt) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestRegistryGone: a registry that fails in the middle of a document leaves no
// intent, and the same request goes on.
func TestRegistryGone(t *testing.T) {
	w := newDocuments(t)
	s := w.startWith(func(c *signer.Config) { c.Embed = 1000 })
	gone := fmt.Errorf("push: %w", oci.ErrUnavailable)
	n := 0
	w.before = func(port string) {
		if n++; port == "registry" && n > 1 { // after it has resolved the image
			w.down["registry"] = gone
		}
	}
	req := documents(signer.Document{Name: "a", Content: []byte(sbomFile)}, signer.Document{Name: "b", Kind: "sbom", Stored: stored(sbomOf(200))})
	if _, err := s.AttestDocuments(t.Context(), req); !errors.Is(err, oci.ErrUnavailable) || len(w.intents) > 0 {
		t.Errorf("%v, %d intents", err, len(w.intents))
	}
	w.before, w.down = nil, map[string]error{}
	if receipts, err := s.AttestDocuments(t.Context(), req); err != nil || len(receipts) != 2 {
		t.Errorf("again: %v", err)
	}
	w.check()
}

// TestSameDocumentTwice is one statement, and both are answered.
func TestSameDocumentTwice(t *testing.T) {
	w := newDocuments(t)
	one := signer.Document{Name: "a", Content: []byte(sbomFile)}
	receipts, err := w.start().AttestDocuments(t.Context(), documents(one, one))
	if err != nil || len(receipts) != 2 || receipts[0].ID != receipts[1].ID || len(w.logs[0].entries) != 1 {
		t.Errorf("%v, %v, %d entries", receipts, err, len(w.logs[0].entries))
	}
}

// TestCrossing: two requests with the same documents in another order do not
// wait for each other for ever.
func TestCrossing(t *testing.T) {
	w := newDocuments(t)
	s := w.start()
	a, b := signer.Document{Name: "a", Content: []byte(sbomOf(1))}, signer.Document{Name: "b", Content: []byte(sbomOf(2))}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errs := make(chan error)
	for i := range 8 {
		go func() {
			one, other := a, b
			if i%2 == 0 {
				one, other = b, a
			}
			_, err := s.AttestDocuments(ctx, documents(one, other))
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(w.logs[0].entries) != 2 {
		t.Errorf("%d entries", len(w.logs[0].entries))
	}
	w.check()
}

// TestLaterScanIsLater: what comes later in a request is later in the log, among
// documents of a kind.
func TestLaterScanIsLater(t *testing.T) {
	for range 20 {
		w := newDocuments(t)
		var all []signer.Document
		for i := range 5 {
			all = append(all, signer.Document{Name: fmt.Sprint(i), Content: []byte(sbomOf(i + 1))})
		}
		if _, err := w.start().AttestDocuments(t.Context(), documents(all...)); err != nil {
			t.Fatal(err)
		}
		for i, st := range w.statements()["https://spdx.dev/Document"] {
			var said struct{ Packages []any }
			if err := json.Unmarshal(st.Predicate, &said); err != nil || len(said.Packages) != i+1 {
				t.Fatalf("entry %d lists %d packages, %v", i, len(said.Packages), err)
			}
		}
	}
}

// TestPowerCutWithLargeDocuments: the power fails at every call; what was done
// is brought to an end once.
func TestPowerCutWithLargeDocuments(t *testing.T) { powerCutWithDocuments(t, newDocuments) }

// TestPowerCutWithTags: the same where their layers lie under a tag as well.
func TestPowerCutWithTags(t *testing.T) {
	powerCutWithDocuments(t, func(t *testing.T) *world { return newDocuments(t).withTags() })
}

// TestOneTagForAll: the layers of several documents are written at once.
func TestOneTagForAll(t *testing.T) {
	w := newDocuments(t).withTags()
	var all []signer.Document
	for i := range 5 {
		all = append(all, signer.Document{Name: fmt.Sprint(i), Content: []byte(sbomOf(i + 1))})
	}
	receipts, err := w.start().AttestDocuments(t.Context(), documents(all...))
	if err != nil || w.tagWrites != 1 {
		t.Fatalf("%v, the tag was written %d times", err, w.tagWrites)
	}
	for _, tag := range w.tags {
		if len(tag) != len(all) {
			t.Errorf("%d layers", len(tag))
		}
	}
	seen := map[attest.Digest]bool{}
	for i, r := range receipts {
		if len(r.Tags) != 1 || seen[r.Tags[0].Layer] || r.Tags[0].LogIndex != r.LogIndex {
			t.Errorf("receipt %d: %+v", i, r.Tags)
			continue
		}
		seen[r.Tags[0].Layer] = true
	}
	w.check()
}

func powerCutWithDocuments(t *testing.T, world func(*testing.T) *world) {
	large := sbomOf(200)
	for _, after := range []bool{false, true} {
		for cut := 1; ; cut++ {
			w := world(t)
			start := func() *signer.Service { return w.startWith(func(c *signer.Config) { c.Embed = 1000 }) }
			req := documents(signer.Document{Name: "a", Content: []byte(sbomFile)}, signer.Document{Name: "b", Kind: "sbom", Stored: stored(large)})
			s := start()
			w.cutAt, w.after = cut, after
			if !untilPowerFails(func() { _, _ = s.AttestDocuments(t.Context(), req) }) {
				if cut < 15 {
					t.Errorf("only %d places where the power can fail", cut)
				}
				break
			}
			w.check()
			s = start()
			if _, _, err := s.Recover(t.Context()); err != nil {
				t.Fatalf("cut at %d: recover: %v", cut, err)
			}
			if _, err := s.AttestDocuments(t.Context(), req); err != nil {
				t.Fatalf("cut at %d (after: %v): %v", cut, after, err)
			}
			w.check()
			if n := len(w.logs[0].entries); n != 2 {
				t.Fatalf("cut at %d (after: %v): %d entries", cut, after, n)
			}
			// Whatever is attached names a document that is there.
			for _, st := range w.statements()[attest.PredicateSBOMReference] {
				if !bytes.Contains(st.Predicate, []byte(attest.DigestOf([]byte(large)).Hex())) || len(w.documents) != 1 {
					t.Fatalf("%s, %d documents", st.Predicate, len(w.documents))
				}
			}
		}
	}
}

// TestPlatforms: statements about the index, one platform or all.
func TestPlatforms(t *testing.T) {
	image := func(platform string) oci.PlatformImage {
		return oci.PlatformImage{Platform: platform, Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Digest: attest.DigestOf([]byte(platform)), Kind: oci.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1,
		}}
	}
	amd64, arm64 := image("linux/amd64"), image("linux/arm64")
	for platform, want := range map[string][]attest.Digest{
		"": {theImage}, "linux/amd64": {amd64.Digest}, "all": {amd64.Digest, arm64.Digest}, "linux/s390x": nil, "index": nil, // the world's artifact is none
	} {
		w := newDocuments(t)
		w.images = []oci.PlatformImage{amd64, arm64}
		if platform != "index" {
			w.kind = oci.KindIndex
		}
		req := documents(signer.Document{Name: "a", Content: []byte(sbomFile)}, signer.Document{Name: "b", Content: []byte(scanFile("LOW"))})
		req.Platform = platform
		receipts, err := w.start().AttestDocuments(t.Context(), req)
		if (err == nil) != (want != nil) || (err != nil && !errors.Is(err, signer.ErrBadRequest) && !errors.Is(err, oci.ErrNoPlatform)) {
			t.Errorf("%q: %v", platform, err)
			continue
		}
		if len(receipts) != 2*len(want) {
			t.Errorf("%q: %d receipts", platform, len(receipts))
			continue
		}
		for i, r := range receipts {
			if r.Digest != want[i%len(want)] {
				t.Errorf("%q: receipt %d is about %s", platform, i, r.Digest)
			}
		}
		w.check()
	}
}
