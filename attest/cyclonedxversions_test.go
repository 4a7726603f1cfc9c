// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestCycloneDXVersions: an analysis speaks of the versions that it can mean.
func TestCycloneDXVersions(t *testing.T) {
	for _, tc := range []struct {
		state, versions string
		want            []string
		unresolved      bool
	}{
		{"not_affected", `{"version": "1"}, {"range": "vers:npm/<1"}`, []string{"1", "vers:npm/<1"}, false},
		{"not_affected", `{"version": "1", "status": "affected"}`, []string{"1"}, false},
		{"not_affected", `{"version": "1", "status": "unaffected"}, {"version": "2", "status": "affected"}, {"version": "3"}`, []string{"1"}, false},
		{"not_affected", `{"version": "1", "status": "unknown"}`, []string{"vers:none/*"}, false},
		{"resolved", `{"version": "1", "status": "unknown"}, {"version": "2"}`, []string{"2"}, false},
		{"exploitable", `{"version": "1", "status": "unaffected"}, {"version": "2", "status": "unknown"}`, []string{"2"}, false},
		{"exploitable", `{"version": "1", "status": "unaffected"}`, nil, false}, // of which versions, it does not say
		{"not_affected", `{"version": "1", "range": "vers:npm/<1"}`, []string{"vers:none/*"}, true},
		{"not_affected", `{"range": "vers:npm/` + strings.Repeat("1|", 3000) + `2"}`, []string{"vers:none/*"}, true},
	} {
		d, err := attest.ReadDocument("f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"id": "CVE-2026-1", "analysis": {"state": "`+tc.state+`"},
			"affects": [{"ref": "pkg:npm/a", "versions": [`+tc.versions+`]}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if p := d.Evidence.VEX.Statements[0].Products[0]; !reflect.DeepEqual(p.Versions, tc.want) || p.Unresolved != tc.unresolved {
			t.Errorf("%s %.80s: %+v", tc.state, tc.versions, p)
		}
	}
}

// TestLongNames: part of a name means something else, so that none is cut off.
func TestLongNames(t *testing.T) {
	long := "pkg:npm/" + strings.Repeat("a", 1024) + "?arch=x"
	d, err := attest.ReadDocument("f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"id": "CVE-2026-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "`+long+`"}]}]}`))
	if err != nil || !d.Evidence.VEX.Statements[0].Products[0].Unresolved {
		t.Errorf("%+v, %v", d.Evidence.VEX, err)
	}
	for _, product := range []string{`{"@id": "` + long + `"}`, `{"@id": "a", "subcomponents": [{"@id": "` + long + `"}]}`, `{"@id": "a", "identifiers": {"purl": "` + long + `"}}`} {
		_, err = attest.ReadDocument("f", []byte(`{"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "fixed", "products": [`+product+`]}]}`))
		if !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), "$.statements[0].products[0]: a name of more than 1024 bytes") {
			t.Errorf("%.40s: %v", product, err)
		}
	}
}
