// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The helpers of the readers of evidence. The document was checked when it was
// opened; they see to its shape and name the place of what does not fit. Long
// lists of large elements are read with jsonReader instead.

// members are the members of one JSON object, as they are written.
type members map[string]json.RawMessage

// mentions tells whether a member is there, even as null or empty.
func mentions(top members, name string) bool { _, ok := top[name]; return ok }

// kindOf is the first byte of a member: '{' of an object, and so on.
func (m members) kindOf(name string) byte {
	if len(m[name]) == 0 {
		return 0
	}
	return m[name][0]
}

// reader reads one member.
func (m members) reader(name string) *jsonReader {
	raw := m[name]
	if raw == nil {
		raw = json.RawMessage("null")
	}
	return readChecked("$."+name, raw)
}

// has tells whether all members are there; null counts as absent.
func (m members) has(names ...string) bool {
	for _, name := range names {
		if raw, ok := m[name]; !ok || isNull(raw) {
			return false
		}
	}
	return true
}

// is tells whether a member is this text.
func (m members) is(name, text string) bool { return m.text(name) == text }

// text returns a member that is a text, else "". It is for recognising.
func (m members) text(name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// into decodes one member; an absent one leaves v as it is.
func (m members) into(name string, v any) error {
	raw, ok := m[name]
	if !ok {
		return nil
	}
	return decodeAt("$."+name, raw, v)
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// decodeAt decodes the value at place.
func decodeAt(place string, raw json.RawMessage, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return wrongAt(place, err)
	}
	return nil
}

// wrongAt turns an error of encoding/json into ours.
func wrongAt(place string, err error) error {
	var ours *FormatError
	if errors.As(err, &ours) {
		return err
	}
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return unreadable(place, "%v", err)
	}
	if wrong.Field != "" {
		place += "." + wrong.Field
	}
	return unreadable(place, "found %s, want %s", wrong.Value, wantedKind(wrong.Type))
}

// wantedKind says a Go type to somebody who writes JSON.
func wantedKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number"
}

// each visits the elements of a list, one decoded at a time, and stops at the
// limit: `{},` is three bytes in a document and hundreds when decoded. An
// absent list or null is there == false and not an empty one.
func each[T any](place string, raw json.RawMessage, visit func(place string, item T) error) (there bool, err error) {
	if len(raw) == 0 || isNull(raw) {
		return false, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if first, err := dec.Token(); err != nil || first != json.Delim('[') {
		return false, unreadable(place, "want a list")
	}
	for n := 0; dec.More(); n++ {
		at := place + "[" + strconv.Itoa(n) + "]"
		if n == maxItems {
			return false, unreadable(place, "more than %d entries", maxItems)
		}
		var item T
		if err := dec.Decode(&item); err != nil {
			return false, wrongAt(at, err)
		}
		if err := visit(at, item); err != nil {
			return false, err
		}
	}
	return true, nil
}

// keep bounds what is kept of a text.
func keep(s string) string { return keepBytes(s, maxText) }

// keepBytes is keep for another limit. What it cuts off does not keep the rest
// of the document in memory.
func keepBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.Clone(s[:cut])
}

// keepAll is keep for lists, without empty texts.
func keepAll(list []string) []string {
	var kept []string
	for _, s := range list {
		if s = keep(strings.TrimSpace(s)); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// timeAt reads a time as documents write it, RFC 3339; "" is the zero time.
// Years that scanners mean as "none" are it, too.
func timeAt(place, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, unreadable(place, "%s is not a time such as 2026-01-31T00:00:00Z", quote(text))
	}
	if t.Year() <= 1 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}

// older returns the earlier of two times; zero times do not count.
func older(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
