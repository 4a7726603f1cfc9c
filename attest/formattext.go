// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// What is no text that could be a document is refused by its first bytes, with a
// word about what it is: the parsers' own words say nothing to somebody who has
// handed in an archive.

// packed are the first bytes of what is no document but holds one.
var packed = []struct{ magic, is string }{
	{"\x1f\x8b", "is compressed by gzip (hint: unpack it first)"},
	{"BZh", "is compressed by bzip2 (hint: unpack it first)"},
	{"\xfd7zXZ\x00", "is compressed by xz (hint: unpack it first)"},
	{"\x28\xb5\x2f\xfd", "is compressed by zstd (hint: unpack it first)"},
	{"PK\x03\x04", "is a zip archive (hint: unpack it, and hand in the file that is in it)"},
	{"\xef\xbb\xbf", "begins with a byte order mark (hint: write the file as UTF-8 without one)"},
	{"\xff\xfe", "is UTF-16 (hint: write the file as UTF-8; PowerShell's > does not)"},
	{"\xfe\xff", "is UTF-16 (hint: write the file as UTF-8; PowerShell's > does not)"},
}

// checkText refuses what is no UTF-8 text from its first byte on, with a hint.
func checkText(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return unreadable("", "empty (hint: the tool has written nothing; look at its exit code)")
	}
	for _, p := range packed {
		if bytes.HasPrefix(raw, []byte(p.magic)) {
			return &FormatError{Place: "byte 0", Want: p.is, cause: ErrJSON}
		}
	}
	if len(raw) > 1 && (raw[0] == 0) != (raw[1] == 0) {
		return &FormatError{Place: "byte 0", Want: "is UTF-16 without a byte order mark, or no text (hint: write the file as UTF-8)", cause: ErrJSON}
	}
	return nil
}

// checkStart refuses what begins like no format here does. It has no white space
// in front.
func checkStart(text []byte) error {
	if len(text) > 0 && strings.IndexByte(`{[<"-0123456789tfn`, text[0]) < 0 {
		return &FormatError{Place: "byte 0", Want: fmt.Sprintf("begins with %q, want a JSON object or list, XML, or SPDX tag-value", rune(text[0])), cause: ErrJSON}
	}
	return nil
}

// endOf ends a document. Of JSON lines each is one of its own.
func endOf(r *jsonReader) error {
	next := r.peek()
	err := r.end()
	var wrong *FormatError
	if errors.As(err, &wrong) && (next == '{' || next == '[') {
		wrong.Want += " (hint: one document in each file; of JSON lines, hand in each)"
	}
	return err
}

// isWebPage tells what a server says instead of a file.
func isWebPage(root string) bool { return strings.EqualFold(root, "html") }
