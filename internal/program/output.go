// SPDX-License-Identifier: Apache-2.0

package program

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// The values of -o.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// outputFormat is the value of -o. A wrong one is refused with the flags, not
// when something has been done already.
type outputFormat string

func (f *outputFormat) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *outputFormat) Type() string { return "format" }

// Set implements pflag.Value.
func (f *outputFormat) Set(s string) error {
	if s != FormatText && s != FormatJSON {
		return errors.New("want text or json")
	}
	*f = outputFormat(s)
	return nil
}

// OutputFlag adds -o to a command.
func OutputFlag(cmd *cobra.Command) *string {
	format := FormatText
	cmd.Flags().VarP((*outputFormat)(&format), "output", "o", "output format: text or json")
	return &format
}

// Print writes v as indented JSON, or calls text, as -o says.
func Print(format string, w io.Writer, v any, text func(io.Writer)) error {
	if format == FormatText {
		text(w)
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
