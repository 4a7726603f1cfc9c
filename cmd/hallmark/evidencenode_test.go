// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// legacySigner signs as under a legacy tag.
type legacySigner struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newLegacySigner(t *testing.T) legacySigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return legacySigner{key, certificate}
}

func (s legacySigner) layer(t *testing.T, digest attest.Digest) oci.TagLayer {
	t.Helper()
	document, err := attest.SimpleSigning("r.example/acme/app", digest)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(document)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return oci.TagLayer{Bytes: document, Signature: signature, Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw})}
}

// A signature under a tag is proven by the certificate of a verified signature, and by nothing else.
func TestLegacyTags(t *testing.T) {
	digest, other := attest.DigestOf([]byte("image")), attest.DigestOf([]byte("other"))
	signer, stranger := newLegacySigner(t), newLegacySigner(t)
	known := []attached{{What: isSignature, Verified: true, Signer: "ci", certificate: signer.certificate}}
	changed := func(l oci.TagLayer, change func(*oci.TagLayer)) oci.TagLayer { change(&l); return l }
	good := signer.layer(t, digest)
	for name, tc := range map[string]struct {
		layer  oci.TagLayer
		known  []attached
		proven bool
	}{
		"the same signer":         {good, known, true},
		"about another image":     {signer.layer(t, other), known, false},
		"somebody else":           {stranger.layer(t, digest), known, false},
		"another's certificate":   {changed(stranger.layer(t, digest), func(l *oci.TagLayer) { l.Certificate = good.Certificate }), known, false},
		"without certificate":     {changed(good, func(l *oci.TagLayer) { l.Certificate = nil }), known, false},
		"other bytes":             {changed(good, func(l *oci.TagLayer) { l.Bytes = append([]byte(" "), l.Bytes...) }), known, false},
		"nothing is verified":     {good, nil, false},
		"the signature did not":   {good, []attached{{What: isSignature, certificate: signer.certificate}}, false},
		"an attestation's signer": {good, []attached{{What: isAttestation, Verified: true, certificate: signer.certificate}}, false},
	} {
		found := (&gatherer{}).legacy(oci.Artifact{Digest: digest}, oci.LegacyTag{Kind: oci.SignatureTag, Layers: []oci.TagLayer{tc.layer}}, tc.known)
		if len(found) != 1 || found[0].Verified != tc.proven || (found[0].Problem == "") != tc.proven || (found[0].Signer == "ci") != tc.proven {
			t.Errorf("%s: %+v", name, found)
		}
	}
	if found := (&gatherer{}).legacy(oci.Artifact{Digest: digest}, oci.LegacyTag{Err: oci.ErrBadManifest}, known); len(found) != 1 || found[0].Verified || !found[0].claims() {
		t.Errorf("junk: %+v", found)
	}
}

func TestFilesOf(t *testing.T) {
	report := `{"SchemaVersion": 2}`
	named := attest.DigestOf([]byte("document"))
	for predicate, want := range map[string][]attest.Digest{
		`{"bomFormat": "CycloneDX"}`:                                {attest.DigestOf([]byte(`{"bomFormat": "CycloneDX"}`))},
		`{"invocation": {}, "scanner": {"result": ` + report + `}}`: {attest.DigestOf([]byte(report))},
		`{"result": "PASSED", "hallmark_document": {"digest": {"sha256": "` + named.Hex() + `"}, "annotations": {"size": 8, "secret": true}}}`: {named, ""},
		`{"result": "PASSED", "hallmark_document": {"digest": {"sha256": "` + named.Hex() + `"}, "downloadLocation": "https://r.example/x"}}`:  {named, ""},
		`{"references": [{"digest": {"sha256": "` + named.Hex() + `"}}, {"digest": {"sha256": "x"}}, {}]}`:                                     {named, ""},
		`{"scanner": {"result": []}}`: {""},
	} {
		files := filesOf([]byte(predicate))
		if len(files) != len(want) {
			t.Errorf("%s: %+v", predicate, files)
			continue
		}
		for i, digest := range want {
			if digest == "" {
				digest = attest.DigestOf([]byte(predicate))
			}
			if files[i].Secret != (digest == named && strings.Contains(predicate, `"secret"`)) {
				t.Errorf("%s: %+v", predicate, files[i])
			}
			if files[i].Digest != digest || files[i].Held != (digest != named) {
				t.Errorf("%s: %+v", predicate, files[i])
			}
		}
	}
}

