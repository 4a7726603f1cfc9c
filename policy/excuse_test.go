// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
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
		"the image, with qualifiers":          {products(product("pkg:oci/app@"+digest+"?repository_url=r.example/app&tag=1", "pkg:deb/debian/openssl@3.0.1?arch=amd64")), true},
		"the package elsewhere":               {products(product("pkg:oci/app", "pkg:deb/debian/openssl@3.0.1?arch=arm64")), false},
		"the package, narrower than known":    {products(product("pkg:oci/app", "pkg:deb/debian/openssl@3.0.1?distro=debian-12")), false},
		"the package, without its version":    {products(product("pkg:oci/app", "pkg:deb/debian/openssl?arch=amd64")), true},
		"an empty qualifier":                  {products(product("pkg:oci/app", "pkg:deb/debian/openssl?distro=")), true},
		"the package in another spelling":     {products(product("pkg:OCI/App", "pkg:DEB/Debian/%6Fpenssl@3%2E0.1?arch=%61md64")), true},
		"a part of the package":               {products(product("pkg:oci/app", "pkg:deb/debian/openssl#lib")), false},
		"another image":                       {products(product("pkg:oci/other")), false},
		"the image by its path":               {products(product("pkg:oci/acme/app")), true},
		"as syft writes it":                   {products(product("pkg:oci/registry.example%3A5000%2Facme%2Fapp")), true},
		"another path":                        {products(product("pkg:oci/globex/app")), false},
		"a longer path":                       {products(product("pkg:oci/globex/acme/app")), false},
		"one of Docker Hub":                   {products(product("pkg:docker/app")), false},
		"of Docker's type, and here":          {products(product("pkg:docker/acme/app?repository_url=registry.example")), true},
		"another image, whose end is ours":    {products(product("pkg:oci/myapp")), false},
		"the image in its repository":         {products(product("pkg:oci/app?repository_url=registry.example/acme/app")), true},
		"the image in its folder":             {products(product("pkg:oci/app?repository_url=registry.example/acme")), true},
		"the image in a repository whose end": {products(product("globex/acme/app", "pkg:deb/debian/openssl")), false},
		"so, in another registry":             {products(product("r.example/globex/acme/app", "pkg:deb/debian/openssl")), false},
		"so, in a package URL":                {products(product("pkg:oci/app?repository_url=r.example/globex/acme/app")), false},
		"the image by its host":               {products(product("localhost:5000/acme/app", "pkg:deb/debian/openssl")), true},
		"the image in another repository":     {products(product("pkg:oci/app?repository_url=registry.example/globex/app")), false},
		"a mirror, by digest":                 {products(product("pkg:oci/debian@sha256%3A" + digest[7:] + "?repository_url=docker.io/library/debian")), true},
		"the image by tag":                    {products(product("pkg:docker/acme/app@v1")), false},
		"the image by tag, in a qualifier":    {products(product("pkg:oci/app?tag=v1")), false},
		"the image, docker's way":             {products(product("pkg:docker/acme/app")), true},
		"the image, docker's way, elsewhere":  {products(product("pkg:docker/globex/app")), false},
		"a reference with digest":             {products(product("registry.example/other@" + digest)), true},
		"a reference with another digest":     {products(product("registry.example/acme/app@" + otherImage)), false},
		"a reference":                         {products(product("registry.example/acme/app")), true},
		"a reference by tag":                  {products(product("registry.example/acme/app:v1")), false},
		"an address that ends like ours":      {products(product("https://elsewhere.example/acme/app")), false},
		"the digest":                          {products(product(digest)), true},
		"another digest":                      {products(product(otherImage)), false},
		"the name, and another's digest":      {products(policy.VEXProduct{IDs: []string{"pkg:oci/app", "pkg:oci/app@" + otherImage}}), false},
		"a name nobody knows, and the digest": {products(policy.VEXProduct{IDs: []string{"https://acme.example/app", "pkg:oci/app@" + digest}}), true},
		"a CPE":                               {products(product("cpe:2.3:a:acme:app:1:*:*:*:*:*:*:*")), false},
		"a document nobody attested":          {products(product("urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1")), false},
		"another version of the package":      {products(product("pkg:oci/app", "pkg:deb/debian/openssl@3.0.0")), false},
		"another package":                     {products(product("pkg:oci/app", "pkg:deb/debian/openssl-dev")), false},
		"another type":                        {products(product("pkg:oci/app", "pkg:rpm/debian/openssl")), false},
		"one of several packages":             {products(product("pkg:oci/app", "pkg:deb/debian/zlib", "pkg:deb/debian/openssl")), true},
		"the package as the product":          {products(product("pkg:deb/debian/openssl@3.0.1")), true},
		"the package, of which a part":        {products(product("pkg:deb/debian/openssl@3.0.1", "pkg:deb/debian/openssl")), false},
		"another package as the product":      {products(product("pkg:deb/debian/zlib")), false},
		"a product with another kind of name": {products(product("https://acme.example/app", "pkg:deb/debian/openssl")), false},
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

