// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/reference"
)

func program() *cobra.Command {
	nothing := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "tool", Short: "A tool", RunE: nothing}
	group := &cobra.Command{Use: "key", Short: "Keys", RunE: nothing}
	add := &cobra.Command{Use: "add NAME", Short: "Add a key", RunE: nothing}
	add.Flags().String("kind", "plain", "`kind` of the key")
	secret := &cobra.Command{Use: "secret", Hidden: true, RunE: nothing}
	group.AddCommand(add)
	root.AddCommand(group, secret)
	return root
}

// TestHold: a section that lacks a flag is an error, writing it makes it good,
// and what is around it stays.
func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "CLI.md")
	if err := os.WriteFile(path, []byte("# Commands\n\n## tool\n\nA tool.\n\n## other\n\nAs it was.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reference.Hold(path, program()); err == nil || !strings.Contains(err.Error(), "make reference") {
		t.Errorf("a section without the commands: %v", err)
	}
	t.Setenv(reference.Variable, "1")
	if err := reference.Hold(path, program()); err != nil {
		t.Fatal(err)
	}
	t.Setenv(reference.Variable, "")
	if err := reference.Hold(path, program()); err != nil {
		t.Errorf("what was written does not hold: %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Commands\n\n## tool\n\nA tool.\n\n### tool key add NAME\n\nAdd a key.\n\n```text\n      --kind kind   kind of the key (default \"plain\")\n```\n\n## other\n\nAs it was.\n"
	if string(raw) != want {
		t.Errorf("got\n%s\nwant\n%s", raw, want)
	}
	if err := reference.Hold(path, &cobra.Command{Use: "third"}); err == nil || !strings.Contains(err.Error(), "## third") {
		t.Errorf("a program without a section: %v", err)
	}
}
