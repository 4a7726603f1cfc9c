// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestPartsBody: the body has the size that is said, and the documents byte for
// byte.
func TestPartsBody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sbom.json")
	content := "{\"a\": 1}\r\n--hallmark-\r\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &evidenceFlags{extras: extras{platform: "all", dependencies: []string{"pkg:oci/base@1@sha256:" + strings.Repeat("a", 64)}, byproducts: []string{"log=" + path}}}
	documents := []evidenceFile{
		{path: path, name: "sbom.json", kind: "sbom"}, {path: "-", name: "standard input", content: []byte("x"), size: 1, digest: attest.DigestOf([]byte("x"))},
	}
	p, err := f.newParts("registry.example/acme/app", documents)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(body)
	if err != nil || int64(len(raw)) != p.size() {
		t.Fatalf("%d bytes, said were %d, %v", len(raw), p.size(), err)
	}
	reader := multipart.NewReader(strings.NewReader(string(raw)), p.boundary)
	var got []string
	for {
		part, err := reader.NextRawPart()
		if err != nil {
			break
		}
		b, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part.FormName(), string(b))
	}
	if len(got) != 6 || got[0] != "request" || got[3] != content || got[5] != "x" {
		t.Fatalf("parts %q", got)
	}
	var request struct {
		Platform string
		Evidence []struct {
			Part, Kind string
			Digest     attest.Digest
			Size       int64
		}
		Dependencies, Byproducts []resource
	}
	if err := json.Unmarshal([]byte(got[1]), &request); err != nil || request.Platform != "all" || len(request.Evidence) != 2 || request.Evidence[0].Digest != attest.DigestOf([]byte(content)) ||
		request.Evidence[0].Part != got[2] || request.Dependencies[0].URI != "pkg:oci/base@1" || request.Byproducts[0].Digest["sha256"] != attest.DigestOf([]byte(content)).Hex() {
		t.Errorf("request %s, %v", got[1], err)
	}
}

func TestBadExtras(t *testing.T) {
	for name, x := range map[string]extras{
		"no digest": {dependencies: []string{"https://x.example/a"}}, "no URI": {dependencies: []string{"@sha256:00"}}, "no value": {dependencies: []string{"a@sha256:"}},
		"no file": {byproducts: []string{"log"}}, "nowhere": {byproducts: []string{"log=" + filepath.Join(t.TempDir(), "nowhere")}},
	} {
		if _, _, err := x.claims(); err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := &evidenceFlags{}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.newParts("i", []evidenceFile{{path: empty, name: "empty"}}); err == nil {
		t.Error("an empty document is sent")
	}
}

// TestPipes: what a program writes into a pipe, as --sbom <(syft IMAGE) does, is read once, and is there when it is hashed, sent, and sent again.
func TestPipes(t *testing.T) {
	none := map[attest.EvidenceKind]*[]string{}
	for _, k := range evidenceKinds {
		none[k.kind] = new([]string)
	}
	f := &evidenceFlags{files: none}
	for _, name := range []string{"one", "other"} {
		path := filepath.Join(t.TempDir(), name)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f.extras.evidence = append(f.extras.evidence, path)
		go func() { _ = os.WriteFile(path, []byte("content of "+name), 0o600) }() // the test fails if it does
	}
	documents, err := f.list(environment{}, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"one", "other"} {
		want := "content of " + name
		if d := documents[i]; string(d.content) != want || d.size != int64(len(want)) || d.digest != attest.DigestOf([]byte(want)) || d.name != name {
			t.Errorf("%s: %+v", name, d)
		}
	}
	p, err := f.newParts("i", documents)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		body, err := p.open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(body)
		if err != nil || int64(len(raw)) != p.size() || !strings.Contains(string(raw), "content of other") {
			t.Errorf("%d bytes, said were %d, %v", len(raw), p.size(), err)
		}
	}
}
