// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"

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
	modes := len(in.Modes)
	want := oci.Attachments{Bundles: modes * len(s.cfg.Logs), Kind: oci.SignatureTag}
	if in.Action == ActionAttest {
		want.Kind = oci.AttestationTag
	}
	if s.cfg.Tags != nil {
		want.Layers = modes
	}
	full := s.cfg.Registry.Room(ctx, in.Artifact, want)
	if full == nil {
		return nil
	}
	begun, err := s.begun(ctx, in.RequestKey)
	if err != nil {
		return errors.Join(full, err)
	}
	if begun {
		return nil
	}
	return &noRoom{full}
}

// begun says whether an identical request was signed already.
func (s *Service) begun(ctx context.Context, key string) (bool, error) {
	earlier, err := s.cfg.Journal.Requested(ctx, key)
	if errors.Is(err, ErrNoIntent) {
		return false, nil
	}
	return err == nil && (earlier.Signed != nil || earlier.Receipt != nil), err
}

// refuseFullFor is refuseFull of several statements, before the first of them is
// recorded: each may have room, and all together none. Documents that are kept
// beside them take a place, too.
func (s *Service) refuseFullFor(ctx context.Context, charges []*charge) error {
	if len(charges) == 1 && charges[0].original == nil {
		return nil // begin looks
	}
	for _, same := range bySubject(charges) {
		if s.cfg.Registry.Room(ctx, same[0].artifact, s.places(same)) == nil {
			continue
		}
		var open []*charge
		for _, c := range same {
			begun, err := s.begun(ctx, c.key)
			if err != nil {
				return about(c.name, s.refuse(ctx, c.ev, stageIntent, err))
			}
			if !begun {
				open = append(open, c)
			}
		}
		if len(open) == 0 {
			continue
		}
		if full := s.cfg.Registry.Room(ctx, open[0].artifact, s.places(open)); full != nil {
			full = &noRoom{full}
			return about(open[0].name, s.refuse(ctx, open[0].ev, stageOf(full, stageIntent), full))
		}
	}
	return nil
}

// places are those that statements about one artifact take.
func (s *Service) places(charges []*charge) oci.Attachments {
	want := oci.Attachments{Kind: oci.AttestationTag}
	for _, c := range charges {
		want.Bundles += c.modes * len(s.cfg.Logs)
		if c.original != nil {
			want.Bundles++
		}
		if s.cfg.Tags != nil {
			want.Layers += c.modes
		}
	}
	return want
}

func bySubject(charges []*charge) [][]*charge {
	var groups [][]*charge
	at := map[string]int{}
	for _, c := range charges {
		name := c.artifact.String()
		if _, known := at[name]; !known {
			at[name] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[name]] = append(groups[at[name]], c)
	}
	return groups
}
