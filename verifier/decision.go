// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/json"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// Decision is the answer about one artifact, with everything it rests on. The zero Decision denies. Only this package makes one that
// allows, and a Decision read back from JSON never does.
type Decision struct {
	// Artifact is what was asked about: registry/repository@digest, or a file's name.
	Artifact string
	// Digest is what was verified, "sha256:<hex>". Run exactly this.
	Digest string
	// Policy is the name of the policy that decided.
	Policy string
	// At is the time of the decision by this machine's clock.
	At time.Time
	// Checks are all checks that were made, passed or failed: one per bundle, then the policy's.
	Checks []policy.Check
	// Evidence are all bundles that were found, each once, in a stable order.
	Evidence []EvidenceRef

	allowed bool
	reasons []string
}

// EvidenceRef says what became of one bundle.
type EvidenceRef struct {
	Origin string `json:"origin"`
	Bundle string `json:"bundle"` // sha256:<hex> of its bytes
	// About is the digest of the index's image that it was found for; empty for the artifact itself.
	About string `json:"about,omitempty"`
	// Verified bundles are facts, and the fields below come from them. For others Reason and Detail say why not.
	Verified      bool      `json:"verified"`
	Reason        Reason    `json:"reason,omitempty"`
	Detail        string    `json:"detail,omitempty"`
	PredicateType string    `json:"predicateType,omitempty"`
	Signer        string    `json:"signer,omitempty"`    // name in the certificate, or the key's Hint
	Issuer        string    `json:"issuer,omitempty"`    // empty in key mode
	OnRequest     bool      `json:"onRequest,omitempty"` // by a certificate issued on request: no gate judged it
	SignedAt      time.Time `json:"signedAt,omitzero"`   // zero if nothing proves a time: in key mode only
	LogIndex      int64     `json:"logIndex"`
	LogID         string    `json:"logID,omitempty"`
}

// Allowed reports whether everything the policy demands was proven.
func (d Decision) Allowed() bool { return d.allowed }

// Reasons says why the decision denies, in sentences a developer can act on. It is empty if the decision allows and never empty if
// it denies.
func (d Decision) Reasons() []string {
	switch {
	case d.allowed:
		return nil
	case len(d.reasons) == 0:
		return []string{"nothing was decided"}
	}
	return d.reasons
}

// MarshalJSON writes the decision for machines. There is no way back: a decision is made, not read.
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Allowed  bool           `json:"allowed"`
		Artifact string         `json:"artifact"`
		Digest   string         `json:"digest"`
		Policy   string         `json:"policy,omitempty"`
		At       time.Time      `json:"at"`
		Reasons  []string       `json:"reasons,omitempty"`
		Checks   []policy.Check `json:"checks"`
		Evidence []EvidenceRef  `json:"evidence"`
	}{d.Allowed(), d.Artifact, d.Digest, d.Policy, d.At, d.Reasons(), d.Checks, d.Evidence})
}

// UnmarshalJSON refuses, so that an answer that was sent around is not taken for one that was made.
func (d *Decision) UnmarshalJSON([]byte) error {
	return errDecisionIsMade
}
