// SPDX-License-Identifier: Apache-2.0

package devrun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFailedStartLeavesNothing fails the start at each of its steps.
func TestFailedStartLeavesNothing(t *testing.T) {
	for _, tc := range []struct{ name, program, says string }{
		{"no program", "", "make build"},
		{"ends before it is ready", "echo no disk >&2\nexit 1", "no disk"},
		{"not ready", "echo hello", "did not get ready"},
		{"no environment", "echo ready", "env"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bin, temp := t.TempDir(), t.TempDir()
			t.Setenv("TMPDIR", temp)
			if tc.program != "" {
				script := "#!/bin/sh\n" + tc.program + "\n"
				if err := os.WriteFile(filepath.Join(bin, "hallmark"), []byte(script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			dev, err := Start(t.Context(), bin)
			if dev != nil || err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("started %v, error %v, want one about %q", dev, err, tc.says)
			}
			left, err := os.ReadDir(temp)
			if err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
