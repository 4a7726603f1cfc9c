// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Several processes may serve one deployment, and a job that retries may reach
// two of them with one request. Both then work on one intent, and the journal
// decides: of two signatures it keeps the first, of two receipts likewise. The
// other process throws its own away, which nobody has seen, and goes on with
// what was kept.

// beginAs records an intent, or finds the one that an earlier, identical request
// has left. One that another policy granted, and nothing was signed for yet, is
// ended first: what was granted now is what will be signed.
func (s *Service) beginAs(ctx context.Context, in Intent, use TokenUse, ev AuditEvent) (Intent, error) {
	stored, _, err := s.cfg.Journal.Begin(ctx, in, use, ev)
	if err == nil && !stored.asGranted(in) {
		end := eventOf(stored, s.cfg.Clock())
		end.Decision, end.Stage, end.Reasons = DecisionVoided, stageIntent, []string{"the policy has changed since this was granted, and nothing was signed yet"}
		if err := s.cfg.Journal.Void(ctx, stored.ID, end); err != nil && !errors.Is(err, ErrNoIntent) {
			return Intent{}, fmt.Errorf("void intent %s: %w", stored.ID, err)
		}
		stored, _, err = s.cfg.Journal.Begin(ctx, in, use, ev)
	}
	if err != nil {
		return Intent{}, fmt.Errorf("record intent: %w", err)
	}
	if !stored.asGranted(in) {
		return Intent{}, fmt.Errorf("%w: another process works on the same request by another policy, ask again", ErrBusy)
	}
	return stored, nil
}

// asGranted says whether who was granted now may go on with an intent: it is
// signed, or will be as was granted now.
func (in Intent) asGranted(now Intent) bool {
	return in.Signed != nil || in.Receipt != nil || (in.PolicyDigest == now.PolicyDigest && in.Rule == now.Rule && slices.Equal(in.Modes, now.Modes))
}

// keep moves an intent to signed. If another process has moved it first, the
// intent comes back with that process's signature.
func (s *Service) keep(ctx context.Context, in Intent, signed Signed) (Intent, error) {
	err := s.cfg.Journal.Sign(ctx, in.ID, signed)
	if !errors.Is(err, ErrNoIntent) {
		in.Signed = &signed
		return in, err
	}
	stored, err := s.cfg.Journal.Intent(ctx, in.ID)
	if err != nil {
		return in, err
	}
	if stored.Signed == nil {
		return in, fmt.Errorf("%w: another process gave the same request up, ask again", ErrBusy)
	}
	return stored, nil
}

// finishedElsewhere returns the receipt that another process gave for an
// intent.
func (s *Service) finishedElsewhere(ctx context.Context, in Intent) (Receipt, error) {
	stored, err := s.cfg.Journal.Intent(ctx, in.ID)
	if err != nil {
		return Receipt{}, fmt.Errorf("read receipt of intent %s: %w", in.ID, err)
	}
	if stored.Receipt == nil {
		return Receipt{}, fmt.Errorf("record receipt of intent %s: %w", in.ID, ErrNoIntent)
	}
	return *stored.Receipt, nil
}
