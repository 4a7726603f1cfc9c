// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/policy"
)

// ruleWith renders a policy of one rule for github with conditions in flow style.
func ruleWith(conditions ...string) string {
	return `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: secret-rule
  identity: github
  actions: [sign]
  kinds: [image]
  repositories: [acme/]
  conditions: [` + strings.Join(conditions, ", ") + "]\n"
}

func condition(name, expression, more string) string {
	return fmt.Sprintf("{name: %s, expression: %q, message: secret-message%s}", name, expression, more)
}

// TestStranger: a rule speaks of a job if its conditions about who asks hold, by the largest thing that they name.
func TestStranger(t *testing.T) {
	owner, trigger := condition("owner", `claims.repository_owner_id == "1001"`, ""), condition("trigger", `claims.event_name == "push"`, "")
	project := condition("project", `claims.repository_id in ["1"]`, "")
	for name, c := range map[string]struct {
		conditions []string
		claims     map[string]any
		stranger   bool
	}{
		"another organisation":              {[]string{owner, trigger}, map[string]any{"repository_owner_id": "666", "event_name": "push"}, true},
		"no organisation":                   {[]string{owner, trigger}, map[string]any{"event_name": "push"}, true},
		"the organisation, by another type": {[]string{owner}, map[string]any{"repository_owner_id": json.Number("1001")}, true},
		"the wrong trigger":                 {[]string{owner, trigger}, map[string]any{"repository_owner_id": "1001", "event_name": "pull_request"}, false},
		"another project of it":             {[]string{owner, project}, map[string]any{"repository_owner_id": "1001", "repository_id": "2"}, false},
		"another project":                   {[]string{project, trigger}, map[string]any{"repository_id": "2", "event_name": "push"}, true},
		"the project":                       {[]string{project, trigger}, map[string]any{"repository_id": "1"}, false},
		"the source is enough":              {[]string{trigger}, map[string]any{}, false},
		"two claims of one":                 {[]string{condition("fork", `claims.job_project_id == claims.project_id`, "")}, map[string]any{}, false},
		"one says the path":                 {[]string{condition("own", `artifact.repository == claims.repository`, "")}, map[string]any{}, false},
		"the policy says it":                {[]string{condition("workspace", `claims.workspaceUuid == "w"`, ", who: true"), trigger}, map[string]any{"event_name": "push"}, true},
		"the policy says it, and it is so":  {[]string{condition("workspace", `claims.workspaceUuid == "w"`, ", who: true"), owner}, map[string]any{"workspaceUuid": "w"}, false},
		"the policy says it is not":         {[]string{condition("owner", `claims.repository_owner_id == "1001"`, ", who: false")}, map[string]any{}, false},
	} {
		in := policy.Input{Identity: "github", Issuer: "https://ci.example", Subject: "s", Claims: c.claims}
		if got := parse(t, ruleWith(c.conditions...)).Stranger(in); (got != nil) != c.stranger {
			t.Errorf("%s: %v", name, got)
		}
		in.Identity = "gitlab"
		if parse(t, ruleWith(c.conditions...)).Stranger(in) == nil {
			t.Errorf("%s: a rule of another source speaks of it", name)
		}
	}
	for name, p := range map[string]*policy.SigningPolicy{"nil": nil, "zero": {}} {
		if p.Stranger(request()) == nil || p.RefuseUnresolved(request()) == nil {
			t.Errorf("a policy that is %s speaks of somebody", name)
		}
	}
}

