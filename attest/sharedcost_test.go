// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestSharedCost: what is said once of a vulnerability is read once, however many packages have it.
func TestSharedCost(t *testing.T) {
	const many = 3000
	list := func(format string) string {
		var b strings.Builder
		for i := range many {
			_, _ = fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	members := func(format string) string { return strings.ReplaceAll(list(format), "#", "") }
	for name, tc := range map[string]struct {
		text     string
		findings int
	}{
		"cyclonedx": {`{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"CVE-2026-1","references":[` + list(`{"id":"GHSA-%d"},`) +
			`],"ratings":[` + list(`{"severity":"high%d"},`) + `],"affects":[` + list(`{"ref":"pkg:npm/a%d@1"},`) + `]}]}`, many},
		"clair": {`{"manifest_hash":"sha256:` + strings.Repeat("a", 64) + `","packages":{` + members(`"%d":{"name":"p","version":"1"},`) + `},"vulnerabilities":{"v":{"name":"CVE-2026-1","aliases":[` + list(`{"space":"GHSA","name":"%d"},`) +
			`]}},"package_vulnerabilities":{` + members(`"%d":["v"],`) + `}}`, many},
		"snyk": {`{"ok":false,"issues":[` + list(`{"pkgName":"a%d","issueId":"S"},`) + `],"issuesData":{"S":{"id":"S","title":"x","severity":"high","identifiers":{"CVE":[` + list(`"CVE-2026-%d",`) + `]},"fixedIn":[` + list(`"%d",`) +
			`]}},"depGraphData":{"pkgs":[{},{}]}}`, many},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := attest.ReadDocumentAs("scan", "f", []byte(tc.text))
		runtime.ReadMemStats(&after)
		if err != nil || len(d.Evidence.Scan.Findings) != tc.findings {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 80<<20 {
			t.Errorf("%s: %d bytes made %d MB", name, len(tc.text), took>>20)
		}
		for _, f := range d.Evidence.Scan.Findings {
			if !strings.HasPrefix(f.ID, "CVE-2026-") && f.ID != "S" || len(f.Aliases) != 64 || f.Package == "" || f.Tool == "" {
				t.Fatalf("%s: %s, %d aliases, package %q, by %q", name, f.ID, len(f.Aliases), f.Package, f.Tool)
			}
		}
	}
}

// TestWrittenCost: findings that no statement could hold are not written.
func TestWrittenCost(t *testing.T) {
	text := `{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"CVE-2026-1","references":[` + strings.TrimSuffix(strings.Repeat(`{"id":"`+strings.Repeat("x", 1000)+`%"},`, 64), ",") +
		`],"affects":[` + strings.TrimSuffix(strings.Repeat(`{"ref":"a"},`, 5000), ",") + `]}]}`
	for i := range 64 {
		text = strings.Replace(text, "%", fmt.Sprint(i), 1)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := attest.ReadDocumentAs("scan", "f", []byte(text))
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, attest.ErrTooLarge) || took > 80<<20 {
		t.Errorf("%d bytes made %d MB, %v", len(text), took>>20, err)
	}
}
