// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestShares: what one has takes nothing from another, and what is given back twice counts once.
func TestShares(t *testing.T) {
	var s shares
	var back []func()
	for range maxReceivingOfOne {
		giveBack, err := s.take("a")
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, giveBack)
	}
	if _, err := s.take("a"); err == nil {
		t.Error("one has more than its share")
	}
	if _, err := s.take("b"); err != nil {
		t.Error(err)
	}
	back[0]()
	back[0]()
	if _, err := s.take("a"); err != nil {
		t.Error(err)
	}
	if _, err := s.take("a"); err == nil {
		t.Error("a place was given back twice")
	}
}

// A document counts for as much as is read of it in memory, whatever it is called.
func TestWeightOf(t *testing.T) {
	for _, tc := range []struct {
		kind attest.EvidenceKind
		size int64
		want int64
	}{{"sbom", 1000, 1000}, {"sbom", 200 << 20, 4 << 20}, {"scan", 200 << 20, 16 << 20}, {"", 200 << 20, 16 << 20}, {"grype", 10 << 20, 10 << 20}} {
		if got := weightOf(signer.Document{Kind: tc.kind, Stored: &signer.Stored{Size: tc.size}}); got != tc.want {
			t.Errorf("%d bytes of %q count %d, want %d", tc.size, tc.kind, got, tc.want)
		}
	}
}
