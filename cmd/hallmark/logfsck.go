// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// checkedLog is what fsck prints of a log.
type checkedLog struct {
	Log        string   `json:"log,omitempty"`
	Origin     string   `json:"origin"`
	LogID      string   `json:"logID"`
	Size       int64    `json:"size"`
	RootHash   string   `json:"rootHash"`
	Checkpoint string   `json:"checkpoint,omitempty"`
	Problems   []string `json:"problems"`
}

func logFsckCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "fsck", Short: "Read every entry and tile of the logs and recompute every hash", Args: program.NoArguments,
		Long: "Download every entry and tile of every log of the trusted root, recompute every hash, and compare it with the log's\n" +
			"signed checkpoint. With --url it checks one log anywhere that serves C2SP tlog-tiles, such as Rekor v2.",
	}
	f := addLogFlags(cmd)
	f.addLogChoice(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, err := f.keys(cmd.Context(), env)
		if err != nil {
			return err
		}
		var checked []checkedLog
		if f.url != "" {
			checked, err = f.checkPlain(cmd.Context(), keys)
		} else {
			checked, err = f.checkService(cmd.Context(), env, keys)
		}
		if err != nil {
			return err
		}
		if err := program.Print(*f.output, env.stdout, map[string]any{"logs": checked}, func(w io.Writer) { printChecked(w, checked) }); err != nil {
			return err
		}
		var problems []string
		for _, c := range checked {
			for _, p := range c.Problems {
				problems = append(problems, fmt.Sprintf("%s: %s", c.Origin, p))
			}
		}
		if len(problems) > 0 {
			return no("the log is not whole:%s", indented(problems))
		}
		return nil
	}
	return cmd
}

func (f *logFlags) checkPlain(ctx context.Context, keys *logKeys) ([]checkedLog, error) {
	source, err := f.plainLog()
	if err != nil {
		return nil, err
	}
	view, err := viewLog(ctx, source, keys)
	if err != nil {
		return nil, err
	}
	c, err := checkLog(ctx, "", view)
	return []checkedLog{c}, err
}

// checkService checks the logs that the service and the trusted root have. One
// that only one of them knows is a problem: it is either hidden or unknown.
func (f *logFlags) checkService(ctx context.Context, env environment, keys *logKeys) ([]checkedLog, error) {
	service, err := f.service(env)
	if err != nil {
		return nil, err
	}
	finder, err := newFinder(ctx, service, keys)
	if err != nil {
		return nil, err
	}
	if f.log != "" {
		row, err := finder.row(f.log)
		if err != nil {
			return nil, err
		}
		finder.rows = []logRow{row}
	}
	var checked []checkedLog
	served := map[string]bool{}
	for _, row := range finder.rows {
		served[row.LogID] = true
		view, err := finder.view(ctx, row)
		if isNo(err) && row.State == string(tlog.Pending) {
			continue // its key is being made known, it has nothing to hide yet
		}
		if isNo(err) {
			checked = append(checked, checkedLog{Log: row.Name, Origin: program.Printable(row.Origin), LogID: program.Printable(row.LogID), Problems: []string{oneLine(err.Error())}})
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := checkLog(ctx, row.Name, view)
		if err != nil {
			return nil, err
		}
		checked = append(checked, c)
	}
	for _, key := range keys.all {
		if f.log == "" && !served[key.id] {
			checked = append(checked, checkedLog{Origin: key.baseURL, LogID: key.id, Problems: []string{"a log of the trusted root that the service does not have"}})
		}
	}
	return checked, nil
}

// checkLog reads a whole log.
func checkLog(ctx context.Context, name string, view *logView) (checkedLog, error) {
	report, err := tlog.FsckSource(ctx, view.source, view.Origin, view.key.public)
	if err != nil {
		return checkedLog{}, wrongAnswer(fmt.Errorf("read log %q: %w", view.Origin, err))
	}
	c := checkedLog{
		Log: name, Origin: view.Origin, LogID: view.key.id, Size: report.Size, RootHash: fmt.Sprintf("%x", report.Root[:]),
		Checkpoint: string(view.signed), Problems: []string{},
	}
	for _, p := range report.Problems {
		c.Problems = append(c.Problems, oneLine(program.Printable(p)))
	}
	if report.Size < view.Size { // it read the checkpoint again
		c.Problems = append(c.Problems, fmt.Sprintf("it showed a checkpoint of %d entries and then one of %d", view.Size, report.Size))
	}
	return c, nil
}

func printChecked(w io.Writer, checked []checkedLog) {
	for _, c := range checked {
		verdict := "whole"
		if len(c.Problems) > 0 {
			verdict = "broken"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d entries\troot %s\n", verdict, c.Origin, c.Size, c.RootHash)
	}
}
