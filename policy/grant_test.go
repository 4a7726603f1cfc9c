// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

func TestGrantIsRedeemedOnce(t *testing.T) {
	p := parse(t, ruleOf("true"))
	in := request()
	d := p.Decide(in)
	grant, ok := d.Grant()
	if !ok {
		t.Fatal(d.Refusal())
	}
	copied := *grant
	again, _ := d.Grant()
	in.Claims["ref_protected"] = "changed after the decision"

	terms, err := grant.Redeem()
	if err != nil {
		t.Fatal(err)
	}
	if terms.Rule != "acme-github" || terms.PolicyDigest != p.Digest() || terms.Input.Digest != digest || terms.Input.Claims["ref_protected"] != "true" {
		t.Errorf("terms %+v", terms)
	}
	for name, g := range map[string]*policy.Grant{"same": grant, "copy": &copied, "asked again": again} {
		if terms, err := g.Redeem(); !errors.Is(err, policy.ErrGrantUsed) || terms.Rule != "" {
			t.Errorf("%s: %v, %v", name, terms, err)
		}
	}
}

func TestConcurrentRedeemSucceedsOnce(t *testing.T) {
	grant, _ := parse(t, ruleOf("true")).Decide(request()).Grant()
	var succeeded atomic.Int32
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			if _, err := grant.Redeem(); err == nil {
				succeeded.Add(1)
			}
		})
	}
	group.Wait()
	if succeeded.Load() != 1 {
		t.Errorf("redeemed %d times", succeeded.Load())
	}
}

func TestGrantsCannotBeMade(t *testing.T) {
	var none *policy.Grant
	for name, g := range map[string]*policy.Grant{"nil": none, "zero": {}, "new": new(policy.Grant)} {
		if terms, err := g.Redeem(); !errors.Is(err, policy.ErrNoGrant) || terms.Rule != "" {
			t.Errorf("%s grant: %v, %v", name, terms, err)
		}
	}
	// No other package can fill a grant, or a decision that carries one: neither has an exported field of that use.
	for _, typ := range []reflect.Type{reflect.TypeFor[policy.Grant](), reflect.TypeFor[policy.Decision](), reflect.TypeFor[policy.Verdict]()} {
		for i := range typ.NumField() {
			field := typ.Field(i)
			if field.IsExported() && field.Name != "Checks" && field.Name != "Evidence" {
				t.Errorf("%s.%s is exported", typ, field.Name)
			}
		}
	}
}
