// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// TestKeptCost: what tools write fits the room that is kept for it, with as much to spare again; and what is made to be large when it is read does
// not, and is refused instead of being kept.
func TestKeptCost(t *testing.T) {
	at := time.Date(2026, 11, 30, 11, 0, 0, 0, time.UTC)
	many := func(head, one, tail string) string {
		return head + strings.TrimSuffix(strings.Repeat(one+",", 20_000), ",") + tail
	}
	const trivy, tail = `{"SchemaVersion": 2, "ArtifactName": "app", "CreatedAt": "2026-11-30T10:00:00Z", "Results": [{"Class": "os-pkgs", "Vulnerabilities": [`, `]}]}`
	for name, tc := range map[string]struct {
		file string
		fits bool
	}{
		"hadolint": {many(`[`, `{"line":1,"code":"DL3006","message":"Always tag","column":1,"file":"Dockerfile","level":"warning"}`, `]`), true},
		"gitleaks": {many(`[`, `{"RuleID":"generic-api-key","Description":"Generic key","StartLine":4,"EndLine":4,"Match":"k","Secret":"k","File":"conf.py"}`, `]`), true},
		"trivy":    {many(trivy, `{"VulnerabilityID":"CVE-2026-1","PkgName":"openssl","InstalledVersion":"3.0.1","FixedVersion":"3.0.2","Status":"fixed","Severity":"HIGH"}`, tail), true},
		"vulns":    {many(`{"scanner":{"uri":"u","db":{},"result":[`, `{"id":"CVE-2026-1","severity":[{"method":"hallmark","score":"high"}],"annotations":[{"package":"a","version":"1"}]}`, `]},"metadata":{}}`), true},
		"short":    {many(trivy, `{"VulnerabilityID":"a"}`, tail), false},
	} {
		d, err := attest.ReadDocument(name, []byte(tc.file))
		if err != nil {
			t.Fatal(err)
		}
		doc, ok := document.Of(policy.Fact{PredicateType: d.PredicateType, Predicate: d.Predicate, Bound: true, SAN: "a", SignedAt: at}, "")
		if !ok || doc.Scan == nil || len(doc.Scan.Findings) != 20_000 {
			t.Fatalf("%s: %q, no report of 20,000 findings", name, doc.Problem)
		}
		sieve := policy.NewSieve(policy.Needs{Kinds: []string{doc.Kind}}, at.Add(time.Hour))
		sieve.Add(doc)
		bundle := int64(base64.StdEncoding.EncodedLen(len(d.Predicate)))
		if room := keptCost * bundle; sieve.Size() < bundle || tc.fits != (sieve.Size() <= room/2) || !tc.fits && sieve.Size() <= room {
			t.Errorf("%s: a bundle of %d bytes becomes %d, %.1f times as much", name, bundle, sieve.Size(), float64(sieve.Size())/float64(bundle))
		}
	}
}
