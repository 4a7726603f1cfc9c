// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestRanges: what a range of versions means for CVE-2026-1 of a package: an excuse needs certainty, taking one back needs a doubt.
func TestRanges(t *testing.T) {
	p := parse(t, gated(fullGate))
	const debian, npm, redhat = "pkg:deb/debian/openssl@3.0.1?arch=amd64", "pkg:npm/%40acme/a@1.2.3", "pkg:rpm/redhat/openssl@1.1.1k-6.el8?arch=x86_64&epoch=1"
	of := func(id string, versions ...string) policy.VEXProduct {
		return policy.VEXProduct{IDs: []string{id}, Versions: versions}
	}
	part := func(id string) policy.VEXProduct {
		return policy.VEXProduct{IDs: []string{"pkg:oci/app"}, Subcomponents: []string{id}}
	}
	for name, tc := range map[string]struct {
		purl               string
		product            policy.VEXProduct
		excuses, takesBack bool
	}{
		"in the range":                       {debian, of("pkg:deb/debian/openssl", "vers:deb/>=3|<3.0.2"), true, true},
		"not in the range":                   {debian, of("pkg:deb/debian/openssl", "vers:deb/<3.0.1"), false, false},
		"in one of two":                      {debian, of("pkg:deb/debian/openssl", "vers:deb/<2", "vers:deb/3.0.1"), true, true},
		"in a range or exact":                {debian, of("pkg:deb/debian/openssl", "vers:deb/<2", "3.0.1"), true, true},
		"another exact version":              {debian, of("pkg:deb/debian/openssl", "3.0.2"), false, false},
		"an exact version, another way":      {npm, of("pkg:npm/%40acme/a", "v1.2.3"), true, true},
		"an exact version nobody compares":   {npm, of("pkg:npm/%40acme/a", "latest"), false, true},
		"of another ecosystem":               {debian, of("pkg:deb/debian/openssl", "vers:npm/>=3|<4"), false, true},
		"semver, of one that has it":         {npm, of("pkg:npm/%40acme/a", "vers:semver/>=1.0.0|<2.0.0"), true, true},
		"semver, of one that has it not":     {debian, of("pkg:deb/debian/openssl", "vers:semver/>=3.0.0|<4.0.0"), false, true},
		"a range of no scheme we know":       {debian, of("pkg:deb/debian/openssl", "vers:conan/>=3|<4"), false, true},
		"a range that is none":               {debian, of("pkg:deb/debian/openssl", "vers:deb/>=4|<3"), false, true},
		"beside one that does not parse":     {debian, of("pkg:deb/debian/openssl", "vers:deb/>=3|<4", "vers:deb/"), true, true},
		"every version":                      {debian, of("pkg:deb/debian/openssl", "vers:all/*"), true, true},
		"no version":                         {debian, of("pkg:deb/debian/openssl", "vers:none/*"), false, false},
		"all but one":                        {debian, of("pkg:deb/debian/openssl", "vers:deb/!=2"), false, true},
		"another package":                    {debian, of("pkg:deb/debian/zlib", "vers:deb/*"), false, false},
		"the package's version, and a range": {debian, of("pkg:deb/debian/openssl@3.0.1", "vers:deb/<2"), false, false},
		"an epoch in a qualifier":            {redhat, of("pkg:rpm/redhat/openssl", "vers:rpm/>=1:1.1.1k-1|<1:1.1.1k-7"), true, true},
		"without the epoch":                  {redhat, of("pkg:rpm/redhat/openssl", "vers:rpm/<1.1.1k-7"), false, false},
		"the whole image in a range":         {debian, of("pkg:oci/app", "vers:semver/<2"), false, true},
		"the image by its digest":            {debian, of("pkg:oci/app", digest), true, true},
		"the image by another digest":        {debian, of("pkg:oci/app", otherImage), false, false},
		"the image by tag":                   {debian, of("pkg:oci/app", "v1"), false, true},
		"a range in the name":                {debian, part("pkg:deb/debian/openssl?vers=vers:deb%2F%3E%3D3%7C%3C3.0.2"), true, true},
		"not in the name's range":            {debian, part("pkg:deb/debian/openssl?vers=vers:deb%2F%3C3"), false, false},
		"a name's range that is none":        {debian, part("pkg:deb/debian/openssl?vers=3.0.1"), false, true},
		"a name with version and range":      {debian, part("pkg:deb/debian/openssl@3.0.1?vers=vers:deb%2F*"), false, true},
		"a name's range and an attribute":    {debian, part("pkg:deb/debian/openssl?vers=vers:deb%2F*&arch=arm64"), false, false},
	} {
		critical := finding("CVE-2026-1", "critical")
		critical.PURL, critical.Version = tc.purl, ""
		says := func(status string) policy.Document {
			return vexBy(security, func(s *policy.VEXStatement) { s.Status, s.Products = status, []policy.VEXProduct{tc.product} })
		}
		if r := decideOn(p, append(replaced(scanOf(nil, critical)), says("not_affected"))).Refusal(); (r == nil) != tc.excuses {
			t.Errorf("%s: excused %v: %v", name, r == nil, r)
		}
		later := with2(says("affected"), func(d *policy.Document) { d.At, d.Bundle = d.At.Add(time.Minute), "sha256:later" })
		excuse := vexBy(security, func(s *policy.VEXStatement) { s.Products = nil }) // of the whole image
		if r := decideOn(p, append(replaced(scanOf(nil, critical)), excuse, later)).Refusal(); (r != nil) != tc.takesBack {
			t.Errorf("%s: taken back %v: %v", name, r != nil, r)
		}
	}
	// A package URL without a version has the finding's.
	critical := finding("CVE-2026-1", "critical")
	critical.PURL, critical.Version = "pkg:deb/debian/openssl", "3.0.1"
	ranged := vexBy(security, func(s *policy.VEXStatement) {
		s.Products = []policy.VEXProduct{of("pkg:deb/debian/openssl", "vers:deb/<3.0.2")}
	})
	if r := decideOn(p, append(replaced(scanOf(nil, critical)), ranged)).Refusal(); r != nil {
		t.Error(r)
	}
}
