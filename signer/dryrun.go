// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// Explanation is a decision that was asked for and not carried out.
type Explanation struct {
	Allowed      bool           `json:"allowed" doc:"a signature would be made"`
	Image        string         `json:"image" doc:"registry/repository@digest; as asked, if it would be refused whatever is there"`
	Digest       attest.Digest  `json:"digest" doc:"empty, if it would be refused whatever is there and the request named none"`
	Kind         string         `json:"kind" doc:"image, index, chart or artifact; empty, if it would be refused whatever is there"`
	Identity     string         `json:"identity" doc:"URI of the CI workflow that asked"`
	Issuer       string         `json:"issuer" doc:"issuer of its token"`
	Run          string         `json:"run"`
	Rule         string         `json:"rule,omitempty" doc:"policy rule that would grant it"`
	PolicyDigest string         `json:"policyDigest"`
	Reasons      []string       `json:"reasons,omitempty" doc:"why it would be refused, what came nearest first"`
	Checks       []policy.Check `json:"checks" doc:"everything that was looked at, rule by rule, in the order of the policy file; one rule that holds is enough"`
}

// DryRun walks the path of Sign and stops before the intent: nothing is
// signed, attested or attached. Documents of the request are judged as if they
// had been attested now. The decision is recorded as a dry run. Errors are
// those of Sign, without a policy's refusal, which is an answer here.
func (s *Service) DryRun(ctx context.Context, req Request) (Explanation, error) {
	req.Action, req.PredicateType = ActionSign, attest.PredicateSignature
	ev := s.newEvent(req)
	principal, err := s.admit(ctx, req)
	if err != nil {
		return Explanation{}, err
	}
	ev.Requester = requesterOf(principal)
	x := Explanation{
		Identity: principal.SAN, Issuer: principal.Issuer, Run: principal.Run, PolicyDigest: s.cfg.Policy.Digest(), Checks: []policy.Check{},
	}
	refusal, err := s.hopeless(principal, req)
	if err != nil {
		return Explanation{}, s.refuse(ctx, ev, stageResolve, err)
	}
	if refusal != nil { // nothing is read from the registry: nothing there could change it
		x.Image, x.Digest, x.Reasons, x.Checks = req.Image, digestIn(req.Image), refusal.Reasons, refusal.Checks
		if err := s.recordDryRun(ctx, ev, x); err != nil {
			return Explanation{}, err
		}
		return x, nil
	}
	artifact, err := s.resolve(ctx, req.Image)
	if err != nil {
		return Explanation{}, s.refuse(ctx, ev, stageResolve, err)
	}
	ev.Digest = string(artifact.Digest)
	x.Image, x.Digest, x.Kind = artifact.String(), artifact.Digest, string(artifact.Kind)

	// What is revoked is refused before policy is asked, as in run.
	if err := s.refuseRevoked(ctx, principal, artifact.Digest); !x.refusedFor(err) {
		if err := s.explain(ctx, &x, principal, artifact, req); err != nil {
			return Explanation{}, s.refuse(ctx, ev, stageEvidence, err)
		}
	}
	if err := s.recordDryRun(ctx, ev, x); err != nil {
		return Explanation{}, err
	}
	return x, nil
}

// digestIn is the digest that a reference names, or "".
func digestIn(image string) attest.Digest {
	_, digest, _ := strings.Cut(image, "@")
	return attest.Digest(digest)
}

func (s *Service) recordDryRun(ctx context.Context, ev AuditEvent, x Explanation) error {
	ev.Decision, ev.Stage, ev.Rule, ev.PolicyDigest = DecisionDryRun, stagePolicy, x.Rule, x.PolicyDigest
	ev.Reasons, ev.Checks = x.Reasons, auditChecks(x.decisive())
	if err := s.cfg.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		return fmt.Errorf("record dry run: %w", err)
	}
	return nil
}

// decisive are the checks that a record needs: those of the rule that would
// grant, or all. A record is bounded, and a policy has many rules.
func (x *Explanation) decisive() []policy.Check {
	if !x.Allowed {
		return x.Checks
	}
	return slices.DeleteFunc(slices.Clone(x.Checks), func(c policy.Check) bool { return c.Rule != x.Rule })
}