// The tree says what is named, what is superseded, and nothing that reaches the terminal's controls.
func TestTree(t *testing.T) {
	now := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	named := attest.DigestOf([]byte("document"))
	scan := func(tool string, ago time.Duration) attached {
		at := now.Add(-ago)
		name, version, _ := strings.Cut(tool, " ")
		d := policy.Document{Kind: "scan", Digest: string(named), At: at, Scan: &policy.Scan{Tool: name, Version: version, FinishedAt: at}}
		return attached{evidence: &d, What: isAttestation, Kind: "scan", Tool: tool, Verified: true, Signer: "attestor", SignedAt: now.Add(-ago), Origin: "referrer " + tool + ago.String(), Counts: map[string]int{"findings": 0}}
	}
	tree := subjectTree{Digest: named, Attached: []attached{
		{What: isUnknown, Origin: "referrer z", Problem: "\x1b[2Jverified"},
		{What: isUnsigned, Origin: "referrer b", ArtifactType: "text/plain", layers: []oci.Layer{{Digest: attest.DigestOf([]byte("x"))}}},
		{What: isUnsigned, Origin: "referrer a", ArtifactType: "application/xml", layers: []oci.Layer{{Digest: named}}},
		scan("trivy 1", time.Hour), scan("trivy 0.9", 3*time.Hour), scan("grype 1", 2*time.Hour),
		{What: isAttestation, Kind: "test", Verified: true, Signer: "attestor", SignedAt: now, Documents: []namedFile{{Digest: named, Size: 8, MediaType: "application/xml"}}, Origin: "referrer t"},
	}}
	tree.settle(now)
	superseded := 0
	for _, a := range tree.Attached {
		if a.Superseded {
			superseded++
			if a.Origin != "referrer trivy 0.93h0m0s" {
				t.Errorf("superseded: %s", a.Origin)
			}
		}
	}
	if superseded != 1 {
		t.Errorf("%d are superseded", superseded)
	}
	var out bytes.Buffer
	printTree(&out, evidenceAnswer{subjectTree: tree}, now)
	for _, says := range []string{
		"not verified\t", "├─ document: application/xml\n", "├─ unsigned: text/plain\n", "└─ NOT VERIFIED unknown\n", "trivy 1, 0 findings\n", "document " + string(named) + ", 8 bytes, application/xml", "(1 h old)", string(named) + ", which a verified statement names",
	} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("does not say %q:\n%s", says, out.String())
		}
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("it writes over what it says")
	}
	if reasons := tree.unverified(); len(reasons) != 1 || !strings.Contains(reasons[0], "referrer z does not verify") {
		t.Errorf("reasons %q", reasons)
	}
	if _, err := json.Marshal(evidenceAnswer{subjectTree: tree}); err != nil {
		t.Error(err)
	}
}

func TestSaveFile(t *testing.T) {
	folder, content := t.TempDir(), []byte(`{"a": 1}`)
	digest := attest.DigestOf(content)
	for range 2 { // again is no error
		path, err := saveFile(folder, digest, content)
		if err != nil || path != filepath.Join(folder, "sha256-"+digest.Hex()+".json") {
			t.Fatalf("%s, %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "sha256-"+digest.Hex()+".json"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := saveFile(folder, digest, content); err == nil {
		t.Error("another file of that name is taken for it")
	}
}
