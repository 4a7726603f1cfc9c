// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// A token is a bearer secret: who reads it in a job's log may use it until it
// expires. So a token serves few different requests, which its job needs and a
// thief gets the rest of, and only those of the run that used it first. Uses
// are counted by the journal, in the transaction that records the intent: no
// crash and no second replica sees a signature whose use was not counted.
//
// What a token's clock says is settled there, too. A use is forgotten when its
// token cannot be good any more, by a time that the journal keeps and that only
// moves forward; a token which that time has passed is refused, whatever the
// clock of the process says that found it valid. A replica whose clock was set
// back, or a database that was moved to another machine, opens no window.

const (
	// DefaultMaxUses is how many different requests a token serves: GitLab
	// gives a job one token for all that it signs and attests.
	DefaultMaxUses = 20
	// HighestMaxUses bounds what may be configured: a row is kept of each use.
	HighestMaxUses = 10_000
	// tokenSkew is how much longer than its token a use is remembered: more
	// than the leeway with which package identity takes a token that expired.
	tokenSkew = 2 * time.Minute
)

// TokenUse is the use of a token for one request, as the journal counts it.
type TokenUse struct {
	// Token names the token: SHA-256 over its identity source, issuer and id.
	// Sources can share an issuer's name, as clusters do, and then give ids that
	// know nothing of each other.
	Token [32]byte
	// Holder is SHA-256 over identity source, SAN and project of the run. A
	// token belongs to the holder of its first use.
	Holder [32]byte
	// Most is how many different requests the token may serve.
	Most int
	// Until is when the token is good for nothing by any clock.
	Until time.Time
	// Now is the clock that found the token valid.
	Now time.Time
}

// Reasons of a Replayed.
const (
	// ReplayExhausted: the token has served as many requests as it may.
	ReplayExhausted = "exhausted"
	// ReplayOtherHolder: the token's id was first used by another run's identity
	// or project.
	ReplayOtherHolder = "other-holder"
	// ReplayForgotten: the token has expired by the journal's time.
	ReplayForgotten = "forgotten"
)

// Replayed says that a valid token was used before in a way that forbids this
// use. Nothing was recorded for the request; the refusal is.
type Replayed struct {
	// Reason is one of the words above.
	Reason string
	// Most is the limit on requests of an exhausted token.
	Most int
}

// Error implements error.
func (e *Replayed) Error() string {
	switch e.Reason {
	case ReplayExhausted:
		return fmt.Sprintf("replay: this token has served %d different requests, which is all that its identity source allows (hint: request a new token; maxUses of the identity source is the limit)", e.Most)
	case ReplayOtherHolder:
		return "replay: this token's id was used first by a run with another identity or project"
	default:
		return "replay: this token has expired by the time that all replicas share (hint: compare the clock of this replica with the others')"
	}
}

// Verdict judges a use by what the journal knows: the time that it has seen,
// how many different requests the token has served, and whether this one and
// other holders' are among them. nil means that the use may be counted, or is
// counted already.
func (u TokenUse) Verdict(seen time.Time, requests int, thisOne, otherHolders bool) error {
	switch {
	case u.Until.Before(seen):
		return &Replayed{Reason: ReplayForgotten}
	case otherHolders:
		return &Replayed{Reason: ReplayOtherHolder}
	case requests >= u.Most && !thisOne:
		return &Replayed{Reason: ReplayExhausted, Most: u.Most}
	}
	return nil
}

// tokenUse is what the journal is told of the token of a request.
func (s *Service) tokenUse(p Principal) TokenUse {
	return NewTokenUse(p, s.cfg.MaxUses[p.Identity], s.cfg.Clock())
}

// NewTokenUse is a use of the token of a principal, which may serve most
// different requests (0: DefaultMaxUses) and was found valid at now.
func NewTokenUse(p Principal, most int, now time.Time) TokenUse {
	if most == 0 {
		most = DefaultMaxUses
	}
	return TokenUse{
		Token:  hashOf("hallmark token v2", p.Identity, p.Issuer, p.TokenID),
		Holder: hashOf("hallmark holder v1", p.Identity, p.SAN, Project(p)),
		Most:   most, Until: p.Expiry.Add(tokenSkew), Now: now,
	}
}

// Project names the project that a run belongs to, for counting: the id of its
// repository, which survives a new name and is not taken over by who gets the
// old one; without one, its SAN up to the revision.
func Project(p Principal) string {
	if id := p.Extensions.SourceRepositoryIdentifier; id != "" {
		return id
	}
	san, _, _ := strings.Cut(p.SAN, "@")
	return san
}

// hashOf hashes parts, length-prefixed, so that no two lists are one.
func hashOf(parts ...string) [32]byte {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return [32]byte(h.Sum(nil))
}
