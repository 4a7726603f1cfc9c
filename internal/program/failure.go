// SPDX-License-Identifier: Apache-2.0

package program

import (
	"errors"
	"io"
	"maps"
	"strings"

	"github.com/spf13/cobra"
)

// A script that asks for JSON gets JSON, also when the answer is no or there is
// none: {"error": {"exitCode": 1, "message": …, "hint": …}} on stdout, with the
// same exit code and the same words on stderr as ever. A command whose answer is
// data (a decision, a list of what is wrong) has printed it; then there is no
// second object.

// Watched is stdout of a program whose commands all write to it.
type Watched struct {
	io.Writer
	written bool
}

// Watch watches stdout.
func Watch(w io.Writer) *Watched { return &Watched{Writer: w} }

// Write implements io.Writer.
func (w *Watched) Write(p []byte) (int, error) {
	w.written = w.written || len(p) > 0
	return w.Writer.Write(p)
}

// explained is an error with more to say to a program: members of the error's
// object.
type explained interface{ FailureDetails() map[string]any }

// printFailure prints the object of an error, if the command was asked for JSON
// and has printed nothing.
func printFailure(cmd *cobra.Command, out io.Writer, code int, err error) {
	w, ok := out.(*Watched)
	if !ok || w.written || cmd == nil {
		return
	}
	flag := cmd.Flags().Lookup("output")
	if flag == nil || flag.Value.Type() != new(outputFormat).Type() || flag.Value.String() != FormatJSON {
		return
	}
	message, hint := cutHint(err.Error())
	members := map[string]any{"exitCode": code, "message": message}
	if hint != "" {
		members["hint"] = hint
	}
	var more explained
	if errors.As(err, &more) {
		maps.Copy(members, more.FailureDetails())
	}
	_ = Print(FormatJSON, w, map[string]any{"error": members}, nil) // nobody is there to tell
}

// cutHint takes the hint at the end of an error apart: "… (hint: …)".
func cutHint(s string) (message, hint string) {
	at := strings.LastIndex(s, " (hint: ")
	if at < 0 || !strings.HasSuffix(s, ")") {
		return s, ""
	}
	return s[:at], strings.TrimSuffix(s[at+len(" (hint: "):], ")")
}
