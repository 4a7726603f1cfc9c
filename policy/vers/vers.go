// SPDX-License-Identifier: Apache-2.0

// Package vers reads version ranges as VEX writes them: VERS, "vers:npm/1.2.3|>=2.0.0|<5.0.0". A range is a line of signposts in the order of
// the versions; what lies between ">=" and the next "<" is in it. Which version comes before which depends on the scheme: npm's order is not
// Debian's.
//
// A range decides whether a finding is excused. So the answer of everything here has three values: a version is in, it is not, or nobody can
// say. Nobody can say if a version does not parse in the range's scheme, and a range that could be read in two ways is not read at all.
// Source: https://github.com/package-url/vers-spec, docs/specification.
package vers

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on a range.
const (
	// MaxLength bounds a range, bytes: real ones list the versions of some years.
	MaxLength = 4096
	// MaxConstraints bounds its signposts.
	MaxConstraints = 256
)

// ErrRange says that a text is no range that can be evaluated.
var ErrRange = errors.New("not a version range that is understood")

// Range is a range that was understood.
type Range struct {
	name        string
	scheme      scheme
	constraints []constraint // sorted by version
	all, none   bool         // "*"
}

// constraint is one signpost.
type constraint struct {
	comparator comparator
	version    string
	key        any // of its scheme
}

type comparator string

const (
	equal          comparator = "="
	unequal        comparator = "!="
	less           comparator = "<"
	lessOrEqual    comparator = "<="
	greater        comparator = ">"
	greaterOrEqual comparator = ">="
)

func (c comparator) opens() bool    { return c == greater || c == greaterOrEqual }
func (c comparator) closes() bool   { return c == less || c == lessOrEqual }
func (c comparator) bounds() bool   { return c.opens() || c.closes() }
func (c comparator) includes() bool { return c == equal || c == lessOrEqual || c == greaterOrEqual }

// Is reports whether a text wants to be a range.
func Is(text string) bool { return strings.HasPrefix(text, "vers:") }

// Parse reads a range. Errors are ErrRange.
//
// It is as strict as the specification about what changes the meaning: the order of the versions, each only once, and what may follow what. It
// is lenient where the meaning is the same: a character may be percent-encoded that need not be, as earlier versions of the specification asked.
func Parse(text string) (*Range, error) {
	if len(text) > MaxLength {
		return nil, wrong("%d bytes, the limit is %d", len(text), MaxLength)
	}
	rest, ok := strings.CutPrefix(text, "vers:")
	if !ok {
		return nil, wrong(`it does not begin with "vers:"`)
	}
	name, list, ok := strings.Cut(rest, "/")
	if !ok || list == "" {
		return nil, wrong("it has no constraints")
	}
	r := &Range{name: name}
	if r.scheme, ok = schemes[name]; !ok {
		return nil, wrong("the order of versions of scheme %q is not known", clip(name))
	}
	switch {
	case list == "*":
		r.all, r.none = name != schemeNone, name == schemeNone
		return r, nil
	case r.scheme.read == nil:
		return nil, wrong("scheme %s has no constraint but *", name)
	case strings.Count(list, "|") >= MaxConstraints:
		return nil, wrong("more than %d constraints", MaxConstraints)
	}
	for one := range strings.SplitSeq(list, "|") {
		c, err := r.constraint(one)
		if err != nil {
			return nil, err
		}
		r.constraints = append(r.constraints, c)
	}
	return r, r.check()
}

func (r *Range) constraint(text string) (constraint, error) {
	c := constraint{comparator: equal}
	for _, known := range []comparator{greaterOrEqual, lessOrEqual, unequal, greater, less} {
		if rest, ok := strings.CutPrefix(text, string(known)); ok {
			c.comparator, text = known, rest
			break
		}
	}
	var ok bool
	if c.version, ok = decode(text); !ok {
		return c, wrong("constraint %q: want a version, with percent-encoding where it needs it", clip(text))
	}
	if c.key, ok = r.scheme.read(c.version); !ok {
		return c, wrong("%q is not a version of %s", clip(c.version), r.name)
	}
	return c, nil
}

// check holds the sequence against the rules: sorted, no version twice, and what may follow what.
func (r *Range) check() error {
	opened := false // the last bound opens an interval
	var last, plain comparator
	for i, c := range r.constraints {
		if i > 0 {
			before := r.constraints[i-1]
			order, known := r.scheme.compare(before.key, c.key)
			switch {
			case !known:
				return wrong("nobody can say which of %s and %s is the later version", before.version, c.version)
			case order == 0:
				return wrong("version %s appears twice", clip(c.version))
			case order > 0:
				return wrong("version %s is before %s: constraints are sorted by version", clip(c.version), clip(before.version))
			}
		}
		switch {
		case c.comparator == unequal:
			continue
		case c.comparator == equal && opened:
			return wrong("version %s is listed inside of an interval", clip(c.version))
		case c.comparator.closes() && plain == equal, c.comparator.bounds() && last != "" && c.comparator.opens() == last.opens():
			return wrong("%s%s does not fit what is before it", c.comparator, clip(c.version))
		}
		if plain = c.comparator; plain.bounds() {
			last, opened = plain, plain.opens()
		}
	}
	return nil
}

// Contains tells whether a version is in the range. It is not known if the version is none of the scheme, or if the range only says what is not in
// it: the specification does not say whether everything else is.
func (r *Range) Contains(version string) (in, known bool) {
	if r.all || r.none {
		return r.all, true
	}
	key, ok := r.scheme.read(version)
	if !ok {
		return false, false
	}
	// The signpost in front of the version, and the first one behind it.
	var before, behind comparator
	listed := false
	for _, c := range r.constraints {
		order, known := r.scheme.compare(c.key, key)
		if !known {
			return false, false
		}
		if order == 0 {
			return c.comparator.includes(), true
		}
		listed = listed || c.comparator != unequal
		switch {
		case !c.comparator.bounds():
		case order < 0:
			before = c.comparator
		case behind == "":
			behind = c.comparator
		}
	}
	if !listed {
		return false, false
	}
	return before.opens() || behind.closes(), true
}

// Fits reports whether packages of a purl type have versions of the range's scheme.
func (r *Range) Fits(purlType string) bool {
	if r.name == schemeAll || r.name == schemeNone || r.name == purlType {
		return true
	}
	for _, t := range r.scheme.types {
		if t == purlType {
			return true
		}
	}
	return false
}

// Size is how many signposts there are: what Contains costs.
func (r *Range) Size() int { return len(r.constraints) }

// String returns the range in its canonical form.
func (r *Range) String() string {
	var b strings.Builder
	b.WriteString("vers:" + r.name + "/")
	if r.all || r.none {
		b.WriteByte('*')
	}
	for i, c := range r.constraints {
		if i > 0 {
			b.WriteByte('|')
		}
		if c.comparator != equal {
			b.WriteString(string(c.comparator))
		}
		b.WriteString(encode(c.version))
	}
	return b.String()
}

func wrong(why string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRange, fmt.Sprintf(why, args...))
}

// clip bounds what an error repeats.
func clip(s string) string { return s[:min(len(s), maxVersion)] }
