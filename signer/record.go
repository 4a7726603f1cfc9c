// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// newEvent starts the audit record of a request.
func (s *Service) newEvent(req Request) AuditEvent {
	return AuditEvent{
		Time: s.cfg.Clock().UTC(), Action: req.Action, Image: clip(req.Image), PredicateType: clip(req.PredicateType),
		RequestID: req.Origin.RequestID, RemoteAddr: req.Origin.RemoteAddr,
	}
}

// eventOf is the audit record of something that happens to an intent.
func eventOf(in Intent, now time.Time) AuditEvent {
	return AuditEvent{
		Time: now.UTC(), Action: in.Action, Image: in.Artifact.String(), Digest: string(in.Artifact.Digest), PredicateType: in.PredicateType,
		Requester: in.Requester, Rule: in.Rule, PolicyDigest: in.PolicyDigest, Modes: in.Modes, IntentID: in.ID,
	}
}

// refuse records why nothing was granted and returns the error that the caller
// sees. A refusal that cannot be recorded is an error of its own: the service
// does not run unaudited. Refusals before anybody is known to ask are bounded:
// see anonymous.
func (s *Service) refuse(ctx context.Context, ev AuditEvent, stage string, cause error) error {
	ev.Stage, ev.Reasons = stage, []string{cause.Error()}
	ev.Decision = DecisionFailed
	if stage == stageAuthenticate {
		if !s.anonymous.admit(ctx, ev.Time, s.cfg.Logger) {
			return overflow(cause)
		}
		ev.Reasons = []string{clip(cause.Error())}
	}
	var (
		unauthenticated *Unauthenticated
		refused         *Refused
		replayed        *Replayed
	)
	switch {
	case errors.As(cause, &unauthenticated):
		ev.Decision = DecisionRefused
		ev.Requester.Issuer, ev.Requester.Subject = clip(unauthenticated.Issuer), clip(unauthenticated.Subject)
	case errors.As(cause, &refused):
		ev.Decision, ev.Reasons, ev.Checks = DecisionRefused, refused.Reasons, auditChecks(refused.Checks)
	case errors.As(cause, &replayed):
		ev.Decision, ev.Stage, ev.Reasons = DecisionRefused, stageReplay, []string{replayed.Error()}
	case isNo(cause):
		ev.Decision = DecisionRefused
	}
	// The client may be gone; the record is written all the same.
	ev.Unrecorded = s.anonymous.take()
	if err := s.cfg.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		s.anonymous.giveBack(ev.Unrecorded)
		return fmt.Errorf("record refusal: %w", err)
	}
	return cause
}

// stageOf is the stage of a refusal that knows its own.
func stageOf(err error, otherwise string) string {
	var refused *Refused
	if errors.As(err, &refused) && refused.Stage != "" {
		return refused.Stage
	}
	var full *noRoom
	if errors.As(err, &full) {
		return stageAttach
	}
	return otherwise
}

// isNo tells a request that cannot succeed from a registry that did not
// answer.
func isNo(err error) bool {
	for _, no := range []error{ErrBadRequest, attest.ErrChart, ErrNoCharts, ErrNoProvenance, oci.ErrForeignRegistry, oci.ErrBadReference, oci.ErrNotFound, oci.ErrNoPlatform, oci.ErrDigestMismatch, oci.ErrBadManifest, oci.ErrTooLarge, oci.ErrTooMany} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// void ends an intent whose signature could not be made.
func (s *Service) void(ctx context.Context, in Intent, ev AuditEvent, cause error) error {
	ev.Decision, ev.Stage, ev.IntentID, ev.Reasons = DecisionVoided, stageSign, in.ID, []string{cause.Error()}
	if err := s.cfg.Journal.Void(context.WithoutCancel(ctx), in.ID, ev); err != nil {
		return errors.Join(cause, fmt.Errorf("void intent %s: %w", in.ID, err))
	}
	return cause
}

// fail records that a signed intent could not be finished now. It stays: the
// same request again, or the next start-up, goes on with it.
func (s *Service) fail(ctx context.Context, ev AuditEvent, stage string, cause error) error {
	ev.Decision, ev.Stage, ev.Reasons = DecisionFailed, stage, []string{cause.Error()}
	if err := s.cfg.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		return errors.Join(cause, fmt.Errorf("record failure: %w", err))
	}
	return cause
}

// clip bounds what somebody else wrote before it is kept: maxAsked bytes as
// JSON, which writes one control character as six bytes.
func clip(s string) string {
	left := maxAsked
	for i, r := range s {
		if left -= escapedLen(r); left < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// escapedLen is how many bytes encoding/json takes at most for a character. A
// byte that is no UTF-8 is written as the escaped replacement character.
func escapedLen(r rune) int {
	switch {
	case r < ' ' || strings.ContainsRune(`<>&`, r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029':
		return len(`\u0000`)
	case r == '"' || r == '\\':
		return len(`\"`)
	}
	return utf8.RuneLen(r)
}
