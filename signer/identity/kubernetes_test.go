// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// podClaims is a projected token, with the claims that kube-apiserver writes.
func (c *ci) podClaims() claims {
	all := c.common()
	now := c.clock.Now().Unix()
	all["aud"], all["exp"] = []string{audience}, now+3600
	all["sub"] = "system:serviceaccount:ci:builder"
	all["kubernetes.io"] = claims{
		"namespace":      "ci",
		"serviceaccount": claims{"name": "builder", "uid": "5a1c0000-0000-4000-8000-000000000001"},
		"pod":            claims{"name": "build-xyz.1", "uid": "90d00000-0000-4000-8000-000000000002"},
		"node":           claims{"name": "node-1", "uid": "4d000000-0000-4000-8000-000000000003"},
		"warnafter":      now + 3600,
	}
	return all
}

// bound returns the claims with one member of kubernetes.io replaced; nil
// removes it.
func (c claims) bound(name string, value any) claims {
	inner, _ := c["kubernetes.io"].(claims)
	inner = inner.with(name, value)
	if value == nil {
		inner = inner.without(name)
	}
	return c.with("kubernetes.io", inner)
}

func TestKubernetesMapping(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "kubernetes", func(cfg *identity.Config) { cfg.Sources[0].URL = "" })
	p := wantAccepted(t, a, sign(t, c.podClaims()))
	want := certificate.Extensions{Issuer: c.URL, Subject: "system:serviceaccount:ci:builder"}
	if p.Extensions != want {
		t.Errorf("extensions %+v, want %+v", p.Extensions, want)
	}
	if p.SAN != "https://kubernetes.io/namespaces/ci/serviceaccounts/builder" || p.Run != "pod:90d00000-0000-4000-8000-000000000002" {
		t.Errorf("SAN %q, run %q", p.SAN, p.Run)
	}
	own := c.authenticator(t, "kubernetes", func(cfg *identity.Config) { cfg.Sources[0].URL = "https://prod.cluster.example" })
	if p := wantAccepted(t, own, sign(t, c.podClaims())); p.SAN != "https://prod.cluster.example/namespaces/ci/serviceaccounts/builder" {
		t.Errorf("SAN %q of a cluster with its own URL", p.SAN)
	}
}

func TestKubernetesAge(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "kubernetes")
	token := sign(t, c.podClaims())
	c.clock.advance(48 * time.Minute) // just before the kubelet replaces it
	wantAccepted(t, a, token)
	short := c.authenticator(t, "kubernetes", func(cfg *identity.Config) { cfg.Sources[0].MaxAge = 10 * time.Minute })
	wantRefused(t, short, token, identity.ReasonTooOld)
}

func TestKubernetesRefuses(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "kubernetes")
	base := c.podClaims()
	legacy := claims{"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:ci:builder",
		"kubernetes.io/serviceaccount/namespace": "ci", "kubernetes.io/serviceaccount/secret.name": "builder-token-x"}
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"made by a person (kubectl create token)": {base.bound("pod", nil), identity.ReasonMissingClaim},
		"bound to a secret":                       {base.bound("pod", nil).bound("secret", claims{"name": "s", "uid": "u"}), identity.ReasonMissingClaim},
		"bound to a node":                         {base.bound("pod", nil).bound("node", claims{"name": "n", "uid": "u"}), identity.ReasonMissingClaim},
		"pod without uid":                         {base.bound("pod", claims{"name": "p"}), identity.ReasonMissingClaim},
		"pod with an empty uid":                   {base.bound("pod", claims{"name": "p", "uid": ""}), identity.ReasonMissingClaim},
		"pod that is a string":                    {base.bound("pod", "p"), identity.ReasonWrongType},
		"uid that is a number":                    {base.bound("pod", claims{"name": "p", "uid": 7}), identity.ReasonWrongType},
		"no namespace":                            {base.bound("namespace", nil), identity.ReasonMissingClaim},
		"namespace that climbs":                   {base.bound("namespace", "../x").with("sub", "system:serviceaccount:../x:builder"), identity.ReasonBadClaim},
		"account with a slash":                    {base.bound("serviceaccount", claims{"name": "a/b", "uid": "u"}).with("sub", "system:serviceaccount:ci:a/b"), identity.ReasonBadClaim},
		"account without uid":                     {base.bound("serviceaccount", claims{"name": "builder"}), identity.ReasonMissingClaim},
		"sub of another account":                  {base.with("sub", "system:serviceaccount:ci:admin"), identity.ReasonContradiction},
		"sub of another namespace":                {base.with("sub", "system:serviceaccount:prod:builder"), identity.ReasonContradiction},
		"sub of a user":                           {base.with("sub", "jane"), identity.ReasonContradiction},
		"no kubernetes.io":                        {base.without("kubernetes.io"), identity.ReasonMissingClaim},
		"kubernetes.io a list":                    {base.with("kubernetes.io", []int{}), identity.ReasonWrongType},
		"legacy token":                            {legacy, identity.ReasonUnknownIssuer},
		"legacy token of this issuer":             {legacy.with("iss", c.URL).with("aud", audience), identity.ReasonMissingClaim},
		"a year long":                             {base.with("exp", start.Add(365*24*time.Hour).Unix()), identity.ReasonTooLongLived},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
}
