// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInspectEnvelopes: each statement of a file is shown, and none believed.
func TestInspectEnvelopes(t *testing.T) {
	const envelope = `{"payloadType": "application/vnd.in-toto+json", "payload": "eyJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVtZW50L3YxIiwgInN1YmplY3QiOiBbXSwgInByZWRpY2F0ZVR5cGUiOiAiaHR0cHM6Ly9leGFtcGxlLmNvbS94IiwgInByZWRpY2F0ZSI6IHt9fQ==", "signatures": [{"sig": "eA=="}]}`
	path := filepath.Join(t.TempDir(), "two.jsonl")
	if err := os.WriteFile(path, []byte(envelope+"\n"+envelope+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, data, complaints := runInspect(t, "-o", "json", path)
	var all []inspected
	if err := json.Unmarshal([]byte(data), &all); err != nil || code != exitYes || len(all) != 2 {
		t.Fatalf("%d, %s%s, %v", code, data, complaints, err)
	}
	for n, i := range all {
		if i.Kind != "" || i.Carried.Number != n+1 || i.Carried.Verified || i.Carried.Problem == "" || !strings.Contains(strings.Join(i.Gate, " "), "no evidence: no gate looks at") {
			t.Errorf("%+v", i)
		}
	}
}

// TestInspectPrintsNoControl: what a file says does not reach the terminal as
// it is.
func TestInspectPrintsNoControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trivy.json")
	if err := os.WriteFile(path, []byte(`{"SchemaVersion": 2, "ArtifactName": "\u001b[2Japp\nkind\tclean\u202e", "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "C", "Severity": "\u001b]0;x"}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, words, _ := runInspect(t, path)
	if code != exitYes || strings.ContainsAny(words, "\x1b\u202e") || strings.Contains(words, "\nkind\tclean") {
		t.Errorf("%d, %q", code, words)
	}
}
