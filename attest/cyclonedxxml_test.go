// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestCycloneDXXMLIsTheJSON: the same document says the same in both forms.
func TestCycloneDXXMLIsTheJSON(t *testing.T) {
	// The one that only its author can resolve has no place in what the XML becomes.
	without, _, _ := strings.Cut(cdxVEX, `,
		{"id": "CVE-2026-0004"`)
	for name, pair := range map[string]struct{ want, xml, json string }{
		"scan": {"scan", cdxScanXML, cdxScan}, "vex": {"", cdxVEXXML, without + "]}"}, "as vex": {"vex", cdxVEXXML, without + "]}"},
	} {
		asXML, err := attest.ReadDocumentAs(pair.want, "f", []byte(pair.xml))
		if err != nil {
			t.Fatal(name, err)
		}
		asJSON, err := attest.ReadDocumentAs(pair.want, "f", []byte(pair.json))
		if err != nil {
			t.Fatal(name, err)
		}
		if x, j := asXML.Evidence, asJSON.Evidence; !reflect.DeepEqual(x.Scan, j.Scan) || !reflect.DeepEqual(x.VEX, j.VEX) || x.Kind != j.Kind {
			t.Errorf("%s: %+v %+v\nas JSON %+v %+v", name, x.Scan, x.VEX, j.Scan, j.VEX)
		}
		if asXML.Original.Digest != attest.DigestOf([]byte(pair.xml)) || asXML.Original.MediaType != "application/vnd.cyclonedx+xml" || asXML.Embedded {
			t.Errorf("%s: %+v", name, asXML.Original)
		}
	}
	// The versions are in what it becomes.
	d, err := attest.ReadDocument("f", []byte(cdxVEXXML))
	if err != nil || !strings.Contains(string(d.Predicate), `{"@id":"pkg:deb/debian/openssl?vers=vers:deb%2F%3E%3D3.0.2%7C%3C3.1"}`) || !strings.Contains(string(d.Predicate), `{"@id":"pkg:deb/debian/zlib@1.4"}`) {
		t.Errorf("%s, %v", d.Predicate, err)
	}
}

func TestCycloneDXXMLErrors(t *testing.T) {
	for _, tc := range []struct{ want, from, to, says string }{
		{"scan", "", "", "vulnerabilities: missing: an SBOM without that list is neither a scan nor VEX, and not clean"},
		{"vex", "", "", "vulnerabilities: missing"},
		{"scan", "</components>\n</bom>", "</components><vulnerabilities/></bom>", "vulnerabilities: empty, which does not say that anybody has looked"},
		{"scan", "</components>\n</bom>", "</components><vulnerabilities/><vulnerabilities/></bom>", "line 9: vulnerabilities appears twice"},
		{"scan", "</components>\n</bom>", "</components><vulnerabilities><vulnerability/></vulnerabilities></bom>", "vulnerabilities.vulnerability[0].id: missing"},
		{"scan", "</components>\n</bom>", "</components><vulnerabilities><vulnerability><id>CVE-1</id><ratings><rating><score>high</score></rating></ratings></vulnerability></vulnerabilities></bom>", `line 9: score "high" is not a number`},
		{"vex", "</components>\n</bom>", "</components><vulnerabilities><vulnerability><id>CVE-1</id></vulnerability></vulnerabilities></bom>", `vulnerabilities.vulnerability[0].analysis.state: "", want resolved`},
		{"vex", "</components>\n</bom>", "</components><vulnerabilities><vulnerability><id>CVE-1</id><analysis><state>resolved</state></analysis></vulnerability></vulnerabilities></bom>", "vulnerabilities.vulnerability[0].affects: missing"},
		{"vex", "</components>\n</bom>", "</components><vulnerabilities><vulnerability><id>CVE-1</id><analysis><state>resolved</state></analysis><affects><target><ref>x</ref></target></affects></vulnerability></vulnerabilities></bom>", "that OpenVEX cannot name"},
		{"scan", `type="library"><name>a`, `bom-ref="d" type="library"><name>a`, "vulnerabilities: missing"},
		{"scan", `type="library"`, `bom-ref="d" type="library"`, `bom-ref "d" appears twice`},
		{"test", "", "", `is a document of kind sbom, not "test"`},
	} {
		file := strings.ReplaceAll(cdxXML, tc.from, tc.to)
		if tc.from == "" {
			file = cdxXML
		}
		if _, err := attest.ReadDocumentAs(tc.want, "bom.xml", []byte(file)); !errors.Is(err, attest.ErrEvidence) || !strings.HasPrefix(err.Error(), "bom.xml: cyclonedx-xml: ") || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s as %s: %v\nwant %s", tc.to, tc.want, err, tc.says)
		}
	}
}

// TestXMLNamesCost: an element with a long name costs once, and not for each that is in it.
func TestXMLNamesCost(t *testing.T) {
	name := strings.Repeat("A", 100_000)
	for _, root := range []string{`<bom xmlns="http://cyclonedx.org/schema/bom/1.5">%</bom>`, `<testsuites>%</testsuites>`} {
		file := []byte(strings.ReplaceAll(root, "%", "<"+name+">"+strings.Repeat("<a/>", 5000)+"</"+name+">"))
		for _, want := range []string{"", "scan", "vex", "sbom", "test"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = attest.ReadDocumentAs(want, "f.xml", file) // is nothing of that kind
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
				t.Errorf("%.12s as %q: %d bytes of XML made %d MB", root, want, len(file), took>>20)
			}
		}
	}
}
