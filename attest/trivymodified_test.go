// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestTrivyShowsOnlyIgnored: a report whose only finding was taken away by an ignore file is a report on what that finding is of.
func TestTrivyShowsOnlyIgnored(t *testing.T) {
	d, err := attest.ReadDocument("f", []byte(`{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Target": "Dockerfile", "ExperimentalModifiedFindings": [
		{"Type": "misconfiguration", "Status": "ignored", "Source": ".trivyignore", "Finding": {"ID": "DS002", "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": {"StartLine": 3}}},
		{"Type": "misconfiguration", "Status": "ignored", "Finding": {"ID": "DS003", "Status": "PASS"}}, {"Type": "other", "Finding": {}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c := d.Evidence.Check
	if c == nil || len(c.Findings) != 1 || c.Findings[0].ID != "DS002" || c.Findings[0].Suppressed.By != ".trivyignore" || c.Findings[0].Locations[0] != "Dockerfile:3" || c.Nothing != "" {
		t.Errorf("%+v", d.Evidence)
	}
}