// refusedFor says whether err is a refusal, and makes it part of the answer.
func (x *Explanation) refusedFor(err error) bool {
	var refused *Refused
	if !errors.As(err, &refused) {
		return false
	}
	x.Allowed, x.Reasons = false, append(x.Reasons, refused.Reasons...)
	return true
}

// explain is decide without any effect.
func (s *Service) explain(ctx context.Context, x *Explanation, p Principal, a oci.Artifact, req Request) error {
	in := s.policyInput(p, a, req)
	needs := s.cfg.Policy.Needs(in)
	x.Allowed = true
	if needs.Allowed {
		charges, err := s.charges(ctx, a, req)
		if err != nil {
			return err
		}
		if needs.Evidence {
			found, err := s.cfg.Evidence.Gather(ctx, a, needs)
			if err != nil {
				return fmt.Errorf("gather evidence of %s: %w", a, err)
			}
			defer found.release()
			in.Evidence, in.Platforms, in.PlatformNames = withoutProvenance(found.Documents), found.Platforms, found.PlatformNames
			if in.Evidence, err = s.asIfChartImages(ctx, p, a, in); err != nil {
				return err
			}
		}
		for _, c := range charges {
			s.explainDocument(x, p, c.artifact, req, c.carried)
			made := s.asAttested(c.carried, p.SAN, c.artifact, in)
			made.Run = p.Extensions.RunInvocationURI // as the certificate would say: documents of one run are judged together
			in.Evidence = append(in.Evidence, made)
		}
		if needs.Provenance {
			d, err := s.provenance(p, req.Claimed)
			if err != nil {
				return err
			}
			in.Evidence = append(in.Evidence, s.asAttested(d, AttestorSAN(s.cfg.Origin), a, in))
		}
	}
	decision := s.cfg.Policy.Explain(in)
	if grant, ok := decision.Grant(); ok {
		// Redeemed and thrown away: nothing else can come of it.
		terms, err := grant.Redeem()
		if err != nil {
			return err
		}
		x.Rule = terms.Rule
		modes, err := modesOf(terms)
		if err != nil {
			return err
		}
		if x.refusedFor(s.refuseRevokedModes(ctx, modes, ActionSign)) {
			x.Rule = ""
		}
		full := s.refuseFull(ctx, Intent{RequestKey: requestKey(p, a, req), Action: ActionSign, Artifact: a, Modes: modes})
		if full != nil && !isNo(full) {
			return full
		}
		if full != nil {
			x.Allowed, x.Rule, x.Reasons = false, "", append(x.Reasons, full.Error())
		}
	} else {
		x.Allowed = false
		x.Reasons = append(x.Reasons, decision.Refusal().Reasons...)
	}
	x.Checks = append(x.Checks, decision.Checks...)
	return nil
}

// explainDocument says whether policy would let the document be attested.
func (s *Service) explainDocument(x *Explanation, p Principal, a oci.Artifact, req Request, d carried) {
	req.Action, req.PredicateType = ActionAttest, d.permitted()
	decision := s.cfg.Policy.Decide(s.policyInput(p, a, req))
	refusal := decision.Refusal()
	if refusal == nil {
		return
	}
	x.Allowed = false
	var refused *Refused
	if errors.As(about(d.name, &Refused{Reasons: refusal.Reasons}), &refused) {
		x.Reasons = append(x.Reasons, refused.Reasons...)
	}
	x.Checks = append(x.Checks, decision.Checks...)
}

// asAttested is the document that a statement made now would be.
func (s *Service) asAttested(d carried, author string, about oci.Artifact, in policy.Input) policy.Document {
	out := policy.Document{
		PredicateType: d.PredicateType, Digest: string(about.Digest), Signer: AttestorSAN(s.cfg.Origin), Issuer: s.cfg.Origin, Author: author, At: in.Now,
	}
	document.Fill(&out, d.Evidence, d.kin...)
	return out
}
