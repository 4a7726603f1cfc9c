// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// TestEveryPart runs the whole measurement in small, so that a target that
// nobody measures any more, or a figure that is not made, is seen here and not
// a year later.
func TestEveryPart(t *testing.T) {
	if os.Getenv("HALLMARK_BIN") == "" { // the part about signatures wants it
		t.Setenv("HALLMARK_BIN", filepath.Dir(lab.Program(t, "hallmark")))
	}
	var judged []figure
	err := play(t.Context(), func(s *stage) error {
		b, err := newBench(s, short())
		if err != nil {
			return err
		}
		for _, p := range parts() {
			if err := p.run(b); err != nil {
				return err
			}
		}
		judged = b.report.judged
		return b.report.summary()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range judged {
		if f.got <= 0 {
			t.Errorf("%s: %v is no measurement", f.what, f.got)
		}
	}
	const targets = 27 // what one kind of entry has
	if len(judged) < targets {
		t.Errorf("%d figures have a target, want at least %d", len(judged), targets)
	}
}

func TestChoose(t *testing.T) {
	for list, want := range map[string]int{"": len(parts()), "all": len(parts()), "floors": 1, "log,floors": 2} {
		got, err := choose(list)
		if err != nil || len(got) != want {
			t.Errorf("%q: %d parts, %v", list, len(got), err)
		}
	}
	if _, err := choose("logs"); err == nil {
		t.Error("a part that does not exist was chosen")
	}
}

// The stage must end what was begun on it, also when it fails half-way.
func TestPlayClearsAway(t *testing.T) {
	var order []int
	var dir string
	err := play(t.Context(), func(s *stage) error {
		dir = s.TempDir()
		s.Cleanup(func() { order = append(order, 1) })
		s.Cleanup(func() { order = append(order, 2) })
		s.Fatalf("no %s", "disk")
		return nil
	})
	if err == nil || err.Error() != "no disk" || !slices.Equal(order, []int{2, 1}) {
		t.Errorf("%v, cleanups %v", err, order)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestScrambleKeepsTheShape(t *testing.T) {
	digest := sha256.Sum256(nil)
	long := base64.StdEncoding.EncodeToString(digest[:])
	text := `{"algorithm":"SHA2_256","digest":"` + long + `"}`
	got := string(scramble([]byte(text)))
	if len(got) != len(text) || got == text || got[:34] != text[:34] || got[len(got)-4:] != text[len(text)-4:] {
		t.Errorf("%s became %s", text, got)
	}
	// What is kept packed of a real entry must be packed of a made-up one.
	if _, err := base64.StdEncoding.Strict().DecodeString(got[34 : 34+len(long)]); err != nil {
		t.Errorf("%s: %v", got, err)
	}
}
