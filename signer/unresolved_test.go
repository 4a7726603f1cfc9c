// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// asStranger makes holders of good tokens a project of which no rule speaks.
func asStranger(w *world, project string) {
	w.principal = func(p *signer.Principal) {
		p.Extensions.SourceRepositoryIdentifier, p.Subject = project, "repo:evil/app:ref:refs/heads/main"
		p.Claims = map[string]any{"repository": "evil/app", "repository_id": project}
	}
}

// asInsider makes them one that policy speaks of.
func asInsider(w *world) { w.principal = nil }

// strangersWorld has a clock that stands still and a registry that nobody may ask.
func strangersWorld(t *testing.T, q signer.Quotas) (*world, *hand, *signer.Service) {
	t.Helper()
	w, clock, s := quotaWorld(t, q)
	w.before = func(port string) {
		if port == "registry" {
			t.Error("the registry was asked")
		}
	}
	return w, clock, s
}

// TestStrangers: a job that no rule speaks of learns nothing, whatever it asks
// and however, and costs the registry nothing.
func TestStrangers(t *testing.T) {
	w, _, s := strangersWorld(t, signer.Quotas{})
	asStranger(w, "7")
	asked := map[string]signer.Request{
		"an image":                  goodRequest(),
		"one that is not there":     {Token: "good", Image: "registry.example/acme/app@" + string(attest.DigestOf(nil))},
		"no image at all":           {Token: "good", Image: "no image"},
		"another registry":          {Token: "good", Image: "elsewhere.example/acme/app:v1"},
		"another repository":        {Token: "good", Image: "registry.example/other/app:v1"},
		"a type that is none":       {Token: "good", Image: goodRequest().Image, PredicateType: "no type"},
		"evidence that is no good":  {Token: "good", Image: goodRequest().Image, Documents: []signer.Document{{Name: "x", Content: []byte("x")}}},
		"a predicate that is wrong": {Token: "good", Image: goodRequest().Image, PredicateType: "https://spdx.dev/Document", Predicate: []byte("{")},
	}
	var texts []string
	for name, req := range asked {
		for verb, ask := range map[string]func() error{
			"sign":    func() error { _, err := s.Sign(t.Context(), req); return err },
			"attest":  func() error { _, err := s.Attest(t.Context(), req); return err },
			"dry run": func() error { _, err := s.DryRun(t.Context(), req); return err },
			"admit":   func() error { _, err := s.Admit(t.Context(), req); return err },
		} {
			err := ask()
			var refused *signer.Refused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no rule admits this identity for this repository") || !strings.Contains(err.Error(), `"evil/app"`) {
				t.Fatalf("%s of %s: %v", verb, name, err)
			}
			texts = append(texts, err.Error())
			for _, secret := range []string{"own-repository", "acme/", "sign your own"} {
				if strings.Contains(err.Error(), secret) || len(refused.Checks) != 0 {
					t.Errorf("%s of %s tells the rules: %v", verb, name, err)
				}
			}
		}
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("requests are told apart: %q and %q", text, texts[0])
		}
	}
	if len(w.audit) != 1 || w.audit[0].Decision != signer.DecisionRefused || w.audit[0].Stage != "policy" || w.audit[0].Requester.SAN != workflow || w.audit[0].PolicyDigest == "" {
		t.Errorf("recorded %+v", w.audit)
	}
}

// TestCertifyStrangers: the other door is the same: nobody looks at the key of a stranger.
func TestCertifyStrangers(t *testing.T) {
	d := newDesk(t, certifyingPolicy)
	asStranger(d.world, "7")
	for range 3 {
		_, err := d.ask(t, "good", func(signer.Principal) (crypto.PublicKey, error) {
			t.Error("a stranger's key was looked at")
			return d.key.Public(), nil
		})
		if err == nil || !strings.Contains(err.Error(), "no rule admits this identity") {
			t.Errorf("got %v", err)
		}
	}
	if len(d.audit) != 1 || d.created != 0 {
		t.Errorf("%d rows, %d certificates", len(d.audit), d.created)
	}
}

// TestStrangersAreRecordedOnceAMinute: with the number of the others, and bounded
// over all of them.
func TestStrangersAreRecordedOnceAMinute(t *testing.T) {
	w, clock, s := strangersWorld(t, signer.Quotas{})
	ask := func(project string) {
		t.Helper()
		asStranger(w, project)
		var refused *signer.Refused
		if _, err := s.Sign(t.Context(), goodRequest()); !errors.As(err, &refused) {
			t.Fatalf("got %v", err)
		}
	}
	for range 500 {
		ask("1")
		ask("2")
	}
	if len(w.audit) != 2 {
		t.Fatalf("%d rows of two projects", len(w.audit))
	}
	clock.forward(time.Minute)
	ask("1")
	if len(w.audit) != 3 || w.audit[2].Unrecorded != 499 {
		t.Fatalf("a minute later: %d rows, the last with %d", len(w.audit), w.audit[len(w.audit)-1].Unrecorded)
	}
	// A record that cannot be written is an error, and the count is not lost.
	clock.forward(time.Minute)
	w.down["audit"] = errors.New("the disk is full")
	asStranger(w, "1")
	if _, err := s.Sign(t.Context(), goodRequest()); !errors.Is(err, w.down["audit"]) {
		t.Errorf("unrecorded: %v", err)
	}
	clear(w.down)
	clock.forward(time.Minute)
	ask("2")
	if got := w.audit[len(w.audit)-1].Unrecorded; got != 499+1 {
		t.Errorf("%d unrecorded, want those of 2 and the one that could not be recorded", got)
	}
	// Projects cost nothing: all of them together have as many rows as callers without a token.
	w.audit = nil
	for i := range 10_000 {
		ask(fmt.Sprint("project ", i))
	}
	if len(w.audit) > burst {
		t.Errorf("%d rows of ten thousand projects", len(w.audit))
	}
	clock.forward(time.Hour)
	recorded := 0
	for _, ev := range w.audit {
		recorded += 1 + ev.Unrecorded
	}
	ask("the last") // the forgotten projects' are in here, those that are remembered have theirs
	recorded += 1 + w.audit[len(w.audit)-1].Unrecorded
	if recorded < 10_000-4096 {
		t.Errorf("%d of ten thousand refusals are on record", recorded)
	}
	if got := s.Strangers(); got > 4096 {
		t.Errorf("%d projects are kept", got)
	}
}