// A bare name is that of many repositories. It excuses, because the document is signed about what is judged; signed about anything else, it
// does not, and the same name is no one else's excuse.
func TestBareNames(t *testing.T) {
	p := parse(t, gated(fullGate))
	named := vexBy(security, func(s *policy.VEXStatement) { s.Products = []policy.VEXProduct{{IDs: []string{"pkg:oci/app"}}} })
	critical := append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), with2(named, func(d *policy.Document) { d.Digest = otherImage }))
	if decideOn(p, critical).Refusal() == nil {
		t.Error("signed about another digest, the name excuses")
	}
	critical[len(critical)-1] = named
	if r := decideOn(p, critical).Refusal(); r != nil {
		t.Error(r)
	}
	if decideOn(p, critical, func(in *policy.Input) { in.Repository = "acme/other" }).Refusal() == nil {
		t.Error("the name excuses an image of another one")
	}
}

// What a statement may mean it cannot excuse, but it takes an excuse back.
func TestDoubtTakesBack(t *testing.T) {
	p := parse(t, gated(fullGate))
	for id, takesBack := range map[string]bool{
		"https://acme.example/app": true, "pkg:oci/app?tag=v1": true, "pkg:docker/acme/app@v1": true, "pkg:oci": true, "pkg:deb/debian/openssl?distro=debian-12": true,
		"pkg:oci/other": false, "pkg:oci/app@" + otherImage: false, "pkg:deb/debian/zlib": false, otherImage: false, "pkg:deb/debian/openssl?arch=arm64": false,
	} {
		doubt := with2(vexBy(security, func(s *policy.VEXStatement) {
			s.Status, s.Products = "affected", []policy.VEXProduct{{IDs: []string{id}}}
		}), func(d *policy.Document) { d.At, d.Bundle = d.At.Add(time.Minute), "sha256:later" })
		r := decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), vexBy(security, nil), doubt)).Refusal()
		if (r != nil) != takesBack {
			t.Errorf("affected, later, of %s: %v", id, r)
		}
	}
}

// An advisory of a distribution is about many vulnerabilities: that two have it in common makes them not the same.
func TestAdvisoryIsNoAlias(t *testing.T) {
	p := parse(t, gated(fullGate))
	f := finding("CVE-2026-1", "critical")
	f.Aliases = []string{"DSA-1", "GHSA-1"}
	for ids, excuses := range map[string]bool{
		"CVE-2026-2 DSA-1": false, "DSA-1 CVE-2026-2": false, "DSA-1": true, "DSA-1 cve-2026-1": true, "CVE-2026-2 CVE-2026-1 DSA-1": true, "GHSA-1": true,
	} {
		vex := vexBy(security, func(s *policy.VEXStatement) { all := strings.Fields(ids); s.Vulnerability, s.Aliases = all[0], all[1:] })
		if r := decideOn(p, append(replaced(scanOf(nil, f)), vex)).Refusal(); (r == nil) != excuses {
			t.Errorf("%s: %v", ids, r)
		}
	}
	f.ID, f.Aliases = "DSA-1", nil // a scanner that names no CVE
	if r := decideOn(p, append(replaced(scanOf(nil, f)), vexBy(security, func(s *policy.VEXStatement) { s.Aliases = []string{"DSA-1"} }))).Refusal(); r != nil {
		t.Error(r)
	}
}

