// SPDX-License-Identifier: Apache-2.0

package api

import "testing"

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
