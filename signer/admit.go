// SPDX-License-Identifier: Apache-2.0

package signer

import "context"

// Admit tells whether run would accept the token of req, so that a stranger's
// large body is not even read. It needs neither image nor predicate. A refusal
// is recorded as run records it; what Admit accepts is asked again by run.
func (s *Service) Admit(ctx context.Context, req Request) error {
	if _, err := s.authenticate(ctx, req.Token); err != nil {
		return s.refuse(ctx, s.newEvent(req), stageAuthenticate, err)
	}
	return nil
}