// A BOM-Link names the artifact, or a part of it, by a CycloneDX document that is attested about it.
func TestBOMLinks(t *testing.T) {
	p := parse(t, gated(fullGate))
	const serial = "3e671687-395b-41f5-a30f-a58921a69b79/1"
	sbom := func(about string) policy.Document {
		return doc(policy.EvidenceSBOM, func(d *policy.Document) {
			d.SBOM.Serial, d.Digest, d.Bundle, d.LogIndex = serial, about, "sha256:bom", 8
		})
	}
	for name, tc := range map[string]struct {
		link, about string
		parts       []string
		excuses     bool
	}{
		"the document":                {"urn:cdx:" + serial, digest, nil, true},
		"in upper case":               {"urn:cdx:" + strings.ToUpper(serial), digest, nil, true},
		"another version of it":       {"urn:cdx:" + serial + "0", digest, nil, false},
		"of another digest":           {"urn:cdx:" + serial, otherImage, nil, false},
		"its component":               {"urn:cdx:" + serial + "#pkg%3Adeb%2Fdebian%2Fopenssl@3.0.1", digest, nil, true},
		"its component, elsewhere":    {"urn:cdx:" + serial + "#pkg:deb/debian/openssl", otherImage, nil, false},
		"another component":           {"urn:cdx:" + serial + "#pkg:deb/debian/zlib", digest, nil, false},
		"a component nobody can name": {"urn:cdx:" + serial + "#component-7", digest, nil, false},
		"as a part":                   {"pkg:oci/app", digest, []string{"urn:cdx:" + serial + "#pkg:deb/debian/openssl"}, true},
	} {
		vex := vexBy(security, func(s *policy.VEXStatement) {
			s.Products = []policy.VEXProduct{{IDs: []string{tc.link}, Subcomponents: tc.parts}}
		})
		r := decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), sbom(tc.about), vex)).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// Only the SBOM that counts lends its name, and only for what it is about.
func TestLentBOMs(t *testing.T) {
	p := parse(t, gated(strings.Replace(fullGate, "sbom: true\n", "", 1))) // it need not ask for the SBOM
	const serial = "3e671687-395b-41f5-a30f-a58921a69b79/1"
	bom := func(change func(*policy.Document)) policy.Document {
		return doc(policy.EvidenceSBOM, func(d *policy.Document) {
			d.SBOM.Serial, d.Bundle, d.LogIndex = serial, "sha256:bom", 8
			change(d)
		})
	}
	vex := vexBy(security, func(s *policy.VEXStatement) {
		s.Products = []policy.VEXProduct{{IDs: []string{"urn:cdx:" + serial}}}
	})
	for name, tc := range map[string]struct {
		change  func(*policy.Document)
		excuses bool
	}{
		"as it is":               {func(*policy.Document) {}, true},
		"without a package":      {func(d *policy.Document) { d.SBOM.Packages = 0 }, false},
		"without a proven time":  {func(d *policy.Document) { d.At = time.Time{} }, false},
		"from the future":        {func(d *policy.Document) { d.At = judgedAt.Add(time.Hour) }, false},
		"about another artifact": {func(d *policy.Document) { d.Problem = "is about another artifact" }, false},
		"replaced by a newer":    {func(d *policy.Document) { d.LogIndex = 6 }, false}, // good() has one of index 7
		"its next version":       {func(d *policy.Document) { d.SBOM.Serial = serial[:len(serial)-1] + "2" }, false},
	} {
		r := decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), bom(tc.change), vex)).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
	// Of an index each platform has its own: that of one names nothing of another.
	p = parse(t, gated(strings.Replace(fullGate, "sbom: true", "index: platforms", 1)))
	about := func(d policy.Document, digest string) policy.Document {
		return with2(d, func(d *policy.Document) { d.Digest, d.Bundle = digest, d.Bundle+digest })
	}
	bad := scanOf(nil, finding("CVE-2026-1", "critical"))
	for name, tc := range map[string]struct {
		boms    []policy.Document
		excuses bool
	}{
		"of one":       {[]policy.Document{about(bom(func(*policy.Document) {}), otherImage)}, false},
		"of each":      {[]policy.Document{about(bom(func(*policy.Document) {}), otherImage), about(bom(func(*policy.Document) {}), armDigest)}, true},
		"of the index": {[]policy.Document{bom(func(*policy.Document) {})}, true},
	} {
		documents := append([]policy.Document{about(bad, otherImage), about(bad, armDigest), about(doc(policy.EvidenceTest, nil), otherImage), about(doc(policy.EvidenceTest, nil), armDigest), vex}, tc.boms...)
		r := decideOn(p, documents, func(in *policy.Input) { in.Kind, in.Platforms = policy.KindIndex, []string{otherImage, armDigest} }).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// An author's excuses can have an end.
func TestExcusesEnd(t *testing.T) {
	p := parse(t, gated(strings.Replace(fullGate, "heads/main\"}", "heads/main\", maxAge: 90d}", 1)))
	for name, tc := range map[string]struct {
		logged, said int // days ago; said < 0: it does not say
		excuses      bool
	}{
		"new": {1, 2, true}, "logged long ago": {91, 91, false}, "said long ago": {1, 91, false}, "does not say": {1, -1, false}, "at the end": {90, 90, true},
	} {
		vex := with2(vexBy(security, func(s *policy.VEXStatement) {
			if tc.said >= 0 {
				s.At = judgedAt.AddDate(0, 0, -tc.said)
			}
		}), func(d *policy.Document) { d.At = judgedAt.AddDate(0, 0, -tc.logged) })
		r := decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), vex)).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
	}
	// What takes an excuse back does so for ever.
	old := with2(vexBy(security, func(s *policy.VEXStatement) { s.Status, s.At = "affected", judgedAt.AddDate(-1, 0, 0) }), func(d *policy.Document) { d.At = judgedAt.Add(-time.Minute) })
	fresh := vexBy(security, func(s *policy.VEXStatement) { s.At = judgedAt.AddDate(0, 0, -1) })
	if decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), fresh, old)).Refusal() == nil {
		t.Error("a later word of the author does not take the excuse back")
	}
}

