// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/spool"
)

// TestShares: one tenant takes its share and no more, whatever the others have; what
// it gives back it may take again.
func TestShares(t *testing.T) {
	a, err := spool.Open(filepath.Join(t.TempDir(), "spool"), 8<<20, 3<<20)
	if err != nil {
		t.Fatal(err)
	}
	if a.Share() != 3<<20 {
		t.Errorf("share %d", a.Share())
	}
	bytes := func(n int) *strings.Reader { return strings.NewReader(strings.Repeat("x", n)) }
	_, first, err := a.Receive("globex", bytes(2<<20), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, exactly, err := a.Receive("globex", bytes(1<<20), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	var over *signer.OverQuota
	if _, _, err := a.Receive("globex", bytes(1), 4<<20); !errors.As(err, &over) || over.Seconds() <= 0 || !strings.Contains(err.Error(), "come again in") || errors.Is(err, signer.ErrBusy) {
		t.Errorf("beyond its share: %v", err)
	}
	// The flood of one is nothing to another.
	_, other, err := a.Receive("acme", bytes(3<<20), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	exactly()
	_, again, err := a.Receive("globex", bytes(1<<20), 4<<20)
	if err != nil {
		t.Errorf("what was given back: %v", err)
	}
	// The area has an end for all together, and that is not anybody's quota.
	if _, _, err := a.Receive("umbrella", bytes(3<<20), 4<<20); !errors.Is(err, signer.ErrBusy) || errors.As(err, &over) && over.Of == "" {
		t.Errorf("a full area: %v", err)
	}
	for _, forget := range []func(){first, exactly, other, again} {
		forget()
		forget()
	}
	if a.Used() != 0 {
		t.Errorf("%d bytes used in the end", a.Used())
	}
	if _, forget, err := a.Receive("globex", bytes(3<<20), 4<<20); err != nil {
		t.Errorf("nothing is left of what was refused: %v", err)
	} else {
		forget()
	}
	for _, share := range []int64{0, -1, 9 << 20} {
		if _, err := spool.Open(t.TempDir(), 8<<20, share); err == nil {
			t.Errorf("a share of %d opens", share)
		}
	}
}

// TestShareOfSmall: documents of one byte take a tenant's room as well, so that none
// fills the area with them.
func TestShareOfSmall(t *testing.T) {
	a, err := spool.Open(filepath.Join(t.TempDir(), "spool"), 64<<20, 32<<20)
	if err != nil {
		t.Fatal(err)
	}
	var over *signer.OverQuota
	var held []*spool.File
	for len(held) < 64 {
		f, err := a.Receive("globex", strings.NewReader("x"), 4<<20)
		if errors.As(err, &over) {
			break
		}
		if err != nil {
			t.Fatalf("document %d: %v", len(held), err)
		}
		held = append(held, f)
	}
	if len(held) < 16 || len(held) > 32 {
		t.Errorf("one tenant holds %d small documents", len(held))
	}
	other, err := a.Receive("acme", strings.NewReader(strings.Repeat("x", 32<<20)), 32<<20)
	if err != nil {
		t.Fatalf("another tenant: %v", err)
	}
	for _, f := range append(held, other) {
		f.Close()
	}
	if again, err := a.Receive("globex", strings.NewReader("x"), 4<<20); err != nil {
		t.Errorf("what was given back: %v", err)
	} else {
		again.Close()
	}
	if a.Used() != 0 {
		t.Errorf("%d bytes used in the end", a.Used())
	}
}
