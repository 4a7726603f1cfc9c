// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode/utf8"
)

// CheckJSON tells whether b is one JSON document that every parser reads
// alike. It refuses more than maxBytes bytes, invalid UTF-8, syntax errors,
// trailing data, more than maxDepth nested objects and arrays, members of one
// object whose names are equal or differ in case only (encoding/json takes
// either for the same field), and lone surrogates, which parsers replace by
// different characters. White space around the document is allowed.
//
// Errors are ErrTooLarge or ErrJSON and name the place as a JSON path.
func CheckJSON(b []byte, maxDepth, maxBytes int) error {
	return checkJSON(b, maxDepth, maxBytes, nil)
}

// checkJSON is CheckJSON with a say in which members are allowed where:
// member is called with the path of the object and the name.
func checkJSON(b []byte, maxDepth, maxBytes int, member func(path jsonPath, name []byte) error) error {
	if len(b) > maxBytes {
		return fmt.Errorf("%w: JSON of %d bytes, the limit is %d", ErrTooLarge, len(b), maxBytes)
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: invalid UTF-8", ErrJSON)
	}
	if !json.Valid(b) {
		var raw json.RawMessage // json.Valid does not say what is wrong
		return fmt.Errorf("%w: %w", ErrJSON, json.Unmarshal(b, &raw))
	}
	w := walker{b: b, maxDepth: maxDepth, names: memberNames{b: b, seed: maphash.MakeSeed()}, member: member}
	return w.value()
}

// jsonPath leads from the document to a value.
type jsonPath []jsonStep

// jsonStep is a member's name as it is written, with its quotes, or an index.
// It is made for every value of the document, so it must cost nothing.
type jsonStep struct {
	quoted []byte // nil: index
	index  int
}

// is tells whether the step leads to the member of this name.
func (s jsonStep) is(name string) bool {
	if s.quoted == nil {
		return false
	}
	if bytes.IndexByte(s.quoted, '\\') < 0 {
		return string(s.quoted[1:len(s.quoted)-1]) == name // compared in place
	}
	return string(unquote(nil, s.quoted)) == name
}

// String writes the path as $.name[0]["odd name"]. Of a path that is too long
// for a message only the end is kept.
func (p jsonPath) String() string {
	const shown = 12
	var s strings.Builder
	s.WriteByte('$')
	if len(p) > shown {
		s.WriteString("…")
		p = p[len(p)-shown:]
	}
	for _, step := range p {
		name := string(unquote(nil, step.quoted))
		switch {
		case step.quoted == nil:
			fmt.Fprintf(&s, "[%d]", step.index)
		case isPlainName(name):
			s.WriteString("." + name)
		default:
			s.WriteString("[" + quote(name) + "]")
		}
	}
	return s.String()
}

func isPlainName(s string) bool {
	for _, c := range s {
		if c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxQuoted
}

// walker visits a document whose syntax json.Valid has accepted, so that it
// may look at delimiters only. Its recursion is bounded by maxDepth.
type walker struct {
	b        []byte
	i        int // next byte to look at
	maxDepth int
	path     jsonPath
	depth    int // open objects and arrays
	names    memberNames
	member   func(path jsonPath, name []byte) error
}

func (w *walker) fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrJSON, w.path, fmt.Sprintf(format, args...))
}

func (w *walker) space() {
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return
		}
	}
}

func (w *walker) value() error {
	w.space()
	switch w.b[w.i] {
	case '{':
		return w.nested(w.object)
	case '[':
		return w.nested(w.array)
	case '"':
		_, err := w.text()
		return err
	}
	for w.i < len(w.b) && strings.IndexByte(",]} \t\n\r", w.b[w.i]) < 0 {
		w.i++ // number or literal
	}
	return nil
}

// nested visits the inside of an object or array.
func (w *walker) nested(inside func() error) error {
	if w.depth++; w.depth > w.maxDepth {
		return w.fail("nested deeper than %d", w.maxDepth)
	}
	w.i++
	if err := inside(); err != nil {
		return err
	}
	w.i++
	w.depth--
	return nil
}

func (w *walker) array() error {
	for n := 0; ; n++ {
		if w.space(); w.b[w.i] == ']' {
			return nil
		}
		w.path = append(w.path, jsonStep{index: n})
		if err := w.value(); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
		if w.space(); w.b[w.i] == ',' {
			w.i++
		}
	}
}

func (w *walker) object() error {
	first := w.names.open()
	for {
		if w.space(); w.b[w.i] == '}' {
			break
		}
		start := w.i
		quoted, err := w.text()
		if err != nil {
			return err
		}
		name := w.names.add(start, quoted)
		if w.member != nil {
			if err := w.member(w.path, name); err != nil {
				return err
			}
		}
		w.space()
		w.i++ // colon
		w.path = append(w.path, jsonStep{quoted: quoted})
		if err := w.value(); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
		if w.space(); w.b[w.i] == ',' {
			w.i++
		}
	}
	switch one, other, dup := w.names.close(first); {
	case dup && one == other:
		return w.fail("member %s appears twice", quote(one))
	case dup:
		return w.fail("members %s and %s differ in case only", quote(one), quote(other))
	}
	return nil
}

// text skips a string and returns it as written, with its quotes.
func (w *walker) text() ([]byte, error) {
	start, quote, escaped := w.i, 0, false
	for w.i++; ; w.i += 2 {
		if quote < w.i { // found once for all escapes before it: linear time
			quote = w.i + bytes.IndexByte(w.b[w.i:], '"')
		}
		escape := bytes.IndexByte(w.b[w.i:quote], '\\')
		if escape < 0 {
			break
		}
		escaped = true
		w.i += escape
	}
	w.i = quote + 1
	quoted := w.b[start:w.i]
	if escaped && hasLoneSurrogate(quoted) {
		return nil, w.fail("lone surrogate in a string")
	}
	return quoted, nil
}

// hasLoneSurrogate looks for \uD800…\uDFFF escapes that are not a high one
// followed by a low one.
func hasLoneSurrogate(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		i++
		if quoted[i] != 'u' {
			continue
		}
		switch unit := hex4(quoted[i+1:]); {
		case unit < 0xD800 || unit > 0xDFFF:
			i += 4
		case unit < 0xDC00 && i+10 < len(quoted) && quoted[i+5] == '\\' && quoted[i+6] == 'u' && hex4(quoted[i+7:])&0xFC00 == 0xDC00:
			i += 10
		default:
			return true
		}
	}
	return false
}

// hex4 reads four hex digits, which json.Valid has checked.
func hex4(b []byte) int {
	n := 0
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			n = n<<4 | int(c-'0')
		default:
			n = n<<4 | int(c|0x20-'a'+10)
		}
	}
	return n
}
