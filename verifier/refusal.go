// SPDX-License-Identifier: Apache-2.0

package verifier

import "fmt"

// Reason is why a bundle is not a fact, for programs: metrics, translations, tests.
type Reason string

// The reasons, in the order in which they are found, but that ReasonUnverified is also found before ReasonStatement: nobody reads what
// nobody signed.
const (
	// ReasonMalformed: not a Sigstore bundle, or one that two readers could read differently.
	ReasonMalformed Reason = "malformed"
	// ReasonTooLarge: a bound was reached; nothing was cut off and nothing was read further.
	ReasonTooLarge Reason = "too_large"
	// ReasonKeyMode: signed with a long-lived key instead of a certificate, or the other way round.
	ReasonKeyMode Reason = "key_mode"
	// ReasonStatement: the signed payload is not a valid in-toto statement.
	ReasonStatement Reason = "statement"
	// ReasonOtherArtifact: it speaks about another artifact.
	ReasonOtherArtifact Reason = "other_artifact"
	// ReasonUnverified: a signature, certificate, log proof or timestamp in it does not verify under the trusted root.
	ReasonUnverified Reason = "unverified"
	// ReasonCertificate: the certificate verifies but does not name one signer and one issuer.
	ReasonCertificate Reason = "certificate"
	// ReasonLogEntry: the log entry verifies but is not the entry of this signature.
	ReasonLogEntry Reason = "log_entry"
	// ReasonTime: a time that was proven lies outside a window, or a time that is shown was not proven.
	ReasonTime Reason = "time"
	// ReasonRevoked: it verifies, and the service's operator has revoked the artifact, the signer or a key. The detail has reason and time.
	ReasonRevoked Reason = "revoked"
)

// Refusal says why a bundle is not a fact. It is the only error type of Crypto's methods for bundles that were read and judged.
type Refusal struct {
	Reason Reason
	Detail string // a sentence for people, without the bundle's name
	Err    error  // the cause, if there is one; already part of Detail
}

// Error returns the detail.
func (r *Refusal) Error() string { return r.Detail }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// refuse makes a Refusal; a %w in the format becomes its cause.
func refuse(reason Reason, format string, args ...any) *Refusal {
	err := fmt.Errorf(format, args...)
	return &Refusal{Reason: reason, Detail: err.Error(), Err: err}
}
