// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// maxPattern bounds a regular expression. Identities and references fit many times over, and compiled size grows with it.
const maxPattern = 1024

// WholeMatch compiles a pattern so that it must match a text from end to end, whatever anchors it has itself. "Contains a match" is
// never what a trust decision means: ".*/app" would accept "https://evil/app/../x".
func WholeMatch(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("regular expression of %d bytes is longer than %d", len(pattern), maxPattern)
	}
	// Alone first: "a)|(?:b" is a valid expression only inside our brackets, where it escapes the anchors.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// checkAnchored returns an error unless the pattern can only match a whole text. It is for expressions, where a pattern stands in
// the author's own text and is not rewritten behind their back.
func checkAnchored(pattern string) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("regular expression of %d bytes is longer than %d", len(pattern), maxPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	if !anchoredAt(parsed, syntax.OpBeginText) || !anchoredAt(parsed, syntax.OpEndText) {
		return fmt.Errorf("regular expression %q is not anchored at both ends (hint: ^(?:…)$)", pattern)
	}
	return nil
}

// anchoredAt reports whether every match of the expression begins (OpBeginText) or ends (OpEndText) with that assertion.
// ^ and $ under the flag (?m) are other operators, so they do not pass.
func anchoredAt(re *syntax.Regexp, anchor syntax.Op) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpCapture:
		return anchoredAt(re.Sub[0], anchor)
	case syntax.OpConcat:
		if anchor == syntax.OpBeginText {
			return anchoredAt(re.Sub[0], anchor)
		}
		return anchoredAt(re.Sub[len(re.Sub)-1], anchor)
	case syntax.OpAlternate:
		for _, branch := range re.Sub {
			if !anchoredAt(branch, anchor) {
				return false
			}
		}
		return true
	}
	return false
}
