// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// quotaWorld has a clock that stands still and a service with quotas.
func quotaWorld(t *testing.T, q signer.Quotas) (*world, *hand, *signer.Service) {
	t.Helper()
	w, clock := newWorld(t), newHand()
	w.clock, w.quotas = clock.now, q
	return w, clock, w.start()
}

// ask asks for something that policy refuses, as a project of github, and says
// whether a quota refused it before.
func ask(t *testing.T, w *world, s *signer.Service, project string) *signer.OverQuota {
	t.Helper()
	w.principal = func(p *signer.Principal) { p.Extensions.SourceRepositoryIdentifier = project }
	req := goodRequest()
	req.Image = "registry.example/other/app@" + string(theImage)
	_, err := s.Sign(t.Context(), req)
	var over *signer.OverQuota
	var refused *signer.Refused
	if !errors.As(err, &over) && !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	return over
}

// TestProjectQuota: a project that asks too often waits, others do not.
func TestProjectQuota(t *testing.T) {
	w, clock, s := quotaWorld(t, signer.Quotas{Project: signer.Quota{PerSecond: 0.5, Burst: 3}})
	for i := range 5 {
		over := ask(t, w, s, "1")
		if (over != nil) != (i >= 3) {
			t.Errorf("request %d: %v", i, over)
		}
		if over != nil && (over.Seconds() != 2 || over.Of != "project 1 of github") {
			t.Errorf("request %d: come again in %d s for %s", i, over.Seconds(), over.Of)
		}
	}
	if over := ask(t, w, s, "2"); over != nil {
		t.Errorf("another project: %v", over)
	}
	clock.forward(2 * time.Second)
	if over := ask(t, w, s, "1"); over != nil {
		t.Errorf("after as long as it was told: %v", over)
	}
	if over := ask(t, w, s, "1"); over == nil {
		t.Error("the bucket was filled too fast")
	}
}

// TestIdentityQuota: an identity source has a quota for all its projects, which
// what a project's own quota refuses does not use up.
func TestIdentityQuota(t *testing.T) {
	w, _, s := quotaWorld(t, signer.Quotas{
		Identities: map[string]signer.Quota{"github": {PerSecond: 1, Burst: 6}},
		Projects:   map[string]signer.Quota{"github": {PerSecond: 1, Burst: 2}},
		Project:    signer.Quota{PerSecond: 1, Burst: 1}, // of other sources
	})
	for i := range 20 { // two are served
		if over := ask(t, w, s, "1"); (over != nil) != (i >= 2) {
			t.Errorf("request %d: %v", i, over)
		}
	}
	for i := range 4 {
		if over := ask(t, w, s, fmt.Sprint("other ", i)); over != nil {
			t.Errorf("another project: %v", over)
		}
	}
	over := ask(t, w, s, "one more")
	if over == nil || over.Of != "identity source github" {
		t.Errorf("got %v, want the source's quota", over)
	}
}

// TestQuotaRecords: of what is above a quota, a row a minute for each project is
// recorded, with how many there were.
func TestQuotaRecords(t *testing.T) {
	w, clock, s := quotaWorld(t, signer.Quotas{Project: signer.Quota{PerSecond: 1. / 3600, Burst: 1}})
	rows := func() (found []signer.AuditEvent) {
		for _, ev := range w.audit {
			if ev.Stage == "quota" {
				found = append(found, ev)
			}
		}
		return found
	}
	_ = ask(t, w, s, "1") // what it and the others lead to is in the rows
	for range 1000 {
		_ = ask(t, w, s, "1")
	}
	_ = ask(t, w, s, "2")
	_ = ask(t, w, s, "2")
	if got := rows(); len(got) != 2 || got[0].Unrecorded != 0 || got[0].Decision != signer.DecisionRefused || got[0].Requester.SAN != workflow {
		t.Fatalf("recorded %+v", got)
	}
	clock.forward(time.Minute)
	w.down["audit"] = errors.New("the disk is full")
	req := goodRequest()
	var over *signer.OverQuota
	if _, err := s.Sign(t.Context(), req); err == nil || errors.As(err, &over) {
		t.Errorf("unrecorded refusal: got %v", err)
	}
	clear(w.down)
	clock.forward(time.Minute)
	_ = ask(t, w, s, "1") // as above
	if got := rows(); len(got) != 3 || got[2].Unrecorded != 1000 {
		t.Errorf("recorded %+v, want the 999 and the one that could not be recorded", got)
	}
}

// TestAdmissionCountsOnce: what Admit has counted, run does not count again.
func TestAdmissionCountsOnce(t *testing.T) {
	_, _, s := quotaWorld(t, signer.Quotas{Project: signer.Quota{PerSecond: 1. / 3600, Burst: 2}})
	for range 2 {
		req := goodRequest()
		admission, err := s.Admit(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		req.Admission = admission
		if _, err := s.Sign(t.Context(), req); err != nil {
			t.Error(err)
		}
	}
	var over *signer.OverQuota
	if _, err := s.Admit(t.Context(), goodRequest()); !errors.As(err, &over) {
		t.Errorf("the third: %v", err)
	}
}

// TestTenants: projects are tenants, and not their identity source as a whole.
func TestTenants(t *testing.T) {
	w := newWorld(t)
	tenant := func(repository string) string {
		w.principal = func(p *signer.Principal) { p.Extensions.SourceRepositoryIdentifier = repository }
		admission, err := w.start().Admit(t.Context(), goodRequest())
		if err != nil {
			t.Fatal(err)
		}
		return admission.Tenant()
	}
	a, again, b := tenant("1"), tenant("1"), tenant("2")
	if a == "" || a != again || a == b {
		t.Errorf("tenants %q, %q and %q", a, again, b)
	}
	var none *signer.Admission
	if none.Tenant() != "" || new(signer.Admission).Tenant() != "" {
		t.Error("nobody is a tenant")
	}
}

// TestAdmissionIsForOneToken: it says nothing about another one.
func TestAdmissionIsForOneToken(t *testing.T) {
	s := newWorld(t).start()
	admission, err := s.Admit(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"bad", ""} {
		for _, a := range []*signer.Admission{admission, new(signer.Admission)} {
			req := goodRequest()
			req.Token, req.Admission = token, a
			var unauthenticated *signer.Unauthenticated
			if _, err := s.Sign(t.Context(), req); !errors.As(err, &unauthenticated) {
				t.Errorf("token %q with another admission: %v", token, err)
			}
		}
	}
}

// TestProjectsAreForgotten: many projects take no more memory than some, and
// the source's quota bounds them still.
func TestProjectsAreForgotten(t *testing.T) {
	const served = 10_000
	w, _, s := quotaWorld(t, signer.Quotas{
		Identity: signer.Quota{PerSecond: 1. / 3600, Burst: served}, Project: signer.Quota{PerSecond: 1. / 3600, Burst: 1},
	})
	for i := range served {
		if over := ask(t, w, s, fmt.Sprint(i)); over != nil {
			t.Fatalf("project %d: %v", i, over)
		}
	}
	if got := s.Projects(); got > 4096 {
		t.Errorf("%d projects are kept", got)
	}
	if over := ask(t, w, s, "forgotten"); over == nil {
		t.Error("the identity source's quota is used up")
	}
}
