// SPDX-License-Identifier: Apache-2.0

package signer

// What operators do to a deployment is recorded beside the decisions of the
// service: who rotated a key, who revoked what and why. They work on the
// deployment's folder, also while no service runs, so that the record comes to
// the database later: what was done names itself, and is recorded once.

// Decision kinds of an AuditEvent about an operation.
const (
	// DecisionRotation: a rotation of a key has come to the phase in Stage.
	DecisionRotation = "rotation"
	// DecisionRevocation: something was revoked, or a revocation withdrawn.
	DecisionRevocation = "revocation"
)

// Actions of an AuditEvent about an operation.
const (
	ActionRotate   Action = "rotate"
	ActionRevoke   Action = "revoke"
	ActionWithdraw Action = "withdraw"
)

// Operation is what an operator did.
type Operation struct {
	// ID names it: of two events with one ID the first is recorded.
	ID string `json:"id"`
	// Operator is who did it, as the operating system says: Hallmark has no
	// accounts of its own, and whoever may write to the deployment's folder may do
	// all of this. So it is a note, not a proof.
	Operator Operator `json:"operator"`
	// Kind is the kind of key that is rotated, or of what is revoked: digest,
	// identity, key.
	Kind string `json:"kind"`
	// Value is what is revoked; Key and Replaces are the names of the keys.
	Value    string `json:"value,omitempty"`
	Key      string `json:"key,omitempty"`
	Replaces string `json:"replaces,omitempty"`
	// Reason is that of a revocation, and Since from when on it holds, RFC 3339.
	Reason string `json:"reason,omitempty"`
	Since  string `json:"since,omitempty"`
}

// Operator is a process of hallmark-server and whose it is.
type Operator struct {
	User string `json:"user"` // name, or number without one
	Host string `json:"host"`
	// Behind is whom sudo says that User stands for.
	Behind string `json:"behind,omitempty"`
}