// Documents without a proven time, or from the future, excuse nothing.
func TestExcusesNeedATime(t *testing.T) {
	p := parse(t, gated(fullGate))
	for _, at := range []time.Time{{}, judgedAt.Add(time.Hour)} {
		vex := with2(vexBy(security, nil), func(d *policy.Document) { d.At = at })
		if decideOn(p, append(replaced(scanOf(nil, finding("CVE-2026-1", "critical"))), vex)).Refusal() == nil {
			t.Errorf("a document of %s excuses", at)
		}
	}
}

// What is said of one platform says nothing of another; what is said of the index is said of all.
func TestExcusesOfPlatforms(t *testing.T) {
	p := parse(t, gated(strings.Replace(fullGate, "sbom: true", "index: platforms", 1)))
	about := func(d policy.Document, digest string) policy.Document {
		return with2(d, func(d *policy.Document) { d.Digest, d.Bundle = digest, d.Bundle+digest })
	}
	const amd, index = otherImage, digest
	bad := scanOf(nil, finding("CVE-2026-1", "critical"))
	whole := vexBy(security, func(s *policy.VEXStatement) { s.Products = nil })
	of := func(digest string) policy.Document {
		return vexBy(security, func(s *policy.VEXStatement) {
			s.Products = []policy.VEXProduct{{IDs: []string{"pkg:oci/app@" + digest}}}
		})
	}
	for name, tc := range map[string]struct {
		vex     []policy.Document
		excuses bool
	}{
		"none": {nil, false}, "of one": {[]policy.Document{about(whole, amd)}, false}, "of each": {[]policy.Document{about(whole, amd), about(whole, armDigest)}, true},
		"of the index": {[]policy.Document{about(whole, index)}, true}, "of another": {[]policy.Document{about(whole, index+"x")}, false},
		"of the index, about one of them": {[]policy.Document{about(of(amd), index)}, false}, "of the index, about itself": {[]policy.Document{about(of(index), index)}, true},
		"of the index, about each": {[]policy.Document{about(of(amd), index), about(of(armDigest), index)}, true},
	} {
		documents := append([]policy.Document{about(bad, amd), about(bad, armDigest), about(doc(policy.EvidenceTest, nil), amd), about(doc(policy.EvidenceTest, nil), armDigest)}, tc.vex...)
		r := decideOn(p, documents, func(in *policy.Input) { in.Kind, in.Platforms = policy.KindIndex, []string{amd, armDigest} }).Refusal()
		if (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
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
		"the same time, both words":    {[]policy.Document{logged(10, 1, status("affected", late), status("not_affected", late))}, false},
		"and the other way":            {[]policy.Document{logged(10, 1, status("not_affected", late), status("affected", late))}, false},
		"the same time, two logs":      {[]policy.Document{with2(logged(10, 9, status("not_affected", late)), func(d *policy.Document) { d.LogID = "bb" }), logged(10, 2, status("affected", early))}, false},
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
