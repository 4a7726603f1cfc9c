// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Admission says that Admit has accepted a request's token and counted the
// request. Only Admit makes one.
type Admission struct {
	token     string
	principal Principal
	// artifact is what Expect has resolved image to; "" if it was not asked.
	image    string
	artifact oci.Artifact
}

// Tenant names the project that was admitted, as quotas count it, to share out
// among all what one request can take much of; "" if nobody was.
func (a *Admission) Tenant() string {
	if a == nil || a.principal.Identity == "" {
		return ""
	}
	return tenantOf(a.principal)
}

// tenantOf is a key for a project of an identity source.
func tenantOf(p Principal) string {
	return fmt.Sprintf("%d:%s,%s", len(p.Identity), p.Identity, Project(p))
}

// Admit tells whether run would go beyond its first step: whether the token of
// req is good, some rule speaks of who has it, and its quotas have room, so that
// a body which would be refused is not even read. It needs neither image nor
// predicate. A refusal is recorded as run records it. What Admit returns goes
// into the request, which is then not asked and not counted again.
func (s *Service) Admit(ctx context.Context, req Request) (*Admission, error) {
	p, err := s.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	return &Admission{token: req.Token, principal: p}, nil
}

// admit is the first step of run: who asks, and do they not ask too often? Its
// errors are recorded.
func (s *Service) admit(ctx context.Context, req Request) (Principal, error) {
	if a := req.Admission; a != nil && a.token != "" && a.token == req.Token {
		return a.principal, nil
	}
	ev := s.newEvent(req)
	p, err := s.authenticate(ctx, req.Token)
	if err != nil {
		return Principal{}, s.refuse(ctx, ev, stageAuthenticate, err)
	}
	ev.Requester = requesterOf(p)
	if err := s.refuseStranger(ctx, ev, p); err != nil {
		return Principal{}, err
	}
	if over, record, unrecorded := s.buckets.take(p, ev.Time); over != nil {
		return Principal{}, s.refuseQuota(ctx, ev, over, record, unrecorded)
	}
	return p, nil
}
