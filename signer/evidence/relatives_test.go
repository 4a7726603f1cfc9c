// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestReportOfRelative: a report that names a next of kin of what its statement is
// about counts, as it was taken in; one that names anybody else does not.
func TestReportOfRelative(t *testing.T) {
	report := func(index int64, name attest.Digest) made {
		return made{
			about: image, san: origin + "/attestor", index: index, proves: true, kind: "https://cosign.sigstore.dev/attestation/vuln/v1",
			document: `{"invocation": {}, "scanner": {"result": {"SchemaVersion": 2, "ArtifactName": "app", "Metadata": {"RepoDigests": ["r/app@` + string(name) + `"]}, "Results": []}}}`,
		}
	}
	stranger := attest.DigestOf([]byte("another image"))
	p := &places{kin: []attest.Digest{platform}, receipts: map[attest.Digest][]signer.Receipt{image: {
		receipt(t, report(1, image)), receipt(t, report(2, stranger)), receipt(t, report(3, stranger)), receipt(t, report(4, platform)), receipt(t, report(5, platform)),
	}}}
	got, err := p.gather(t, false)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[bool][]int64{}
	for _, d := range got.Documents {
		if d.Problem != "" && !strings.Contains(d.Problem, "$.scanner.result.Metadata.RepoDigests: is about "+string(stranger)+", not about "+string(image)) {
			t.Errorf("%+v", d)
		}
		counts[d.Problem == ""] = append(counts[d.Problem == ""], d.LogIndex)
	}
	slices.Sort(counts[false])
	if !slices.Equal(counts[true], []int64{5}) || !slices.Equal(counts[false], []int64{2, 3}) {
		t.Errorf("counts: %v", counts)
	}
	if p.asked != 2 { // once about each name
		t.Errorf("asked for relatives %d times", p.asked)
	}
	p.kinDown = oci.ErrUnavailable
	if _, err := p.gather(t, false); !errors.Is(err, oci.ErrUnavailable) {
		t.Errorf("a registry that does not answer decides: %v", err)
	}
}
