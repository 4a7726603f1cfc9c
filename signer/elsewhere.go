// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
)

// Several processes may serve one deployment, and a job that retries may reach
// two of them with one request. Both then work on one intent, and the journal
// decides: of two signatures it keeps the first, of two receipts likewise. The
// other process throws its own away, which nobody has seen, and goes on with
// what was kept.

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
