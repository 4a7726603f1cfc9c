// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

const (
	digest   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sbomType = "https://spdx.dev/Document"
)

// ruleOf renders a policy of one rule with one condition.
func ruleOf(expression string) string {
	return fmt.Sprintf(`
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme-github
  identity: github
  actions: [sign, attest]
  kinds: [image, index]
  repositories: [acme/, tools/lint]
  predicateTypes: [%s]
  conditions:
  - name: protected-ref
    expression: %q
    message: sign from a protected branch or tag
`, sbomType, expression)
}

func parse(tb testing.TB, text string) *policy.SigningPolicy {
	tb.Helper()
	p, err := policy.ParseSigningPolicy([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// request is a good one: the base that tests change.
func request() policy.Input {
	return policy.Input{
		Action: policy.ActionSign, Identity: "github", Provider: "github", Issuer: "https://token.actions.githubusercontent.com",
		Subject: "repo:acme/app:ref:refs/heads/main", SAN: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
		Claims: map[string]any{
			"ref": "refs/heads/main", "ref_protected": "true", "repository_owner_id": "1001", "run_attempt": json.Number("3"),
			"ratio": json.Number("1.5"), "ssh": false, "nothing": nil, "aud": []any{"a", "b"},
			"kubernetes.io": map[string]any{"namespace": "ci", "pod": map[string]any{"uid": "u-1"}},
		},
		Repository: "acme/app", Tag: "v1", Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Kind: policy.KindImage,
		Now: time.Unix(1_800_000_000, 0),
	}
}

func TestConditionsSeeExactValues(t *testing.T) {
	for _, expression := range []string{
		`claims.ref_protected == "true"`,
		`claims["ref_protected"] == "true"`,
		`claims.run_attempt == 3 && type(claims.run_attempt) == int`,
		`claims.ratio == 1.5 && type(claims.ratio) == double`,
		`claims.ssh == false && claims.nothing == null`,
		`claims.aud == ["a", "b"] && "b" in claims.aud && claims.aud.exists(a, a == "a")`,
		`claims["kubernetes.io"].namespace == "ci" && claims["kubernetes.io"].pod.uid == "u-1"`,
		`!has(claims.environment) && claims.?environment.orValue("none") == "none"`,
		`identity == "github" && provider == "github" && issuer == "https://token.actions.githubusercontent.com"`,
		`subject == "repo:acme/app:ref:refs/heads/main" && san.startsWith("https://github.com/acme/")`,
		`artifact.repository == "acme/app" && artifact.kind == "image" && artifact.digest.startsWith("sha256:aa")`,
		`artifact.mediaType == "application/vnd.oci.image.manifest.v1+json" && action == "sign" && predicateType == ""`,
		`claims.ref.matches("^refs/heads/(main|release-[0-9]+)$")`,
	} {
		if d := parse(t, ruleOf(expression)).Decide(request()); d.Refusal() != nil {
			t.Errorf("%s: %v", expression, d.Refusal())
		}
	}
}

func TestConditionsThatDoNotHold(t *testing.T) {
	for _, test := range []struct{ expression, seen string }{
		{`claims.ref == "refs/heads/other"`, `ref is "refs/heads/main"`},
		{`claims.environment == "prod"`, `environment is missing`},
		{`claims.environment != "prod"`, `environment is missing`},
		{`!(claims.environment in ["prod"])`, `environment is missing`},
		{`claims["kubernetes.io"].node.name != "n"`, `["kubernetes.io"].node.name is missing`},
		{`claims.ref.namespace == "x"`, `ref.namespace is missing`},
		{`claims.run_attempt == "3"`, `run_attempt is 3`},
		{`claims.ssh == "false"`, `ssh is false`},
		{`claims.nothing == ""`, `nothing is null`},
		{`claims.ref > 3`, `ref is "refs/heads/main"; evaluation failed: "no such overload"`},
		{`int(claims.ref) == 3`, `ref is "refs/heads/main"; evaluation failed: `},
		{`1 / (claims.run_attempt - 3) == 1`, `run_attempt is 3; evaluation failed: "division by zero"`},
		{`claims.aud.all(a, a == "a")`, `aud is a list of 2`},
		{`artifact.repository == "acme/other"`, `artifact.repository is "acme/app"`},
		{`[action].exists(identity, identity == "attest")`, `action is "sign"; sign from`}, // the loop variable is not ours
		{`false`, `sign from`},
	} {
		d := parse(t, ruleOf(test.expression)).Decide(request())
		if grant, ok := d.Grant(); ok || grant != nil || d.Refusal() == nil {
			t.Errorf("%s: allowed", test.expression)
			continue
		}
		last := d.Checks[len(d.Checks)-1]
		if last.Passed || last.Name != "protected-ref" || !strings.HasPrefix(last.Detail, test.seen) {
			t.Errorf("%s: %+v, want detail %s…", test.expression, last, test.seen)
		}
	}
}

func TestRefusalReadsLikeASentence(t *testing.T) {
	in := request()
	in.Claims["ref_protected"] = "false"
	refusal := parse(t, ruleOf(`claims.ref_protected == "true"`)).Decide(in).Refusal()
	want := `rule "acme-github": condition "protected-ref" failed: ref_protected is "false"; sign from a protected branch or tag`
	if !slices.Equal(refusal.Reasons, []string{want}) {
		t.Errorf("got  %q\nwant %q", refusal.Reasons, want)
	}
	var asError error = fmt.Errorf("sign: %w", refusal)
	if !errors.As(asError, &refusal) || !strings.Contains(asError.Error(), want) {
		t.Errorf("as error: %v", asError)
	}
}

func TestScope(t *testing.T) {
	p := parse(t, ruleOf("true"))
	for _, test := range []struct {
		name   string
		change func(*policy.Input)
		refuse string // "" if allowed
	}{
		{"as it is", func(*policy.Input) {}, ""},
		{"exact repository", func(in *policy.Input) { in.Repository = "tools/lint" }, ""},
		{"deeper repository", func(in *policy.Input) { in.Repository = "acme/a/b/c" }, ""},
		{"the prefix itself", func(in *policy.Input) { in.Repository = "acme" }, `repository is "acme"; the rule is for "acme/", "tools/lint"`},
		{"beside the prefix", func(in *policy.Input) { in.Repository = "acme-labs/app" }, `repository is "acme-labs/app"`},
		{"below an exact repository", func(in *policy.Input) { in.Repository = "tools/lint/x" }, `repository is`},
		{"beside an exact repository", func(in *policy.Input) { in.Repository = "tools/lint2" }, `repository is`},
		{"upper case", func(in *policy.Input) { in.Repository = "acme/App" }, `not in canonical form`},
		{"dot dot", func(in *policy.Input) { in.Repository = "acme/../other" }, `not in canonical form`},
		{"empty component", func(in *policy.Input) { in.Repository = "acme//app" }, `not in canonical form`},
		{"other kind", func(in *policy.Input) { in.Kind = policy.KindChart }, `kind is "chart"; the rule is for "image", "index"`},
		{"no kind", func(in *policy.Input) { in.Kind = "" }, `kind is ""`},
		{"other action", func(in *policy.Input) { in.Action = "push" }, `action is "push"; the rule is for "sign", "attest"`},
		{"other identity", func(in *policy.Input) { in.Identity = "gitlab" }, `no rule is for the identity source "gitlab"; there are rules for "github"`},
		{"no identity", func(in *policy.Input) { in.Identity = "" }, `no rule is for the identity source ""`},
		{"attest a listed type", func(in *policy.Input) { in.Action, in.PredicateType = "attest", sbomType }, ""},
		{"attest a longer type", func(in *policy.Input) { in.Action, in.PredicateType = "attest", sbomType+"/v2.3" }, `predicate-type is`},
		{"attest VEX", func(in *policy.Input) { in.Action, in.PredicateType = "attest", "https://openvex.dev/ns/v0.2.0" }, `give it to a rule for the workflow that may`},
		{"attest no type", func(in *policy.Input) { in.Action = "attest" }, `predicate-type is ""`},
		{"attest a signature", func(in *policy.Input) { in.Action, in.PredicateType = "attest", policy.PredicateSignature }, `cannot be attested`},
		{"no digest", func(in *policy.Input) { in.Digest = "" }, `digest ""`},
		{"upper-case digest", func(in *policy.Input) { in.Digest = strings.Replace(digest, "a", "A", 1) }, `digest`},
		{"sha512", func(in *policy.Input) { in.Digest = "sha512:" + strings.Repeat("a", 128) }, `digest`},
		{"no claims", func(in *policy.Input) { in.Claims = nil }, ""},
		{"unexpected Go type", func(in *policy.Input) { in.Claims["n"] = 3 }, `claim n has the unexpected Go type int`},
		{"inexact number", func(in *policy.Input) { in.Claims["n"] = json.Number("9223372036854775808") }, `claim n is a whole number beyond 64 bits`},
		{"huge SAN", func(in *policy.Input) { in.SAN = strings.Repeat("x", 5000) }, `san of 5000 bytes is longer than 4096`},
	} {
		in := request()
		test.change(&in)
		d := p.Decide(in)
		if test.refuse == "" {
			if d.Refusal() != nil {
				t.Errorf("%s: %v", test.name, d.Refusal())
			}
			continue
		}
		if d.Refusal() == nil || !strings.Contains(d.Refusal().Reasons[0], test.refuse) {
			t.Errorf("%s: %v, want %s", test.name, d.Refusal(), test.refuse)
		}
	}
}

func TestAnyPredicateTypeIsNeverASignature(t *testing.T) {
	p := parse(t, strings.Replace(ruleOf("true"), "predicateTypes: ["+sbomType+"]", "anyPredicateType: true", 1))
	for predicateType, allowed := range map[string]bool{
		sbomType: true, "https://acme.example/our-own/v1": true,
		policy.PredicateSignature: false, "": false, "spdx": false, "https://": false, "https://acme.example/a b": false,
	} {
		in := request()
		in.Action, in.PredicateType = policy.ActionAttest, predicateType
		if _, ok := p.Decide(in).Grant(); ok != allowed {
			t.Errorf("%q: allowed is %t", predicateType, ok)
		}
	}
}

// threeRules has a rule per distance from the request: two conditions short, one short, another place, another source.
const threeRules = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- {name: elsewhere, identity: gitlab, actions: [sign], kinds: [image], repositories: [acme/], conditions: [{name: a, expression: "true", message: m}]}
- {name: other-place, identity: github, actions: [sign], kinds: [image], repositories: [tools/], conditions: [{name: a, expression: "true", message: m}]}
- name: far
  identity: github
  actions: [sign]
  kinds: [image]
  repositories: [acme/]
  conditions: [{name: a, expression: "false", message: m}, {name: b, expression: "false", message: m}, {name: c, expression: "true", message: m}]
- name: near
  identity: github
  actions: [sign]
  kinds: [image]
  repositories: [acme/]
  conditions: [{name: a, expression: "true", message: m}, {name: b, expression: "false", message: fix b}]
`

func TestNearestRuleFirstAndAllConsidered(t *testing.T) {
	d := parse(t, threeRules).Decide(request())
	want := []string{
		`rule "near": condition "b" failed: fix b`,
		`rule "far": condition "a" failed: m`,
		`rule "far": condition "b" failed: m`,
		`not for such requests: "other-place" (repository)`,
	}
	if got := d.Refusal().Reasons; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var seen []string
	for _, check := range d.Checks {
		seen = append(seen, fmt.Sprintf("%s/%s %t", check.Rule, check.Name, check.Passed))
	}
	wantChecks := []string{
		"elsewhere/identity false", "elsewhere/action true", "elsewhere/kind true", "elsewhere/repository true",
		"other-place/identity true", "other-place/action true", "other-place/kind true", "other-place/repository false",
		"far/identity true", "far/action true", "far/kind true", "far/repository true", "far/a false", "far/b false", "far/c true",
		"near/identity true", "near/action true", "near/kind true", "near/repository true", "near/a true", "near/b false",
	}
	if !slices.Equal(seen, wantChecks) {
		t.Errorf("got  %q\nwant %q", seen, wantChecks)
	}
}

func TestHostileClaimsStayOutOfReasons(t *testing.T) {
	in := request()
	in.Claims["long"] = strings.Repeat("secret", 100)
	in.Claims["ref"] = "x\n\x1b[2Jlevel=ERROR is missing\u202e"
	for _, expression := range []string{`claims.long == "x"`, `claims.ref == "x"`, `int(claims.long) == 1`, `timestamp(claims.long) > timestamp(claims.ref)`} {
		refusal := parse(t, ruleOf(expression)).Decide(in).Refusal()
		if refusal == nil {
			t.Fatalf("%s: allowed", expression)
		}
		text := refusal.Error()
		for _, check := range refusal.Checks {
			text += check.Detail
		}
		if strings.Contains(text, "secretsecret") || strings.ContainsAny(text, "\n\x1b\u202e") {
			t.Errorf("%s: %q", expression, text)
		}
	}
	refusal := parse(t, ruleOf(`claims.long == "x"`)).Decide(in).Refusal()
	if !strings.Contains(refusal.Reasons[0], "long is a text of 600 bytes") {
		t.Errorf("got %q", refusal.Reasons)
	}
}

func TestNoPolicyRefuses(t *testing.T) {
	var none *policy.SigningPolicy
	for name, d := range map[string]policy.Decision{
		"nil policy": none.Decide(request()), "zero policy": new(policy.SigningPolicy).Decide(request()), "zero decision": {},
	} {
		grant, ok := d.Grant()
		if ok || grant != nil || d.Refusal() == nil || len(d.Refusal().Reasons) == 0 {
			t.Errorf("%s: %v", name, d)
		}
	}
	if none.Digest() != "" {
		t.Error("a nil policy has a digest")
	}
}

func TestDigestIsThatOfTheFile(t *testing.T) {
	want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(threeRules)))
	if got := parse(t, threeRules).Digest(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
