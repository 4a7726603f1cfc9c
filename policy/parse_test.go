// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

const goodSigning = `apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: one
  identity: github
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/app]
  predicateTypes: [https://spdx.dev/Document]
  conditions:
  - name: ref
    expression: claims.ref == "refs/heads/main"
    message: sign from main
`

func TestSigningPolicyErrors(t *testing.T) {
	replaced := func(old, by string) string {
		if !strings.Contains(goodSigning, old) {
			t.Fatalf("%q is not in the good policy", old)
		}
		return strings.Replace(goodSigning, old, by, 1)
	}
	before := func(text string) string {
		head, _, found := strings.Cut(goodSigning, text)
		if !found {
			t.Fatalf("%q is not in the good policy", text)
		}
		return head
	}
	condition := func(expression string) string { return replaced(`claims.ref == "refs/heads/main"`, "'"+expression+"'") }
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "document is empty"},
		{"only a comment", "# nothing\n", "document is empty"},
		{"null", "null\n", "line 1: must be a mapping"},
		{"a list", "[]\n", "line 1: must be a mapping"},
		{"not YAML", "a: [\n", "yaml: line 1"},
		{"not UTF-8", goodSigning + "# \xff", "not UTF-8"},
		{"too large", goodSigning + strings.Repeat("#", 256<<10), "larger than 262144"},
		{"two documents", goodSigning + "---\n" + goodSigning, "something after the first document"},
		{"unknown key", replaced("identity: github", "identity: github\n  Kinds: [chart]"), "line 6: rules[0].Kinds: unknown key (known here: actions, anyPredicateType, conditions,"},
		{"empty key", replaced("identity: github", "identity: github\n  \"\": [chart]"), `line 6: rules[0][""]: unknown key`},
		{"misspelt condition key", replaced("message:", "mesage:"), "line 13: rules[0].conditions[0].mesage: unknown key"},
		{"duplicate key", replaced("identity: github", "identity: github\n  identity: gitlab"), "line 6: rules[0].identity: duplicate key, it stands in line 5"},
		{"anchor", replaced("[acme/app]", "&a [acme/app]"), "line 8: rules[0].repositories: anchors and aliases"},
		{"merge key", replaced("identity: github", "<<: {identity: github}"), "line 5: rules[0][\"<<\"]: keys must be plain strings"},
		{"tag", replaced("identity: github", "identity: !!str github"), "line 5: rules[0].identity: tags are not accepted"},
		{"number as name", replaced("name: one", "name: 1"), "line 4: rules[0].name: must be a string (hint: put it in quotes)"},
		{"nothing as name", replaced("name: one", "name:"), "line 4: rules[0].name: must be a string"},
		{"text as list", replaced("[acme/app]", "acme/app"), "line 8: rules[0].repositories: must be a list"},
		{"list as text", replaced("name: one", "name: [one]"), "line 4: rules[0].name: must be a string"},
		{"text as bool", replaced("predicateTypes: [https://spdx.dev/Document]", `anyPredicateType: "true"`), "line 9: rules[0].anyPredicateType: must be true or false"},
		{"other version", replaced("v1alpha1", "v1"), "line 1: apiVersion: must be hallmark.dev/v1alpha1"},
		{"other kind", replaced("SigningPolicy", "ImageTrustPolicy"), "line 2: kind: is an ImageTrustPolicy; hallmark verify --policy reads it"},
		{"no rules", "apiVersion: hallmark.dev/v1alpha1\nkind: SigningPolicy\n", "rules: must not be missing or empty"},
		{"no name", replaced("- name: one\n  identity", "- identity"), "line 4: rules[0].name: must be lower-case"},
		{"upper-case name", replaced("name: one", "name: One"), "line 4: rules[0].name: must be lower-case"},
		{"same name twice", goodSigning + strings.TrimPrefix(goodSigning, before("- name")), `line 14: rules[1].name: "one" is taken already`},
		{"no identity", replaced("  identity: github\n", ""), "line 4: rules[0].identity: must be the configured name"},
		{"no actions", replaced("[sign, attest]", "[]"), "line 6: rules[0].actions: must not be missing or empty"},
		{"unknown action", replaced("[sign, attest]", "[sign, approve]"), `line 6: rules[0].actions[1]: "approve": must be sign, attest, chart-provenance or certificate`},
		{"action twice", replaced("[sign, attest]", "[sign, sign]"), `line 6: rules[0].actions[1]: "sign" stands here twice`},
		{"unknown kind", replaced("[image]", "[Image]"), `line 7: rules[0].kinds[0]: "Image": must be image, index`},
		{"no repositories", replaced("  repositories: [acme/app]\n", ""), "rules[0].repositories: must not be missing"},
		{"glob", replaced("[acme/app]", `["acme/*"]`), `line 8: rules[0].repositories[0]: "acme/*": must be a lower-case repository`},
		{"every repository", replaced("[acme/app]", `["/"]`), `line 8: rules[0].repositories[0]`},
		{"empty repository", replaced("[acme/app]", `[""]`), `line 8: rules[0].repositories[0]`},
		{"upper-case repository", replaced("[acme/app]", "[acme/App]"), `line 8: rules[0].repositories[0]`},
		{"repository with host", replaced("[acme/app]", "['localhost:5000/acme']"), `line 8: rules[0].repositories[0]`},
		{"no types", replaced("  predicateTypes: [https://spdx.dev/Document]\n", ""), "rules[0].predicateTypes: a rule with the action attest lists"},
		{"short type", replaced("[https://spdx.dev/Document]", "[spdx]"), `line 9: rules[0].predicateTypes[0]: "spdx": must be an exact URI`},
		{"signature type", replaced("[https://spdx.dev/Document]", "["+policy.PredicateSignature+"]"), "line 9: rules[0].predicateTypes: https://sigstore.dev/cosign/sign/v1 is a signature"},
		{"types and any", replaced("conditions:", "anyPredicateType: true\n  conditions:"), "line 9: rules[0].predicateTypes: either list types or"},
		{"types without attest", replaced("[sign, attest]", "[sign]"), "line 9: rules[0].predicateTypes: only a rule with the action attest"},
		{"no conditions", before("  - name: ref"), "rules[0].conditions: must be a list"},
		{"empty conditions", before("  conditions:") + "  conditions: []\n", "line 10: rules[0].conditions: a rule needs a condition"},
		{"reserved name", replaced("name: ref", "name: repository"), `line 11: rules[0].conditions[0].name: "repository" is taken`},
		{"no message", replaced("    message: sign from main\n", ""), "line 11: rules[0].conditions[0].message: must say in one line"},
		{"two-line message", replaced("message: sign from main", `message: "a\nb"`), "line 13: rules[0].conditions[0].message: must say in one line"},
		{"no expression", condition(""), "line 12: rules[0].conditions[0].expression: must be a CEL expression"},
		{"syntax", condition("claims.ref =="), `line 12: rules[0].conditions[0].expression: rule "one", condition "ref": does not compile: 1:14: Syntax error`},
		{"unknown variable", condition("token.ref == 1"), `condition "ref": does not compile: 1:1: undeclared reference to 'token'`},
		{"unknown member", condition(`artifact.tag == "v1"`), `does not compile: 1:1: undeclared reference to 'artifact'`},
		{"wrong type", condition(`artifact.kind == 1`), `does not compile: 1:15: found no matching overload for '_==_'`},
		{"not bool", condition("claims.ref"), `yields dyn, not bool (hint: compare it`},
		{"text", condition(`"true"`), `yields string, not bool`},
		{"unknown function", condition(`http.get("https://evil.example") == ""`), `does not compile`},
		{"the clock", condition(`timestamp("2026-01-01T00:00:00Z") < now()`), `does not compile`},
		{"unanchored pattern", condition(`claims.ref.matches("refs/heads/main")`), `"refs/heads/main" is not anchored at both ends`},
		{"half anchored branch", condition(`claims.ref.matches("^a|b$")`), `is not anchored at both ends`},
		{"pattern from a claim", condition(`claims.ref.matches(claims.sub)`), `matches() needs its pattern written out`},
		{"broken pattern", condition(`claims.ref.matches("^(a$")`), "missing closing )"},
		{"broken time", condition(`timestamp("yesterday") == timestamp(claims.t)`), "invalid timestamp argument"},
		{"bomb", condition(`claims.a.all(x, claims.a.all(y, x == y))`), "hint: no loop inside a loop over claims"},
		{"deep bomb", condition(`[1].all(a, [1].all(b, [1].all(c, a == b)))`), "comprehension exceeds nesting limit"},
	} {
		p, err := policy.ParseSigningPolicy([]byte(test.text))
		if err == nil || p != nil {
			t.Errorf("%s: accepted", test.name)
			continue
		}
		if !strings.HasPrefix(err.Error(), "signing policy: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.want)
		}
	}
	parse(t, goodSigning) // what the others were made of
}

func TestJSONIsReadToo(t *testing.T) {
	parse(t, `{"apiVersion": "hallmark.dev/v1alpha1", "kind": "SigningPolicy", "rules": [{"name": "one", "identity": "github",
	  "actions": ["sign"], "kinds": ["image"], "repositories": ["acme/"],
	  "conditions": [{"name": "ref", "expression": "claims.ref == \"refs/heads/main\"", "message": "sign from main"}]}]}`)
}
