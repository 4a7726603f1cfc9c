// SPDX-License-Identifier: Apache-2.0

// Package reference writes docs/CLI.md: every command of a program and every
// flag, from the commands themselves.
//
// Each program has a section of that file, from its heading to the next one of
// that level, and a test in its package main that calls Hold. So a flag that
// nobody wrote down makes a test fail; `make reference` writes it.
package reference

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Variable is the environment variable that makes Hold write instead of
// compare, if it is not empty.
const Variable = "HALLMARK_WRITE_REFERENCE"

// mode is that of a document.
const mode = 0o644

// Hold compares the program's section of the file at path with what its
// commands say; with Variable set it writes the section.
func Hold(path string, root *cobra.Command) error {
	raw, err := os.ReadFile(path) //nolint:gosec // the repository's document
	if err != nil {
		return err
	}
	heading := "\n## " + root.Name() + "\n"
	before, after, found := strings.Cut(string(raw), heading)
	if !found {
		return fmt.Errorf("%s has no section %q", path, strings.TrimSpace(heading))
	}
	section, rest := after, ""
	if i := strings.Index(after, "\n## "); i >= 0 {
		section, rest = after[:i], after[i:]
	}
	want := Section(root)
	if section == want {
		return nil
	}
	if os.Getenv(Variable) == "" {
		return errors.New(path + " does not say what the commands do (hint: make reference)\n" + difference(section, want))
	}
	return os.WriteFile(path, []byte(before+heading+want+rest), mode) //nolint:gosec // everybody may read a document
}

// difference is the first line that is not the same.
func difference(have, want string) string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("it has:  %s\nit lacks: %s", a[i], b[i])
		}
	}
	return fmt.Sprintf("it has %d lines in place of %d", len(a), len(b))
}

// Section is what is said of a program, below its heading.
func Section(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s.\n", strings.TrimSuffix(root.Short, "."))
	if !root.HasSubCommands() {
		flags(&b, root)
	}
	walk(&b, root)
	return b.String()
}

// walk writes the commands below one; those that only have others below them
// are named by these.
func walk(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if !c.HasSubCommands() || c.Flags().HasAvailableFlags() || c.PersistentFlags().HasAvailableFlags() {
			fmt.Fprintf(b, "\n### %s\n\n%s.\n", strings.TrimSuffix(c.UseLine(), " [flags]"), strings.TrimSuffix(c.Short, "."))
			flags(b, c)
		}
		walk(b, c)
	}
}

// flags writes a command's own flags and those of the commands above it.
func flags(b *strings.Builder, c *cobra.Command) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "version" {
				all.AddFlag(f)
			}
		})
	}
	if usages := all.FlagUsages(); usages != "" {
		fmt.Fprintf(b, "\n```text\n%s```\n", usages)
	}
}
