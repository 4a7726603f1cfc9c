// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
)

// The words of signer.Unauthenticated.Reason that this package uses.
const (
	// ReasonMalformed is a token that is not a compact JWS over strict JSON.
	ReasonMalformed = "malformed"
	// ReasonTooLarge is a token above 16 KiB.
	ReasonTooLarge = "too_large"
	// ReasonUnknownIssuer is an issuer that is not configured, look-alikes
	// included.
	ReasonUnknownIssuer = "unknown_issuer"
	// ReasonWrongAlgorithm is an alg that the source does not list.
	ReasonWrongAlgorithm = "wrong_algorithm"
	// ReasonForbiddenHeader is a header that brings its own key, points to
	// one, or asks for processing that a CI token never needs.
	ReasonForbiddenHeader = "forbidden_header"
	// ReasonUnknownKey is a kid that the issuer does not publish (any more).
	ReasonUnknownKey = "unknown_key"
	// ReasonBadSignature is a signature that the named key did not make.
	ReasonBadSignature = "bad_signature"
	// ReasonWrongAudience is an audience that is not exactly ours.
	ReasonWrongAudience = "wrong_audience"
	// ReasonExpired is a token past its exp.
	ReasonExpired = "expired"
	// ReasonNotYetValid is a token from the future, by iat or nbf.
	ReasonNotYetValid = "not_yet_valid"
	// ReasonTooOld is a token that still lives but was issued too long ago.
	ReasonTooOld = "too_old"
	// ReasonTooLongLived is a token whose exp - iat is above the cap.
	ReasonTooLongLived = "too_long_lived"
	// ReasonHumanToken is a token that carries a person's email as identity.
	ReasonHumanToken = "human_token"
	// ReasonMissingClaim is a required claim that is absent, null or empty.
	ReasonMissingClaim = "missing_claim"
	// ReasonWrongType is a claim of another JSON type than the provider
	// writes.
	ReasonWrongType = "wrong_type"
	// ReasonBadClaim is a claim of the right type with an impossible value.
	ReasonBadClaim = "bad_claim"
	// ReasonNotConfirmed is a token that its cluster, asked, does not stand by
	// any more: its pod or its service account is gone or another one now.
	ReasonNotConfirmed = "not_confirmed"
	// ReasonContradiction is a token whose claims disagree with each other.
	ReasonContradiction = "contradicting_claims"
)

// refuse makes a refusal. The detail is a sentence for a person; it quotes
// claims (bounded by the token's size), never the token.
func refuse(reason, format string, args ...any) *signer.Unauthenticated {
	return &signer.Unauthenticated{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// refusal completes a refusal with what the token claims to be; errors that
// are no refusal pass unchanged.
func (t token) refusal(err error) error {
	var no *signer.Unauthenticated
	if errors.As(err, &no) {
		no.Issuer, no.Subject = t.issuer(), t.subject()
	}
	return err
}
