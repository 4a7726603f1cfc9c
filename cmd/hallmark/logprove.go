// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func logProveCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "prove FILE|sha256:HEX|INDEX", Short: "Prove that an entry is in the log, or that the log has only grown",
		Long: "Prove that the log has an entry:\n" +
			"  hallmark log prove INDEX          the entry at an index\n" +
			"  hallmark log prove BUNDLE         the entries of a Sigstore bundle, and that its checkpoints are still this log's past\n" +
			"  hallmark log prove FILE           a signature of a file; the same by its digest: sha256:HEX, also of an image\n" +
			"or that the log has only grown since a checkpoint, which is what a monitor runs:\n" +
			"  hallmark log prove --since CHECKPOINT-FILE\n" +
			"A fork is exit code 1, and both checkpoints are printed: they are the evidence.",
	}
	f := addLogFlags(cmd)
	f.addLogChoice(cmd)
	since := cmd.Flags().String("since", "", "`file` with an older checkpoint of the log")
	save := cmd.Flags().String("save", "", "write the newer checkpoint to this `file` if the log has only grown (with --since)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("since") {
			if len(args) != 0 || f.log != "" {
				return usage("--since names the log by its checkpoint: no other argument, no --log (hint: %s --since FILE)", cmd.CommandPath())
			}
			return f.proveGrowth(cmd, env, *since, *save)
		}
		if *save != "" {
			return usage("--save goes with --since")
		}
		if err := oneArgument("file, digest or index")(cmd, args); err != nil {
			return err
		}
		return f.proveInclusion(cmd, env, args[0])
	}
	return cmd
}

func (f *logFlags) proveInclusion(cmd *cobra.Command, env environment, what string) error {
	keys, err := f.keys(cmd.Context(), env)
	if err != nil {
		return err
	}
	if indexShape.MatchString(what) || uuidShape.MatchString(what) || entryIDShape.MatchString(what) {
		e, err := f.find(cmd, env, keys, what)
		if err != nil {
			return err
		}
		d := e.document()
		return program.Print(*f.output, env.stdout, d, d.print)
	}
	if f.url != "" || f.log != "" {
		return usage("--url and --log go with an index or --since; files and digests are looked up in all logs of a service")
	}
	service, err := f.service(env)
	if err != nil {
		return err
	}
	finder, err := newFinder(cmd.Context(), service, keys)
	if err != nil {
		return err
	}
	found, err := finder.prove(cmd.Context(), env, what)
	if err != nil {
		return err
	}
	return program.Print(*f.output, env.stdout, map[string]any{"entries": found}, func(w io.Writer) {
		for i, d := range found {
			if i > 0 {
				_, _ = io.WriteString(w, "\n")
			}
			d.print(w)
		}
	})
}

// plainIndex reads the index of an entry of a log that is tiles and nothing
// else.
func plainIndex(id string) (int64, error) {
	index, err := strconv.ParseInt(id, 10, 64)
	if err != nil || !indexShape.MatchString(id) {
		return 0, usage("%q is no index: a log at --url is not searched", id)
	}
	return index, nil
}

// sourceOf finds the log that a checkpoint is of: at --url, or among the logs
// of the service.
func (f *logFlags) sourceOf(cmd *cobra.Command, env environment, c checkpoint) (tlog.Source, error) {
	if f.url != "" {
		return f.plainLog()
	}
	service, err := f.service(env)
	if err != nil {
		return nil, err
	}
	rows, err := service.logs(cmd.Context())
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.LogID == c.key.id {
			return service.source(row.Name)
		}
	}
	return nil, no("the service does not list the log %q (hint: is --server its service?)", c.Origin)
}
