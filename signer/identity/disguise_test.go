// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// TestCustomisedSub: the subject is whatever somebody's settings make of it, and
// nothing follows from it.
func TestCustomisedSub(t *testing.T) {
	c := newCI(t)
	for provider, base := range map[string]claims{
		"github": c.githubClaims(), "gitlab": c.gitlabClaims(), "buildkite": c.buildkiteClaims(), "circleci": c.circleciClaims(),
	} {
		t.Run(provider, func(t *testing.T) {
			a := c.authenticator(t, provider)
			want := wantAccepted(t, a, sign(t, base))
			for _, sub := range []string{
				"repo:evil/app:ref:refs/heads/main", "repo:evil@7/app@8:ref:refs/heads/main", "project_path:evil/app:ref_type:branch:ref:main",
				"organization:evil:pipeline:app", "system:serviceaccount:ci:admin", "spiffe://ci.example/ns/ci/sa/builder", "*", "https://github.com/evil/app",
			} {
				got := wantAccepted(t, a, sign(t, base.with("sub", sub)))
				if got.Subject != sub || got.Extensions.Subject != sub {
					t.Errorf("subject %q, want %q", got.Subject, sub)
				}
				got.Extensions.Subject = want.Extensions.Subject
				if got.SAN != want.SAN || got.Run != want.Run || got.Extensions != want.Extensions {
					t.Errorf("subject %q changed the identity to %q, %+v", sub, got.SAN, got.Extensions)
				}
			}
		})
	}
}

// TestRenamedAndRecreated: a name is what it is called today; the id stays with
// what was renamed, and does not come with a name that somebody took over.
func TestRenamedAndRecreated(t *testing.T) {
	c := newCI(t)
	for provider, tc := range map[string]struct{ was, renamed, recreated claims }{
		"github": {
			c.githubClaims(), c.githubClaims().with("repository", "acme/renamed"),
			c.githubClaims().with("repository_id", "999").with("repository_owner_id", "888"),
		},
		"gitlab": {
			c.gitlabClaims(), c.gitlabClaims().with("project_path", "acme/web/new").with("ci_config_ref_uri", "ci.example/acme/web/new//.gitlab-ci.yml@refs/heads/main"),
			c.gitlabClaims().with("project_id", "999").with("job_project_id", "999").with("namespace_id", "888"),
		},
		"buildkite": {
			c.buildkiteClaims(), c.buildkiteClaims().with("pipeline_slug", "renamed"),
			c.buildkiteClaims().with("pipeline_id", uidD).with("organization_id", uidC),
		},
		"circleci": {
			c.circleciClaims(), c.circleciClaims().with(circle+"vcs-origin", "github.com/acme/renamed"),
			c.circleciClaims().with(circle+"project-id", uidD).with(circle+"org-id", uidC),
		},
	} {
		t.Run(provider, func(t *testing.T) {
			a := c.authenticator(t, provider)
			ids := func(cl claims) string {
				e := wantAccepted(t, a, sign(t, cl)).Extensions
				return e.SourceRepositoryIdentifier + " of " + e.SourceRepositoryOwnerIdentifier
			}
			was, renamed, recreated := ids(tc.was), ids(tc.renamed), ids(tc.recreated)
			if was != renamed || was == recreated || strings.HasPrefix(was, " ") || strings.HasSuffix(was, " ") {
				t.Errorf("ids %q, renamed %q, recreated %q", was, renamed, recreated)
			}
		})
	}
}

// TestSharedIssuer: clusters whose issuer is the same text are told apart by
// their keys, and their certificates by their URLs.
func TestSharedIssuer(t *testing.T) {
	const issuer = "https://kubernetes.default.svc.cluster.local"
	c, other := newCI(t), newCI(t)
	other.clock = c.clock
	other.publish(public("b", &keyB().PublicKey))
	a := c.authenticator(t, "kubernetes", func(cfg *identity.Config) {
		cfg.Sources = []identity.Source{
			{Name: "blue", Provider: "kubernetes", Issuer: issuer, JWKSURI: c.URL + "/jwks", URL: "https://blue.example"},
			{Name: "green", Provider: "kubernetes", Issuer: issuer, JWKSURI: other.URL + "/jwks", URL: "https://green.example"},
		}
	})
	pod := c.podClaims().with("iss", issuer)
	blue, green := sign(t, pod), signAs(t, jose.RS256, keyB(), pod, map[string]any{"kid": "b"})
	for range 20 {
		if p := wantAccepted(t, a, green); p.Identity != "green" || !strings.HasPrefix(p.SAN, "https://green.example/") {
			t.Fatalf("identity %q, SAN %q", p.Identity, p.SAN)
		}
		if p := wantAccepted(t, a, blue); p.Identity != "blue" || !strings.HasPrefix(p.SAN, "https://blue.example/") {
			t.Fatalf("identity %q, SAN %q", p.Identity, p.SAN)
		}
	}
	if n := c.keyFetches.Load() + other.keyFetches.Load(); n > 2 {
		t.Errorf("%d fetches on the hot path", n)
	}
	wantRefused(t, a, signAs(t, jose.RS256, keyB(), pod, map[string]any{"kid": "a"}), identity.ReasonBadSignature)
	wantRefused(t, a, signAs(t, jose.RS256, keyB(), pod, map[string]any{"kid": "z"}), identity.ReasonUnknownKey)

	// A cluster that takes the other's key name takes nothing else with it.
	other.publish(public("a", &keyB().PublicKey), public("b", &keyB().PublicKey))
	c.clock.advance(identity.BackgroundRefresh)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	pod = c.podClaims().with("iss", issuer)
	if p := wantAccepted(t, a, sign(t, pod)); p.Identity != "blue" {
		t.Errorf("identity %q", p.Identity)
	}
	if p := wantAccepted(t, a, signAs(t, jose.RS256, keyB(), pod, map[string]any{"kid": "a"})); p.Identity != "green" {
		t.Errorf("identity %q", p.Identity)
	}

	// One that does not answer may be the token's: then nobody can tell.
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	other.setMisbehave(down)
	c.clock.advance(identity.MaxStale)
	pod = c.podClaims().with("iss", issuer)
	wantAccepted(t, a, sign(t, pod))
	wantUndecided(t, a, signAs(t, jose.RS256, keyB(), pod, map[string]any{"kid": "b"}))
}

// TestHostileTokensAreForgotten: nothing stays of what was refused.
func TestHostileTokensAreForgotten(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, sign(t, c.githubClaims()))
	deep := b64([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + b64([]byte(strings.Repeat(`{"a":`, 2000))) + ".eA"
	large := strings.Repeat("A", 1<<20)
	unknown := signAs(t, jose.RS256, keyB(), c.githubClaims(), map[string]any{"kid": "z"})
	hostile := func(rounds int) {
		for range rounds {
			wantRefused(t, a, deep, identity.ReasonMalformed)
			wantRefused(t, a, large, identity.ReasonTooLarge)
			wantRefused(t, a, unknown, identity.ReasonUnknownKey)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	hostile(100)
	before := heap()
	hostile(1000)
	const mebibyte = 1 << 20
	if after := heap(); after > before+mebibyte {
		t.Errorf("3000 refusals left %d bytes", after-before)
	}
	c.wantFetches(t, 1)
}
