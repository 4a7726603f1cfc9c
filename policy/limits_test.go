// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestClaimBounds(t *testing.T) {
	nested := func(depth int) any {
		var v any = "x"
		for range depth {
			v = map[string]any{"a": v}
		}
		return v
	}
	for _, test := range []struct {
		name  string
		claim any
		want  string // "" if accepted
	}{
		{"longest text", strings.Repeat("x", maxClaimText), ""},
		{"longer text", strings.Repeat("x", maxClaimText+1), "claim c is a string of 4097 bytes"},
		{"longer name", map[string]any{strings.Repeat("x", maxClaimText+1): 1}, "a claim name of 4097 bytes"},
		{"deepest", nested(maxClaimDepth - 1), ""},
		{"deeper", nested(maxClaimDepth), "nested deeper than 16"},
		{"most values", make([]any, maxClaimNodes-2), ""}, // with the list and the claims object
		{"more values", make([]any, maxClaimNodes-1), "claims hold more than 4096 values"},
		{"largest int", json.Number("9223372036854775807"), ""},
		{"beyond int", json.Number("-9223372036854775809"), "claim c is a whole number beyond 64 bits"},
		{"largest exact float", json.Number("9007199254740992.0"), ""},
		{"inexact float", json.Number("1e20"), "claim c is a number that has no exact value here"},
		{"infinite float", json.Number("1e999"), "claim c is a number that has no exact value here"},
		{"not a number", json.Number("abc"), "claim c is a whole number beyond"},
		{"in a list", map[string]any{"kubernetes.io": []any{"a", 1}}, `claim c["kubernetes.io"][1] has the unexpected Go type int`},
	} {
		_, err := claimValues(map[string]any{"c": test.claim})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// bombs pass the estimate, because no loop is inside a loop over claims, and cost more than they may at run time.
func bombs() []string {
	return []string{
		`claims.groups.exists(g, g.matches("^(a?){20}(b?){20}(c?){20}$") || claims.long.matches("^(x|y|z)+0$"))`,
		`claims.groups.exists(g, claims.long == claims.long + g)`,
		`claims.groups.filter(g, g.startsWith(claims.long)).size() > 0`,
	}
}

func TestExpressionBombsReachTheCostLimit(t *testing.T) {
	groups := make([]any, maxClaimNodes-3)
	for i := range groups {
		groups[i] = fmt.Sprintf("group-%d", i)
	}
	values, err := claimValues(map[string]any{"groups": groups, "long": strings.Repeat("x", maxClaimText)})
	if err != nil {
		t.Fatal(err)
	}
	language, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range bombs() {
		compiled, err := compile(language, source)
		if err != nil {
			t.Errorf("%s: refused already: %v", source, err)
			continue
		}
		holds, detail := compiled.evaluate(map[string]any{varClaims: values})
		if holds || detail != "evaluation reached its cost limit of 100000" {
			t.Errorf("%s: %t, %s", source, holds, detail)
		}
	}
}

func TestExpressionBombsAreRefused(t *testing.T) {
	language, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{
		`claims.a.exists(x, claims.b.exists(y, x == y))`,
		`claims.a.exists(x, claims.b.contains(claims.c + x))`,
		`[claims.long]` + strings.Repeat(`.map(x, x + x)`, 11) + `.all(x, x != "")`,
		`claims.a.map(x, claims).exists(m, m == claims)` + strings.Repeat(` || claims.a.exists(x, x.matches("^(a|b|c|d|e){9}[a-z]*$"))`, 8),
		strings.Repeat(`(`, 2000) + `true` + strings.Repeat(`)`, 2000),
		`"x" == "` + strings.Repeat("x", maxExpression) + `"`,
	} {
		if _, err := compile(language, source); err == nil {
			t.Errorf("accepted %.80s", source)
		}
	}
}

func TestEveryDeclaredVariableIsGiven(t *testing.T) {
	language, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Repository: "a", Digest: "sha256:" + strings.Repeat("0", 64)}
	vars, err := variables(in)
	if err != nil {
		t.Fatal(err)
	}
	for name := range vars {
		if name == varClaims {
			continue // not a text; TestConditionsSeeExactValues has it
		}
		compiled, err := compile(language, name+` != "no such value"`)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if holds, detail := compiled.evaluate(vars); !holds || !strings.HasPrefix(detail, name+" is ") {
			t.Errorf("%s: %t, %s", name, holds, detail)
		}
	}
}

func TestAnchoring(t *testing.T) {
	for pattern, anchored := range map[string]bool{
		`^a$`: true, `^(?:a|b)$`: true, `^a|^b$`: false, `^a$|^b$`: true, `(^a$)`: true, `\Aa\z`: true, `(?i)^a$`: true,
		`a`: false, `^a`: false, `a$`: false, `^a|b$`: false, `(?m)^a$`: false, ``: false, `^`: false, `^$`: true, `.*^a$`: false,
		`^?a$`: false, `^*a$`: false, `(^a$)?`: false, `^a$\n`: false, `a\$`: false, `[^a]$`: false,
	} {
		if err := checkAnchored(pattern); (err == nil) != anchored {
			t.Errorf("%q: %v, want anchored %t", pattern, err, anchored)
		}
	}
	for pattern, text := range map[string]string{`a`: "xax", `a|b`: "ab", `^a`: "ab", `a$`: "ba", `(?m)^a$`: "a\nb", `a)|(?:b`: "b"} {
		if whole, err := WholeMatch(pattern); err == nil && whole.MatchString(text) {
			t.Errorf("%q matches %q", pattern, text)
		}
	}
	if whole, err := WholeMatch(`a|b`); err != nil || !whole.MatchString("a") || !whole.MatchString("b") {
		t.Errorf("a|b: %v", err)
	}
	if _, err := WholeMatch(strings.Repeat("a", maxPattern+1)); err == nil {
		t.Error("a pattern beyond the limit is accepted")
	}
}

// FuzzForms compares the hand-written forms with the patterns of the specifications.
func FuzzForms(f *testing.F) {
	for _, seed := range []string{"", "a", "acme/app", "a..b", "a__b", "a___b", "a--b", "a-_b", "a/", "/a", "A", "a\n", "registry:5000", "host.", "a.b:1",
		"a:", "a:123456", "é", "a-", "-a", "sha256:" + strings.Repeat("a", 64)} {
		f.Add(seed)
	}
	const component = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
	forms := []struct {
		name    string
		form    func(string) bool
		pattern *regexp.Regexp
		limit   int
	}{
		{"name", isName, regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]*[a-z0-9])?\z`), maxName},
		{"repository", isRepository, regexp.MustCompile(`\A` + component + `(/` + component + `)*\z`), maxRepository},
		{"host", isHost, regexp.MustCompile(`\A[a-z0-9]+(-+[a-z0-9]+|\.[a-z0-9]+|[.-]+[a-z0-9]+)*(:[0-9]{1,5})?\z`), maxRepository},
		{"digest", isDigest, regexp.MustCompile(`\Asha256:[0-9a-f]{64}\z`), 71},
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range forms {
			want := len(s) <= form.limit && form.pattern.MatchString(s)
			if form.name == "host" {
				want = want && !strings.Contains(s, "..")
			}
			if got := form.form(s); got != want {
				t.Errorf("%s %q: %t", form.name, s, got)
			}
		}
		if quoted := shown(s); len(quoted) > 6*maxShown || strings.ContainsFunc(quoted, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("shown %q: %s", s, quoted)
		}
		if underPrefix(s, "acme/") && !strings.HasPrefix(s, "acme/") {
			t.Errorf("%q is not under acme/", s)
		}
	})
}
