// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// JSON has readers that disagree: of a member that is given twice one takes the
// first, another the last, and Go takes "Kind" for "kind" too. What is logged
// must mean the same to everybody, so a request is read strictly before
// anything else is made of it.

const (
	// maxDepth is how deep a request may nest. Proposed entries nest five deep,
	// and seven in a look-up.
	maxDepth = 32
	// maxMembers bounds the members of one object. No kind of entry has more
	// than a dozen.
	maxMembers = 64
	// maxValues bounds all values of a request, and so the memory that reading
	// it takes: a million brackets are a small request and a large tree.
	maxValues = 50_000
)

// errJSON is what all refusals of parseJSON wrap.
var errJSON = errors.New("request is not strict JSON")

// kind is the type of a JSON value.
type kind byte

const (
	isNull kind = iota
	isBool
	isNumber
	isString
	isArray
	isObject
)

// value is a JSON value. It refers to the bytes that it was read from.
type value struct {
	kind kind
	// text is the content of a string without its escapes, and the bytes of a
	// number.
	text []byte
	// names are those of an object's members, items their values, or those of an
	// array.
	names []string
	items []value
}

// member returns a member of an object; false if there is none, or v is no
// object.
func (v *value) member(name string) (*value, bool) {
	for i, n := range v.names {
		if n == name {
			return &v.items[i], true
		}
	}
	return nil, false
}

// members returns the members of an object that has exactly these, in their
// order.
func (v *value) members(names ...string) ([]*value, bool) {
	if v.kind != isObject || len(v.names) != len(names) {
		return nil, false
	}
	all := make([]*value, len(names))
	for i, name := range names {
		m, ok := v.member(name)
		if !ok {
			return nil, false
		}
		all[i] = m
	}
	return all, true
}

// texts returns the members of an object that has exactly these, all of them
// strings.
func (v *value) texts(names ...string) ([][]byte, bool) {
	members, ok := v.members(names...)
	if !ok {
		return nil, false
	}
	all := make([][]byte, len(members))
	for i, m := range members {
		if m.kind != isString {
			return nil, false
		}
		all[i] = m.text
	}
	return all, true
}

// is says whether v is that string.
func (v *value) is(s string) bool { return v.kind == isString && string(v.text) == s }

// parseJSON reads one JSON value (RFC 8259) that is valid UTF-8, in which no
// object has two members whose names differ at most in case. It accepts less
// than encoding/json and understands all of it in the same way.
func parseJSON(doc []byte) (value, error) {
	if !utf8.Valid(doc) {
		return value{}, fmt.Errorf("%w: not UTF-8", errJSON)
	}
	p := parser{rest: doc}
	v, err := p.value(0)
	if err != nil {
		return value{}, fmt.Errorf("%w: %w, at byte %d", errJSON, err, len(doc)-len(p.rest))
	}
	if p.space(); len(p.rest) > 0 {
		return value{}, fmt.Errorf("%w: something follows it, at byte %d", errJSON, len(doc)-len(p.rest))
	}
	return v, nil
}

// parser reads from the front of rest.
type parser struct {
	rest   []byte
	values int
}

var (
	errEnd    = errors.New("unexpected end of JSON input")
	errSyntax = errors.New("syntax error")
)

// space skips white space.
func (p *parser) space() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\t' || p.rest[0] == '\n' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

// next skips white space and returns the byte behind it without taking it.
func (p *parser) next() (byte, error) {
	if p.space(); len(p.rest) == 0 {
		return 0, errEnd
	}
	return p.rest[0], nil
}

// take takes the byte c if it is next.
func (p *parser) take(c byte) bool {
	if got, err := p.next(); err != nil || got != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if p.values++; p.values > maxValues {
		return value{}, fmt.Errorf("more than %d values", maxValues)
	}
	c, err := p.next()
	if err != nil {
		return value{}, err
	}
	switch c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		text, err := p.string()
		return value{kind: isString, text: text}, err
	case 't':
		return value{kind: isBool}, p.literal("true")
	case 'f':
		return value{kind: isBool}, p.literal("false")
	case 'n':
		return value{kind: isNull}, p.literal("null")
	}
	return p.number()
}

func (p *parser) object(depth int) (value, error) {
	const usual = 3 // members; append would take them one, two and four at a time
	v := value{kind: isObject, names: make([]string, 0, usual), items: make([]value, 0, usual)}
	p.rest = p.rest[1:]
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') {
			return value{}, p.want("',' or '}'")
		}
		if c, err := p.next(); err != nil || c != '"' {
			return value{}, p.want("a member's name")
		}
		name, err := p.string()
		if err != nil {
			return value{}, err
		}
		if slices.ContainsFunc(v.names, func(n string) bool { return strings.EqualFold(n, string(name)) }) {
			return value{}, fmt.Errorf("duplicate key %q", name)
		}
		if len(v.names) == maxMembers {
			return value{}, fmt.Errorf("an object has more than %d members", maxMembers)
		}
		if !p.take(':') {
			return value{}, p.want("':'")
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.names, v.items = append(v.names, string(name)), append(v.items, item)
	}
	return v, nil
}

func (p *parser) array(depth int) (value, error) {
	v := value{kind: isArray}
	p.rest = p.rest[1:]
	for first := true; !p.take(']'); first = false {
		if !first && !p.take(',') {
			return value{}, p.want("',' or ']'")
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	return v, nil
}

// want is the error when something else was expected.
func (p *parser) want(what string) error {
	if len(p.rest) == 0 {
		return errEnd
	}
	return fmt.Errorf("%w: want %s", errSyntax, what)
}

// literal takes true, false or null.
func (p *parser) literal(word string) error {
	rest, ok := bytes.CutPrefix(p.rest, []byte(word))
	if !ok {
		return errSyntax
	}
	p.rest = rest
	return nil
}

// string takes a string and returns its content. One with escapes is left to
// encoding/json, which is slower and allocates.
func (p *parser) string() ([]byte, error) {
	escaped := false
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\\':
			escaped = true
			i++
		case c == '"':
			quoted := p.rest[:i+1]
			p.rest = p.rest[i+1:]
			if !escaped {
				return quoted[1:i], nil
			}
			var s string
			if err := json.Unmarshal(quoted, &s); err != nil {
				return nil, fmt.Errorf("%w: bad string", errSyntax)
			}
			return []byte(s), nil
		case c < ' ':
			return nil, fmt.Errorf("%w: control character in a string", errSyntax)
		}
	}
	return nil, errEnd
}

func (p *parser) number() (value, error) {
	end := bytes.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	if len(text) == 0 || !json.Valid(text) {
		return value{}, errSyntax
	}
	p.rest = p.rest[end:]
	return value{kind: isNumber, text: text}, nil
}