// TestStrangersStarveNobody: they have a bucket each, and take nothing from the
// quotas of others.
func TestStrangersStarveNobody(t *testing.T) {
	w, clock, s := quotaWorld(t, signer.Quotas{
		Identity: signer.Quota{PerSecond: 1. / 3600, Burst: 3}, Project: signer.Quota{PerSecond: 1, Burst: 3}, Stranger: signer.Quota{PerSecond: 1, Burst: 5},
	})
	for i := range 20 {
		asStranger(w, "7")
		_, err := s.Sign(t.Context(), goodRequest())
		var over *signer.OverQuota
		if errors.As(err, &over) != (i >= 5) {
			t.Fatalf("request %d: %v", i, err)
		}
		if over != nil && (over.Seconds() != 1 || !strings.Contains(over.Of, "project 7 of github")) {
			t.Errorf("come again in %d s for %s", over.Seconds(), over.Of)
		}
	}
	asStranger(w, "8")
	var refused *signer.Refused
	if _, err := s.Sign(t.Context(), goodRequest()); !errors.As(err, &refused) {
		t.Errorf("another stranger: %v", err)
	}
	clock.forward(time.Second)
	asStranger(w, "7")
	if _, err := s.Sign(t.Context(), goodRequest()); !errors.As(err, &refused) {
		t.Errorf("after as long as it was told: %v", err)
	}
	asInsider(w)
	for i := range 3 {
		if _, err := s.Sign(t.Context(), goodRequest()); err != nil {
			t.Errorf("a job, request %d: %v", i, err)
		}
	}
}

// TestStrangersRowsAreBounded: whatever the token holds.
func TestStrangersRowsAreBounded(t *testing.T) {
	long := strings.Repeat("\x00", 4000)
	w := newWorld(t)
	w.principal = func(p *signer.Principal) {
		p.Subject, p.SAN, p.Run, p.TokenID = long, "https://ci.example/"+long, long, long
		p.Claims = map[string]any{"repository": long, "repository_id": long, "repository_owner": long, "namespace_path": long}
	}
	if _, err := w.start().Sign(t.Context(), signer.Request{Token: "good", Image: long}); err == nil {
		t.Fatal("signed")
	}
	row, err := json.Marshal(w.audit[0])
	if err != nil || len(row) > 6<<10 {
		t.Errorf("a row of %d bytes, %v", len(row), err)
	}
}

// TestHopelessRequests: what no artifact could change is refused in full, for
// those that policy speaks of, and the registry is not asked; a dry run gives it
// as its answer.
func TestHopelessRequests(t *testing.T) {
	w, _, s := strangersWorld(t, signer.Quotas{})
	req := goodRequest()
	req.Image = "registry.example/other/app@" + string(theImage)
	_, err := s.Sign(t.Context(), req)
	var refused *signer.Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `rule "acme": repository is "other/app"; the rule is for "acme/"`) {
		t.Errorf("got %v", err)
	}
	x, err := s.DryRun(t.Context(), req)
	if err != nil || x.Allowed || x.Image != req.Image || x.Digest != theImage || len(x.Reasons) != 1 || x.Reasons[0] != refused.Reasons[0] || len(x.Checks) == 0 {
		t.Errorf("dry run: %+v, %v", x, err)
	}
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://cyclonedx.org/bom", []byte("{}")
	if _, err := s.Attest(t.Context(), attestation); !errors.As(err, &refused) || !strings.Contains(err.Error(), "predicate-type") {
		t.Errorf("attest: %v", err)
	}
	for i, want := range []string{signer.DecisionRefused, signer.DecisionDryRun, signer.DecisionRefused} {
		if i >= len(w.audit) || w.audit[i].Decision != want || w.audit[i].Stage != "policy" {
			t.Fatalf("recorded %+v", w.audit)
		}
	}
	req.Image = "Bad Image"
	if _, err := s.Sign(t.Context(), req); !errors.Is(err, oci.ErrBadReference) || w.audit[3].Stage != "resolve" {
		t.Errorf("got %v", err)
	}
	w.down["audit"] = errors.New("the disk is full")
	req.Image = "registry.example/other/app@" + string(theImage)
	if _, err := s.DryRun(t.Context(), req); !errors.Is(err, w.down["audit"]) {
		t.Errorf("unrecorded dry run: %v", err)
	}
}
