// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// refusal is an answer of a program's own.
type refusal struct{ error }

func (refusal) AnswerCode() int { return program.No }

// detailed is one with more to say.
type detailed struct{ error }

func (detailed) AnswerCode() int                { return program.No }
func (detailed) FailureDetails() map[string]any { return map[string]any{"requestID": "7"} }

// TestRun: the exit code is the answer, words are on stderr and data on stdout,
// and nothing that was read elsewhere reaches the terminal as it is.
func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		err    error
		code   int
		stdout string
		stderr string
	}{
		"yes":               {args: []string{"do"}, stdout: "done\n"},
		"JSON":              {args: []string{"do", "-o", "json"}, stdout: "{\n  \"url\": \"a&b\"\n}\n"},
		"no":                {args: []string{"do"}, err: fmt.Errorf("do: %w", refusal{errors.New("refused")}), code: program.No, stderr: "prog: do: refused\n"},
		"usage":             {args: []string{"do"}, err: program.Misuse("what? %w", io.EOF), code: program.Usage, stderr: "prog: what? EOF\n"},
		"undecided":         {args: []string{"do"}, err: errors.New("a\nb"), code: program.Undecided, stderr: "prog: a\nb\n"},
		"a stranger's word": {args: []string{"do"}, err: errors.New("\x1b[2Jverified\r"), code: program.Undecided, stderr: "prog: \uFFFD[2Jverified\uFFFD\n"},
		"no command":        {code: program.Usage, stderr: "prog: which command? (hint: prog --help)\n"},
		"unknown command":   {args: []string{"sing"}, code: program.Usage, stderr: "prog: unknown command \"sing\" (hint: prog --help)\n"},
		"nearly":            {args: []string{"ddo"}, code: program.Usage, stderr: "prog: unknown command \"ddo\" (hint: prog do; all are in prog --help)\n"},
		"unknown flag":      {args: []string{"do", "--fast"}, code: program.Usage, stderr: "prog: unknown flag: --fast (hint: prog do --help)\n"},
		"no, as JSON": {args: []string{"do", "-o", "json"}, err: fmt.Errorf("do: %w", detailed{errors.New("refused (hint: sign in CI)")}), code: program.No, stderr: "prog: do: refused (hint: sign in CI)\n",
			stdout: "{\n  \"error\": {\n    \"exitCode\": 1,\n    \"hint\": \"sign in CI\",\n    \"message\": \"do: refused\",\n    \"requestID\": \"7\"\n  }\n}\n"},
		"no, after data":    {args: []string{"do", "-o", "json", "--data"}, err: detailed{errors.New("refused")}, code: program.No, stdout: "[]\n", stderr: "refused"},
		"undecided as JSON": {args: []string{"do", "-o", "json"}, err: io.EOF, code: program.Undecided, stderr: "prog: EOF\n", stdout: "{\n  \"error\": {\n    \"exitCode\": 3,\n    \"message\": \"EOF\"\n  }\n}\n"},
		"a file for a name": {args: []string{"write", "-o", "json"}, err: io.EOF, code: program.Undecided, stderr: "prog: EOF\n"},
		"wrong format":      {args: []string{"do", "-o", "yaml"}, code: program.Usage, stderr: "want text or json"},
		"argument":          {args: []string{"do", "it"}, code: program.Usage, stderr: "takes no arguments, got \"it\""},
	} {
		t.Run(name, func(t *testing.T) {
			root := program.Root("prog", "Try", "1")
			do := &cobra.Command{Use: "do", Args: program.NoArguments}
			format := program.OutputFlag(do)
			do.RunE = func(cmd *cobra.Command, _ []string) error {
				if tc.err != nil {
					return tc.err
				}
				return program.Print(*format, cmd.OutOrStdout(), map[string]string{"url": "a&b"}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "done") })
			}
			data := do.Flags().Bool("data", false, "")
			fail := do.RunE
			do.RunE = func(cmd *cobra.Command, args []string) error {
				if *data {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), "[]")
				}
				return fail(cmd, args)
			}
			write := &cobra.Command{Use: "write", RunE: func(*cobra.Command, []string) error { return tc.err }}
			write.Flags().StringP("output", "o", "", "file") // json is a file's name there
			root.AddCommand(do, write)
			var stdout, stderr bytes.Buffer
			code := program.Run(t.Context(), root, tc.args, program.Streams{In: strings.NewReader(""), Out: program.Watch(&stdout), Err: &stderr})
			if code != tc.code || stdout.String() != tc.stdout || !strings.Contains(stderr.String(), tc.stderr) || (stderr.Len() == 0) != (tc.stderr == "") {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
	if err := program.Misuse("a %w", io.EOF); !errors.Is(err, io.EOF) {
		t.Error("an answer hides its reason")
	}
}
