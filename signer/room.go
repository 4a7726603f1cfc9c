// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"strings"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// noRoom says that what would be signed cannot be attached, so that nothing is
// signed. Its cause is one of package oci's errors.
type noRoom struct{ cause error }

func (e *noRoom) Error() string { return "nothing is signed: " + e.cause.Error() }
func (e *noRoom) Unwrap() error { return e.cause }

// refuseFull looks whether there is room for what an intent will lead to, before
// it is recorded: a signature that is in the log and cannot be attached helps
// nobody, and each new try would be another. A request that was signed already
// goes on where it stopped: its place may be among those that are taken.
func (s *Service) refuseFull(ctx context.Context, in Intent) error {
	signatures := s.signatures(in)
	want := oci.Attachments{Bundles: signatures * len(s.cfg.Logs), Kind: oci.SignatureTag}
	if in.Action == ActionAttest {
		want.Kind = oci.AttestationTag
	}
	if s.cfg.Tags != nil {
		want.Layers = signatures
	}
	full := s.cfg.Registry.Room(ctx, in.Artifact, want)
	if full == nil {
		return nil
	}
	earlier, err := s.cfg.Journal.Requested(ctx, in.RequestKey)
	if err == nil && (earlier.Signed != nil || earlier.Receipt != nil) {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNoIntent) {
		return errors.Join(full, err)
	}
	return &noRoom{full}
}

// signatures is how many an intent will have: one in each mode, and one more
// where a long-lived key is rotated and the one before signs as well.
func (s *Service) signatures(in Intent) int {
	n := len(in.Modes)
	for _, mode := range in.Modes {
		if name, byKey := strings.CutPrefix(mode, modeKeyPrefix); byKey && s.signingKey(name).retiring(in.Action) != nil {
			n++
		}
	}
	return n
}
