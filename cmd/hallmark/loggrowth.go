// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// growth is what prove --since prints: both checkpoints are signed with the
// log's key, so that a fork can be shown to anybody.
type growth struct {
	Origin     string      `json:"origin"`
	Consistent bool        `json:"consistent"`
	Older      treeChanged `json:"older"`
	Newer      treeChanged `json:"newer"`
	// RootThen is the root that the log's present tiles have at the older size,
	// if it has grown that far.
	RootThen string `json:"rootThen,omitempty"`
}

type treeChanged struct {
	Size       int64  `json:"size"`
	RootHash   string `json:"rootHash"`
	Checkpoint string `json:"checkpoint"`
}

func treeOf(c checkpoint) treeChanged {
	return treeChanged{Size: c.Size, RootHash: fmt.Sprintf("%x", c.Root[:]), Checkpoint: string(c.signed)}
}

// proveGrowth compares the log with an older checkpoint of it.
func (f *logFlags) proveGrowth(cmd *cobra.Command, env environment, since, save string) error {
	keys, err := f.keys(cmd.Context(), env)
	if err != nil {
		return err
	}
	raw, err := readBounded(env, since, maxCheckpoint)
	if err != nil {
		return err
	}
	older, err := keys.open(raw)
	if err != nil { // the user's file, not the log's answer
		return usage("%s: %w", since, err)
	}
	source, err := f.sourceOf(cmd, env, older)
	if err != nil {
		return err
	}
	view, err := viewLog(cmd.Context(), source, keys)
	if err != nil {
		return err
	}
	if view.Origin != older.Origin || view.key.id != older.key.id {
		return no("asked for log %q, the service shows a checkpoint of %q", older.Origin, view.Origin)
	}
	g := growth{Origin: view.Origin, Older: treeOf(older), Newer: treeOf(view.checkpoint)}
	verdict := g.compare(cmd, view, older)
	if verdict != nil && !isNo(verdict) {
		return verdict
	}
	g.Consistent = verdict == nil
	if err := program.Print(*f.output, env.stdout, g, g.print); err != nil {
		return err
	}
	if verdict != nil || save == "" {
		return verdict
	}
	return replaceFile(save, view.signed)
}

// compare is nil if the older tree is the beginning of the present one.
func (g *growth) compare(cmd *cobra.Command, view *logView, older checkpoint) error {
	if older.Size > view.Size {
		return no("log %q had %d entries and now has %d: it was rolled back, or it shows different histories", g.Origin, older.Size, view.Size)
	}
	if older.Size == 0 {
		return nil // everything begins with nothing
	}
	then, err := view.rootAt(cmd.Context(), older.Size)
	if err != nil {
		return err
	}
	g.RootThen = fmt.Sprintf("%x", then[:])
	if then != older.Root {
		return no("log %q is forked: its first %d entries are not those that it signed before", g.Origin, older.Size)
	}
	return nil
}

func (g growth) print(w io.Writer) {
	if g.Consistent {
		_, _ = fmt.Fprintf(w, "consistent\t%s\tfrom %d to %d entries\n", g.Origin, g.Older.Size, g.Newer.Size)
		return
	}
	_, _ = fmt.Fprintf(w, "not consistent\t%s\n", g.Origin)
	for _, evidence := range []string{g.Older.Checkpoint, g.Newer.Checkpoint} {
		_, _ = fmt.Fprintln(w)
		for line := range strings.Lines(evidence) { // lines of witnesses are anybody's
			_, _ = fmt.Fprintln(w, program.Printable(strings.TrimSuffix(line, "\n")))
		}
	}
}

// replaceFile writes a file under another name and renames it, so that a
// monitor that is killed never finds half a checkpoint.
func replaceFile(path string, content []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	defer func() { _ = os.Remove(part.Name()) }() // renamed by then, or of no use
	_, err = part.Write(content)
	if err == nil {
		err = part.Sync()
	}
	if closed := part.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}
