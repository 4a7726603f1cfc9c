// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestLogSearchShows: a search shows what entries are about, if it names that or
// a receipt does, and who signed them.
func TestLogSearchShows(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	workflow, attestor := "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", "https://hallmark.example/attestor"
	entries := []logHint{
		{Log: "v1", Index: 5, GlobalIndex: 45, UUID: "u5", Kind: "dsse", APIVersion: "0.0.1", IntegratedTime: 1760000006, Signers: []logSigner{{Identity: workflow, Issuer: "https://token.example"}}},
		{Log: "v1", Index: 6, GlobalIndex: 46, UUID: "u6", Kind: "dsse", APIVersion: "0.0.1", IntegratedTime: 1760000007, Signers: []logSigner{{Identity: attestor, Issuer: "https://hallmark.example"}}},
		{Log: "v2", Index: 6, GlobalIndex: 6, UUID: "u7", Kind: "hashedrekord", APIVersion: "0.0.2", Signers: []logSigner{{Key: "sha256:" + strings.Repeat("c", 64)}}},
		{Log: "v2", Index: 7, GlobalIndex: 7, UUID: "u8", Kind: "\x1b[2J"},
	}
	image := "registry.example/acme/app@" + digest
	receipts := []signer.Receipt{
		{Action: signer.ActionSign, Image: image, PredicateType: attest.PredicateSignature, Requester: workflow, Attached: signer.Attached{LogID: "aa", LogIndex: 45}},
		{Action: signer.ActionAttest, Image: image, PredicateType: "https://spdx.dev/Document", Requester: workflow, Attached: signer.Attached{LogID: "aa", LogIndex: 46},
			Others: []signer.Attached{{LogID: "bb", LogIndex: 6}}},
		{Action: signer.ActionAttest, Image: "elsewhere", Attached: signer.Attached{LogID: "bb", LogIndex: 45}}, // the same index of another log
	}
	asked := 0
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	answer("/hallmark/v1/search", searchPage{Entries: entries})
	answer("/hallmark/v1/logs", map[string]any{"logs": []logRow{{Name: "v1", LogID: "aa"}, {Name: "v2", LogID: "bb"}}})
	answer("/hallmark/v1/artifacts/"+digest, map[string]any{"receipts": receipts})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	search := func(args ...string) string {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"log", "search", "--server", server.URL}, args...), environment{getenv: func(string) string { return "" }, stdout: &out, stderr: &errs})
		if code != exitYes {
			t.Fatalf("%q: exit %d, %s", args, code, errs.String())
		}
		return out.String()
	}
	lines := strings.Split(search(digest), "\n")
	for i, want := range []string{
		"LOG  INDEX  TIME                     KIND                ARTIFACT",
		"v1   5      2025-10-09 08:53:26 UTC  dsse 0.0.1          acme/app@sha256:aaaaaaaaaaaa signature                  " + workflow + " (https://token.example)",
		"acme/app@sha256:aaaaaaaaaaaa https://spdx.dev/Document  " + attestor + " (https://hallmark.example), for " + workflow,
		"acme/app@sha256:aaaaaaaaaaaa https://spdx.dev/Document  key sha256:cccccccccccc, for " + workflow,
		"sha256:aaaaaaaaaaaa -", // found by the digest, and no receipt of ours
	} {
		if i >= len(lines) || !strings.Contains(strings.Join(strings.Fields(lines[i]), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("line %d: want %q in\n%s", i, want, strings.Join(lines, "\n"))
		}
	}
	if strings.Contains(strings.Join(lines, ""), "\x1b") {
		t.Error("a control character reaches the terminal")
	}
	var document struct{ Entries []foundHint }
	if err := json.Unmarshal([]byte(search(digest, "-o", "json")), &document); err != nil {
		t.Fatal(err)
	}
	if d := document.Entries; len(d) != 4 || d[0].UUID != "u5" || d[0].Signers[0].Identity != workflow || d[1].Receipt.PredicateType != "https://spdx.dev/Document" || d[3].Receipt != nil || d[3].Artifact != digest {
		t.Errorf("%+v", d)
	}

	// A repository is what it is about, if nothing else can be; then nothing is looked up.
	asked = 0
	if got := search("image:registry.example/acme/app"); !strings.Contains(got, "registry.example/acme/app  "+workflow) || asked != 1 {
		t.Errorf("asked %d times:\n%s", asked, got)
	}
	if got := search("image:registry.example/acme/app", "identity:"+workflow); strings.Contains(got, "registry.example") {
		t.Errorf("of any of two terms:\n%s", got)
	}
	if got := search("image:registry.example/acme/app", "identity:"+workflow, "--all"); !slices.ContainsFunc(strings.Split(got, "\n"), func(s string) bool { return strings.Contains(s, "registry.example/acme/app  "+attestor) }) {
		t.Errorf("of all of two terms:\n%s", got)
	}
}
