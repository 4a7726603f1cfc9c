// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// A token of a hosted CI proves that somebody has an account there, which
// anybody can have. Jobs of which no rule of the policy speaks are strangers:
// they are refused before anything of the request is looked at, so that they
// neither cost the registry a question nor learn from the answer; they have
// buckets of their own, so that they take nothing from the quota of the
// identity source that they share with others; and what they make the service
// write is bounded as it is of callers without a token.

// strangers counts the requests of jobs of which no rule speaks.
type strangers struct {
	*buckets // of projects only
	// rows bounds what is recorded of all of them together: projects cost
	// nothing either. Its figures are those of callers without a token.
	rows *rate.Limiter // guarded by buckets.mu
}

func newStrangers(each Quota) *strangers {
	return &strangers{buckets: newBuckets(Quotas{Project: each}), rows: rate.NewLimiter(anonymousRate, anonymousBurst)}
}

// take takes a request out of the bucket of a stranger. over is not nil if it
// was empty. Like the refusals above a quota, one row a minute of each project
// is to be recorded, with the number of those before it that were not.
func (g *strangers) take(p Principal, now time.Time) (over *OverQuota, record bool, unrecorded int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	project := g.project(p)
	if _, wait := reserve(project.bucket, now); wait > 0 {
		over = &OverQuota{Of: fmt.Sprintf("project %s of %s, of which no rule speaks,", clip(Project(p)), p.Identity), RetryAfter: wait}
	}
	recently := !project.recorded.IsZero() && now.Sub(project.recorded) < recordEvery
	if recently || !g.rows.AllowN(now, 1) {
		project.unrecorded++
		return over, false, 0
	}
	unrecorded = project.unrecorded + g.lost
	project.recorded, project.unrecorded, g.lost = now, 0, 0
	return over, true, unrecorded
}

// refuseStranger refuses a stranger and records it, if it is its turn. It
// returns nil for everybody else.
func (s *Service) refuseStranger(ctx context.Context, ev AuditEvent, p Principal) error {
	refusal := s.cfg.Policy.Stranger(policy.Input{
		Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer, Subject: p.Subject, SAN: p.SAN, Claims: p.Claims,
	})
	if refusal == nil {
		return nil
	}
	over, record, unrecorded := s.strangers.take(p, ev.Time)
	var answer error = &Refused{Stage: stagePolicy, Reasons: refusal.Reasons}
	if over != nil {
		answer = over
	}
	if !record {
		return answer
	}
	ev.Decision, ev.Stage, ev.PolicyDigest, ev.Unrecorded = DecisionRefused, stagePolicy, s.cfg.Policy.Digest(), unrecorded
	ev.Requester = ev.Requester.clipped()
	for _, reason := range refusal.Reasons {
		ev.Reasons = append(ev.Reasons, clip(reason))
	}
	if err := s.cfg.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		s.strangers.giveBack(unrecorded)
		return fmt.Errorf("record refusal: %w", err)
	}
	return answer
}

// clipped bounds what a token says of itself.
func (r Requester) clipped() Requester {
	for _, text := range []*string{&r.Issuer, &r.Subject, &r.SAN, &r.Run, &r.TokenID} {
		*text = clip(*text)
	}
	return r
}

// hopeless returns the refusal of what no rule could allow whatever the artifact
// is, or nil, without asking any registry: a job that asks in vain costs no more
// than the decision, and one that may sign something is told which rule there
// is for it, not whether somebody else's image exists. Its errors are about the
// reference.
func (s *Service) hopeless(p Principal, req Request) (*policy.Refusal, error) {
	ref, err := s.cfg.Registry.Locate(req.Image)
	if err != nil {
		return nil, err
	}
	in := policy.Input{
		Action: string(req.Action), Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer, Subject: p.Subject, SAN: p.SAN, Claims: p.Claims,
		Repository: ref.Repository, PredicateType: req.PredicateType,
	}
	if req.Action != ActionAttest || req.PredicateType != "" {
		return s.cfg.Policy.RefuseUnresolved(in), nil
	}
	// Documents, whose types are not known before they are read: one that may be
	// attested is enough.
	var refusal *policy.Refusal
	in.VEX = !slices.ContainsFunc(req.Documents, func(d Document) bool { return d.Kind != attest.EvidenceVEX })
	for _, t := range typesOf(req.Documents) {
		in.PredicateType = t
		if refusal = s.cfg.Policy.RefuseUnresolved(in); refusal == nil {
			return nil, nil //nolint:nilnil // nothing is refused
		}
	}
	return refusal, nil
}
