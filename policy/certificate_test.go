// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
	"testing"
)

// certificatePolicy has a rule that may certify, and one that may sign for the same jobs.
const certificatePolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: images
  identity: github
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/]
  anyPredicateType: true
  conditions:
  - {name: owner, expression: claims.repository_owner_id == "1", message: m}
- name: certificates
  identity: github
  actions: [certificate]
  conditions:
  - {name: owner, expression: claims.repository_owner_id == "1", message: ask the owner}
  - {name: main, expression: 'claims.ref == "refs/heads/main" && san.startsWith("https://github.com/acme/")', message: from main}
`

func certificateInput(change ...func(*Input)) Input {
	in := Input{
		Action: ActionCertificate, Identity: "github", Provider: "github", Issuer: "https://issuer.example", Subject: "repo:acme/app",
		SAN:    "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
		Claims: map[string]any{"repository_owner_id": "1", "ref": "refs/heads/main"},
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

func TestCertificate(t *testing.T) {
	p, err := ParseSigningPolicy([]byte(certificatePolicy))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.CertificateIdentities(); !slices.Equal(got, []string{"github"}) {
		t.Errorf("identities that may have certificates: %q", got)
	}
	decision := p.Decide(certificateInput())
	grant, ok := decision.Grant()
	if !ok {
		t.Fatalf("refused: %v", decision.Refusal().Reasons)
	}
	if terms, err := grant.Redeem(); err != nil || terms.Rule != "certificates" || terms.Input.Action != ActionCertificate {
		t.Errorf("%+v, %v", terms, err)
	}
	for name, tc := range map[string]struct {
		change func(*Input)
		says   string
	}{
		"other owner":         {func(in *Input) { in.Claims["repository_owner_id"] = "2" }, "ask the owner"},
		"other ref":           {func(in *Input) { in.Claims["ref"] = "refs/heads/x" }, "from main"},
		"claim is missing":    {func(in *Input) { delete(in.Claims, "ref") }, "ref is missing"},
		"other SAN":           {func(in *Input) { in.SAN = "https://evil.example/" }, "from main"},
		"other source":        {func(in *Input) { in.Identity = "gitlab" }, "no rule is for the identity source"},
		"a digest":            {func(in *Input) { in.Digest = "sha256:" + strings.Repeat("a", 64) }, "names no artifact"},
		"a repository":        {func(in *Input) { in.Repository = "acme/app" }, "names no artifact"},
		"a predicate type":    {func(in *Input) { in.PredicateType = "https://x.example/y" }, "names no artifact"},
		"a signature with it": {func(in *Input) { in.Action = ActionSign }, "not in canonical form"},
	} {
		in := certificateInput(tc.change)
		decision := p.Decide(in)
		if _, ok := decision.Grant(); ok || !strings.Contains(strings.Join(decision.Refusal().Reasons, "; "), tc.says) {
			t.Errorf("%s: granted %v, %q", name, ok, decision.Refusal().Reasons)
		}
	}
}

// Reasons are of rules for such requests, as long as there are any.
func TestCertificateReasons(t *testing.T) {
	p, err := ParseSigningPolicy([]byte(certificatePolicy))
	if err != nil {
		t.Fatal(err)
	}
	image := certificateInput(func(in *Input) {
		in.Action, in.Repository, in.Kind, in.Digest = ActionSign, "acme/app", KindImage, "sha256:"+strings.Repeat("a", 64)
		in.Claims["repository_owner_id"] = "2"
	})
	for _, in := range []Input{image, certificateInput(func(in *Input) { in.Claims["repository_owner_id"] = "2" })} {
		reasons := strings.Join(p.Decide(in).Refusal().Reasons, "; ")
		if strings.Contains(reasons, `rule "images"`) != (in.Action == ActionSign) || strings.Contains(reasons, `rule "certificates"`) == (in.Action == ActionSign) {
			t.Errorf("%s: %s", in.Action, reasons)
		}
	}
}

// A rule for images is none for certificates, and the other way round.
func TestCertificateRulesAreApart(t *testing.T) {
	const second = "- name: certificates"
	head, _, ok := strings.Cut(certificatePolicy, "- name: images")
	first, rest, ok2 := strings.Cut(certificatePolicy, second)
	if !ok || !ok2 {
		t.Fatal("the policy has other rules")
	}
	for name, policy := range map[string]string{"images": first, "certificates": head + second + rest} {
		p, err := ParseSigningPolicy([]byte(policy))
		if err != nil {
			t.Fatal(err)
		}
		image := certificateInput(func(in *Input) {
			in.Action, in.Repository, in.Kind, in.Digest = ActionSign, "acme/app", KindImage, "sha256:"+strings.Repeat("a", 64)
		})
		if _, ok := p.Decide(image).Grant(); ok != (name == "images") {
			t.Errorf("%s: signature granted %v", name, ok)
		}
		if _, ok := p.Decide(certificateInput()).Grant(); ok != (name == "certificates") {
			t.Errorf("%s: certificate granted %v", name, ok)
		}
	}
}

func TestCertificateRuleIsChecked(t *testing.T) {
	rule := func(extra, expression string) string {
		return "apiVersion: hallmark.dev/v1alpha1\nkind: SigningPolicy\nrules:\n- name: c\n  identity: github\n" + extra +
			"  conditions:\n  - {name: o, expression: '" + expression + "', message: m}\n"
	}
	const alone = "  actions: [certificate]\n"
	if _, err := ParseSigningPolicy([]byte(rule(alone, `claims.x == "1"`))); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ policy, says string }{
		"with sign":         {rule("  actions: [sign, certificate]\n  kinds: [image]\n  repositories: [acme/]\n", `claims.x == "1"`), "stands alone"},
		"kinds":             {rule(alone+"  kinds: [image]\n", `claims.x == "1"`), "kinds"},
		"repositories":      {rule(alone+"  repositories: [acme/]\n", `claims.x == "1"`), "repositories"},
		"predicate types":   {rule(alone+"  predicateTypes: [https://x.example/y]\n", `claims.x == "1"`), "predicateTypes"},
		"any type":          {rule(alone+"  anyPredicateType: true\n", `claims.x == "1"`), "predicateTypes"},
		"no conditions":     {"apiVersion: hallmark.dev/v1alpha1\nkind: SigningPolicy\nrules:\n- {name: c, identity: github, actions: [certificate]}\n", "a rule needs a condition"},
		"reads repository":  {rule(alone, `artifact.repository != "secret"`), "knows no artifact"},
		"reads digest":      {rule(alone, `has(claims.x) || artifact.digest == ""`), "knows no artifact"},
		"reads in a loop":   {rule(alone, `claims.xs.all(x, x != artifact.kind)`), "knows no artifact"},
		"reads type":        {rule(alone, `predicateType != "x"`), "knows no artifact"},
		"evidence":          {rule(alone+"  require: {sbom: true}\n", `claims.x == "1"`), "no evidence"},
		"keys":              {rule(alone+"  keys: [release]\n", `claims.x == "1"`), "own key"},
		"no such action":    {rule("  actions: [certify]\n", `claims.x == "1"`), "sign, attest, chart-provenance or certificate"},
		"certificate twice": {rule("  actions: [certificate, certificate]\n", `claims.x == "1"`), "stands alone"},
	} {
		if _, err := ParseSigningPolicy([]byte(tc.policy)); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
