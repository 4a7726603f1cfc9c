// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

func TestAnInvalidPolicyDeniesWhatItMayCover(t *testing.T) {
	good := trustPolicy("good", "reg.example/")
	tests := map[string]struct {
		images  []string
		allowed bool
	}{
		"covers the image":       {[]string{"reg.example/prod/"}, false},
		"covers another":         {[]string{"reg.example/test/"}, true},
		"no prefix":              {nil, false},
		"unreadable prefix":      {[]string{"reg.example/test/*"}, false},
		"upper-case prefix":      {[]string{"REG.example/test/"}, false},
		"prefix without a slash": {[]string{"reg.example/test"}, false},
		"one unreadable of two":  {[]string{"reg.example/test/", ""}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bad := trustPolicy("bad", "", broken)
			bad.Spec.Images = test.images
			v := mustJudge(t, judgeWith(t, []ImageTrustPolicy{good, bad}), ask(ref("prod/app", 1)))
			if v.Allowed() != test.allowed {
				t.Errorf("allowed %t, want %t: %s", v.Allowed(), test.allowed, v.Message())
			}
			if !test.allowed && !strings.Contains(v.Message(), `policy "bad" is invalid`) {
				t.Errorf("message: %q", v.Message())
			}
		})
	}
}

func TestJudgeWithoutKnowingThePoliciesIsAnError(t *testing.T) {
	tests := map[string]struct {
		reader shelf
		synced bool
		want   error
	}{
		"not synced":   {shelf{items: []ImageTrustPolicy{trustPolicy("a", "reg.example/")}}, false, ErrNotReady},
		"lister fails": {shelf{items: []ImageTrustPolicy{trustPolicy("a", "reg.example/")}, err: context.DeadlineExceeded}, true, context.DeadlineExceeded},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j := judgeWith(t, nil, func(c *Config) {
				p, err := NewPolicies(test.reader, func() bool { return test.synced })
				if err != nil {
					t.Fatal(err)
				}
				c.Policies = p
			})
			v, err := j.Judge(t.Context(), ask(ref("app", 1)))
			if !errors.Is(err, test.want) || v.Allowed() {
				t.Errorf("got %v, error %v; want %v", v, err, test.want)
			}
		})
	}
}

func TestPoliciesFollowTheirGeneration(t *testing.T) {
	reader := &shelf{items: []ImageTrustPolicy{trustPolicy("a", "reg.example/one/")}}
	policies, err := NewPolicies(reader, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	covers := func(repository string) bool {
		all, err := policies.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(p Policy) bool { return p.Covers(policy.Image{Registry: "reg.example", Repository: repository}) })
	}
	if !covers("one/app") || covers("two/app") {
		t.Error("the first generation is not in force")
	}
	reader.items[0] = trustPolicy("a", "reg.example/two/")
	reader.items[0].Generation = 2
	if covers("one/app") || !covers("two/app") {
		t.Error("the second generation is not in force")
	}
	reader.items = nil
	if covers("two/app") || len(policies.compiled) != 0 {
		t.Error("a deleted policy is still in force or in memory")
	}
	replaced := trustPolicy("a", "reg.example/three/") // same name and generation, another object
	replaced.UID = "other"
	reader.items = []ImageTrustPolicy{replaced}
	if !covers("three/app") {
		t.Error("a policy made anew under an old name is not in force")
	}
}