// TestStrangerIsToldNothing: the refusal shows what the token says, the same whatever the rules are, and bounded.
func TestStrangerIsToldNothing(t *testing.T) {
	in := policy.Input{Identity: "github", Subject: "repo:evil/app:x", Repository: "acme/secret", Claims: map[string]any{
		"repository_owner_id": "666", "repository": "evil/app\x1b[2J", "repository_owner": strings.Repeat("x", 4000), "event_name": "push", "kubernetes.io": map[string]any{"namespace": "n"},
	}}
	texts := map[string]bool{}
	for _, conditions := range [][]string{
		{condition("owner", `claims.repository_owner_id == "1001"`, "")},
		{condition("project", `claims.repository in ["acme/app"]`, ""), condition("trigger", `claims.event_name == "push"`, "")},
	} {
		got := parse(t, ruleWith(conditions...)).Stranger(in)
		if got == nil {
			t.Fatal("the rule speaks of a stranger")
		}
		text := got.Error()
		texts[text] = true
		for _, secret := range []string{"secret", "1001", "trigger", "acme", "\x1b", "event_name"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
		for _, seen := range []string{`no rule admits this identity for this repository`, `repository_owner_id "666"`, `"evil/app\x1b[2J"`, `["kubernetes.io"].namespace "n"`, "a text of 4000 bytes"} {
			if !strings.Contains(text, seen) {
				t.Errorf("%q is not in %s", seen, text)
			}
		}
		if len(text) > 4096 {
			t.Errorf("a refusal of %d bytes", len(text))
		}
	}
	if len(texts) != 1 {
		t.Errorf("the refusal tells rules apart: %v", texts)
	}
	// Claims that nobody can read are a stranger's, who is told why, and no more of them.
	in.Claims = map[string]any{"repository_owner_id": "1001", "repository_id": json.Number(strings.Repeat("9", 10_000))}
	got := parse(t, ruleWith(condition("owner", `claims.repository_owner_id == "1001"`, ""))).Stranger(in)
	if got == nil || !strings.Contains(got.Error(), "beyond 64 bits") || len(got.Error()) > 1024 {
		t.Errorf("unreadable claims: %v", got)
	}
}

// TestManualOnStrangers: the manual's refusal is what its policy says, and its lists of claims are those that count.
func TestManualOnStrangers(t *testing.T) {
	manual, err := os.ReadFile("../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	in := request()
	in.Subject = "repo:mallory/app:ref:refs/heads/main"
	in.Claims = map[string]any{"repository_owner_id": "666", "repository": "mallory/app", "event_name": "push"}
	refusal := parse(t, blocks(t, "yaml")[0]).Stranger(in)
	if refusal == nil || !strings.Contains(string(manual), "\n    "+refusal.Reasons[0]+"\n") {
		t.Errorf("the manual does not say %v", refusal)
	}
	for _, claim := range []string{"repository_owner_id", "repository_owner", "enterprise_id", "enterprise", "namespace_id", "namespace_path", "organization_id", "organization_slug", `claims["oidc.circleci.com/org-id"]`,
		`claims["kubernetes.io"].namespace`, "repository_id", "repository", "project_id", "project_path", "pipeline_id", "pipeline_slug", "subject", "san", "claims.sub"} {
		expression := claim
		if !strings.HasPrefix(claim, "claims") && claim != "subject" && claim != "san" {
			expression = "claims." + claim
		}
		if !strings.Contains(string(manual), "`"+claim+"`") || parse(t, ruleWith(condition("c", expression+` == "other"`, ""))).Stranger(in) == nil {
			t.Errorf("%s is not in the manual, or does not say who asks", claim)
		}
	}
}

// TestWhoIsChecked: a condition about what is asked for is not about who asks.
func TestWhoIsChecked(t *testing.T) {
	for _, expression := range []string{`artifact.repository == "acme/app"`, `action == "sign"`, `claims.repository_id == "1" || artifact.kind == "image"`} {
		_, err := policy.ParseSigningPolicy([]byte(ruleWith(condition("c", expression, ", who: true"))))
		if err == nil || !strings.Contains(err.Error(), "rules[0].conditions[0].who") {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestRefuseUnresolved: what no artifact could change is refused with the reasons that Decide gives, and nothing else is.
func TestRefuseUnresolved(t *testing.T) {
	p := parse(t, ruleWith(condition("owner", `claims.repository_owner_id == "1001"`, ""), condition("image", `artifact.kind == "image"`, ""), condition("own", `artifact.repository == "acme/app"`, "")))
	base := func(change func(*policy.Input)) policy.Input {
		in := policy.Input{Action: policy.ActionSign, Identity: "github", Repository: "acme/app", Claims: map[string]any{"repository_owner_id": "1001"}}
		change(&in)
		return in
	}
	for name, c := range map[string]struct {
		change func(*policy.Input)
		want   string
	}{
		"could be allowed":        {func(*policy.Input) {}, ""},
		"another repository":      {func(in *policy.Input) { in.Repository = "other/app" }, `repository is "other/app"; the rule is for "acme/"`},
		"a condition on it":       {func(in *policy.Input) { in.Repository = "acme/lib" }, `condition "own" failed`},
		"another action":          {func(in *policy.Input) { in.Action = policy.ActionAttest }, "action is"},
		"a certificate":           {func(in *policy.Input) { in.Action, in.Repository = policy.ActionCertificate, "" }, "action is"},
		"another organisation":    {func(in *policy.Input) { in.Claims = map[string]any{"repository_owner_id": "2"} }, `condition "owner" failed`},
		"another source":          {func(in *policy.Input) { in.Identity = "gitlab" }, "no rule is for the identity source"},
		"no repository":           {func(in *policy.Input) { in.Repository = "" }, "not in canonical form"},
		"what cannot be read yet": {func(in *policy.Input) { in.Kind, in.Digest = "chart", "x" }, ""},
	} {
		got := p.RefuseUnresolved(base(c.change))
		switch {
		case (got == nil) != (c.want == ""):
			t.Errorf("%s: %v", name, got)
		case got != nil && (!strings.Contains(got.Error(), c.want) || strings.Contains(got.Error(), "image")):
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestUnresolvedRefusalsAreRefusals: what is refused before the artifact is read, Decide refuses, and Decide allows nothing of a stranger's.
func TestUnresolvedRefusalsAreRefusals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	early, allowed, strangers := 0, 0, 0
	shipped := parse(t, string(policyfiles.SigningPolicy))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for range 4 * rounds {
		p, in := shipped, request()
		in.Claims = map[string]any{
			"repository_owner_id": pick("1001", "1001", "2"), "event_name": pick("push", "push", "pull_request"), "base_ref": "", "head_ref": "", "ref_protected": pick("true", "true", "false"),
			"ref": "refs/heads/main", "job_workflow_ref": "acme/app/x", "runner_environment": "github-hosted",
		}
		in.Repository = pick("acme/app", "acme/app", "tools/lint", "other/app")
		in.Kind = pick(policy.KindImage, policy.KindIndex)
		if r.IntN(2) == 0 {
			p, in.Claims = parse(t, render(randomRules(r))), request().Claims
		}
		_, granted := p.Decide(in).Grant()
		refused := p.RefuseUnresolved(in) != nil
		stranger := p.Stranger(in) != nil
		if granted && (refused || stranger) {
			t.Fatalf("Decide allows what is refused beforehand: %+v", in)
		}
		if granted {
			allowed++
		}
		if refused {
			early++
		}
		if stranger {
			strangers++
		}
	}
	if early == 0 || allowed == 0 || strangers == 0 {
		t.Errorf("%d refused beforehand, %d allowed, %d strangers: nothing was tried", early, allowed, strangers)
	}
}
