// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// Which statements excuse CVE-2026-1 of pkg:deb/debian/openssl@3.0.1.
func TestExcuses(t *testing.T) {
	p := parse(t, gated(fullGate))
	critical := finding("CVE-2026-1", "critical")
	critical.Aliases = []string{"DSA-1"}
	products := func(list ...policy.VEXProduct) func(*policy.VEXStatement) {
		return func(s *policy.VEXStatement) { s.Products = list }
	}
	product := func(id string, subcomponents ...string) policy.VEXProduct {
		return policy.VEXProduct{IDs: []string{id}, Subcomponents: subcomponents}
	}
	for name, tc := range map[string]struct {
		change  func(*policy.VEXStatement)
		excuses bool
	}{
		"the package in the image":            {nil, true},
		"fixed":                               {func(s *policy.VEXStatement) { s.Status = "fixed" }, true},
		"affected":                            {func(s *policy.VEXStatement) { s.Status = "affected" }, false},
		"under investigation":                 {func(s *policy.VEXStatement) { s.Status = "under_investigation" }, false},
		"another status":                      {func(s *policy.VEXStatement) { s.Status = "NOT_AFFECTED" }, false},
		"another vulnerability":               {func(s *policy.VEXStatement) { s.Vulnerability = "CVE-2026-10" }, false},
		"by the finding's alias":              {func(s *policy.VEXStatement) { s.Vulnerability = "dsa-1" }, true},
		"by the statement's alias":            {func(s *policy.VEXStatement) { s.Vulnerability, s.Aliases = "GHSA-1", []string{"cve-2026-1"} }, true},
		"no product: the digest is signed":    {products(), true},
		"the whole image":                     {products(product("pkg:oci/app")), true},
		"the image by its digest":             {products(product("pkg:oci/app@sha256%3A" + digest[7:])), true},
		"another image's digest":              {products(product("pkg:oci/app@sha256%3A" + otherImage[7:])), false},
		"the image, with qualifiers":          {products(product("pkg:oci/app@"+digest+"?repository_url=r.example/app", "pkg:deb/debian/openssl@3.0.1?arch=arm64")), true},
		"another version of the package":      {products(product("pkg:oci/app", "pkg:deb/debian/openssl@3.0.0")), false},
		"another package":                     {products(product("pkg:oci/app", "pkg:deb/debian/openssl-dev")), false},
		"another type":                        {products(product("pkg:oci/app", "pkg:rpm/debian/openssl")), false},
		"one of several packages":             {products(product("pkg:oci/app", "pkg:deb/debian/zlib", "pkg:deb/debian/openssl")), true},
		"the package as the product":          {products(product("pkg:deb/debian/openssl@3.0.1")), true},
		"the package, of which a part":        {products(product("pkg:deb/debian/openssl@3.0.1", "pkg:deb/debian/openssl")), false},
		"another package as the product":      {products(product("pkg:deb/debian/zlib")), false},
		"a product with another kind of name": {products(product("https://acme.example/app", "pkg:deb/debian/openssl")), true},
		"one of several products":             {products(product("pkg:deb/debian/zlib"), product("pkg:oci/app")), true},
		"not a purl":                          {products(product("pkg:oci")), false},
	} {
		r := decideOn(p, append(replaced(scanOf(nil, critical)), vexBy(security, tc.change))).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
	// A finding without a purl is excused for the whole image only.
	critical.PURL = ""
	if decideOn(p, append(replaced(scanOf(nil, critical)), vexBy(security, nil))).Refusal() == nil {
		t.Error("a package without a purl is taken for the one that is meant")
	}
	if r := decideOn(p, append(replaced(scanOf(nil, critical)), vexBy(security, products()))).Refusal(); r != nil {
		t.Error(r)
	}
}

// Of several statements the newest counts, by the log and then by its own time.
func TestNewestStatementCounts(t *testing.T) {
	p := parse(t, gated(fullGate))
	status := func(word string, own time.Time) policy.VEXStatement {
		return policy.VEXStatement{Vulnerability: "CVE-2026-1", Status: word, At: own}
	}
	logged := func(minutes int, index int64, statements ...policy.VEXStatement) policy.Document {
		return with2(vexBy(security, nil), func(d *policy.Document) {
			d.At, d.LogIndex, d.VEX = judgedAt.Add(-time.Duration(minutes)*time.Minute), index, statements
		})
	}
	early, late := judgedAt.AddDate(0, -2, 0), judgedAt.AddDate(0, -1, 0)
	for name, tc := range map[string]struct {
		documents []policy.Document
		excuses   bool
	}{
		"taken back":                   {[]policy.Document{logged(20, 1, status("not_affected", late)), logged(10, 2, status("affected", early))}, false},
		"excused after all":            {[]policy.Document{logged(10, 2, status("not_affected", early)), logged(20, 1, status("affected", late))}, true},
		"same time, by log index":      {[]policy.Document{logged(10, 2, status("affected", early)), logged(10, 1, status("not_affected", late))}, false},
		"one document, by its times":   {[]policy.Document{logged(10, 1, status("affected", late), status("not_affected", early))}, false},
		"one document, the other way":  {[]policy.Document{logged(10, 1, status("affected", early), status("not_affected", late))}, true},
		"under investigation is newer": {[]policy.Document{logged(20, 1, status("not_affected", early)), logged(10, 2, status("under_investigation", late))}, false},
		"taken back by somebody else":  {[]policy.Document{logged(20, 1, status("not_affected", early)), with2(logged(10, 2, status("affected", late)), func(d *policy.Document) { d.Author = "https://elsewhere.example" })}, true},
	} {
		r := decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), tc.documents...)).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestAuthorsByPattern(t *testing.T) {
	p := parse(t, gated(`
scan:
  maxAge: 24h
  vex: [{authorRegexp: 'https://github[.]com/acme/[a-z]+/[.]github/workflows/vex[.]yml@refs/heads/main'}]
conditions:
- {name: no-critical, expression: 'evidence.scan.findings.all(f, f.excused || !f.atLeast("critical"))', message: m}`))
	for author, excuses := range map[string]bool{security: true, security + "-by-mallory": false, "x" + security: false, "": false} {
		r := decideOn(p, []policy.Document{scanOf(nil, finding("CVE-2026-1", "critical")), vexBy(author, nil)}).Refusal()
		if (r == nil) != excuses {
			t.Errorf("%q: %v", author, r)
		}
	}
}
