// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestWrittenOpenVEX: what CycloneDX becomes has all that OpenVEX 0.2.0 requires of a document.
func TestWrittenOpenVEX(t *testing.T) {
	const statements = `"components": [{"name": "x"}], "vulnerabilities": [{"id": "CVE-2026-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "pkg:npm/a@1"}]}]}`
	const metadata = `"metadata": {"timestamp": "2026-11-30T10:00:00Z", "tools": [{"name": "vexer"}]}, `
	type written struct {
		ID        string `json:"@id"`
		Author    string
		Timestamp string
		Version   json.Number
	}
	of := func(more string) (out written, v *attest.VEX) {
		t.Helper()
		d, err := attest.ReadDocumentAs("vex", "f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", `+more+statements))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(d.Predicate, &out); err != nil {
			t.Fatal(err)
		}
		if problem := sameAgain(d); problem != "" {
			t.Error(problem)
		}
		ev, err := attest.ReadEvidence(d.PredicateType, d.Predicate)
		if err != nil {
			t.Fatal(err)
		}
		return out, ev.VEX
	}
	one, v := of(metadata)
	if one.Author != "vexer" || one.Timestamp != "2026-11-30T10:00:00Z" || one.Version != "1" || !strings.HasPrefix(one.ID, "https://hallmark.dev/vex/") || !v.At.Equal(at) {
		t.Errorf("%+v, %v", one, v)
	}
	if again, _ := of(metadata); again != one {
		t.Errorf("%+v, then %+v", one, again)
	}
	// Of a document without a time nobody makes one up: its statements would be as old as that.
	other, v := of("")
	if other.Author != "cyclonedx" || other.Timestamp != "" || other.ID == one.ID || !v.Statements[0].At.IsZero() {
		t.Errorf("%+v, %+v", other, v)
	}
}
