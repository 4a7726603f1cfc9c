// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	for text, want := range map[string][]string{
		"plain": nil, "{a}": {"a"}, "x{a}y{b?}z": {"a", "b"}, "{oidc.example/a b}": {"oidc.example/a b"}, "{a}{a}": {"a", "a"},
	} {
		parsed, err := parseTemplate(text)
		if err != nil || !slices.Equal(parsed.claims(), want) || parsed.optional() != strings.Contains(text, "?") {
			t.Errorf("%q: %v, %v", text, parsed, err)
		}
	}
	for _, text := range []string{"", "{", "}", "{}", "{?}", "a}b", "{a", "{a{b}}", "{{a}}", "{ a }", "x\n{a}", strings.Repeat("x", 2<<10)} {
		if parsed, err := parseTemplate(text); err == nil {
			t.Errorf("%q is a template: %v", text, parsed)
		}
	}
}

// FuzzTemplate: what is accepted says the same when it is written again.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{a}", "x{a?}{b}", "{a", "}{", "{a{b}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseTemplate(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, part := range parsed {
			again.WriteString(part.text)
			if part.claim != "" {
				again.WriteString("{" + part.claim)
				if part.optional {
					again.WriteString("?")
				}
				again.WriteString("}")
			}
		}
		if again.String() != text {
			t.Errorf("%q became %q", text, again.String())
		}
	})
}
