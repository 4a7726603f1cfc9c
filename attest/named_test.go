// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"slices"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestNamed: what a predicate names is read back as it was written, that it holds secrets too; what others write names what can be read of it.
func TestNamed(t *testing.T) {
	for _, secret := range []bool{false, true} {
		o := attest.Original{Digest: attest.DigestOf([]byte("report")), Size: 6, MediaType: "application/json", Secret: secret}
		kept := attest.Kept{Name: "report.json"}
		predicate, err := attest.NameOriginal([]byte(testPredicate), o, kept)
		if err != nil {
			t.Fatal(err)
		}
		if got := attest.Named(predicate); !slices.Equal(got, []attest.Original{o}) {
			t.Errorf("named %+v", got)
		}
		if ev, err := attest.ReadEvidence(testPredicateType, predicate); err != nil || ev.Named == nil || *ev.Named != o {
			t.Errorf("read %+v, %v", ev.Named, err)
		}
		if predicate, err = attest.SBOMReference("https://h.example", o, kept, attest.SBOM{Format: "SPDX", Version: "2.3", Packages: 1}); err != nil {
			t.Fatal(err)
		}
		if got := attest.Named(predicate); !slices.Equal(got, []attest.Original{o}) {
			t.Errorf("an SBOM named %+v", got)
		}
	}
	for _, predicate := range []string{"", "[]", `{"references": {}}`, `{"references": [{}, {"digest": {"sha256": "x"}}]}`, `{"hallmark_document": null}`, spdxDocument} {
		if got := attest.Named([]byte(predicate)); got != nil {
			t.Errorf("%s names %+v", predicate, got)
		}
	}
}
