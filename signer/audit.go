// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// Decision kinds of an AuditEvent.
const (
	// DecisionRefused: nothing was signed; Stage and Reasons say why.
	DecisionRefused = "refused"
	// DecisionGranted: policy granted it and the intent is recorded.
	DecisionGranted = "granted"
	// DecisionSigned: logged, attached, receipt given.
	DecisionSigned = "signed"
	// DecisionIssued: a certificate on the job's own key was issued and recorded.
	DecisionIssued = "issued"
	// DecisionVoided: a granted intent ended without a signature.
	DecisionVoided = "voided"
	// DecisionDryRun: somebody asked what would be decided. Nothing was signed
	// or attested; Reasons are empty if it would have been.
	DecisionDryRun = "dry-run"
	// DecisionFailed: could not decide or could not finish (network, disk).
	DecisionFailed = "failed"
)

// AuditEvent is one decision, as an auditor reads it years later. It never
// holds a token or key.
type AuditEvent struct {
	Time     time.Time `json:"time"`
	Decision string    `json:"decision"`
	// Stage names the step of the flow that decided: request, authenticate,
	// quota, resolve, evidence, policy, replay, intent, sign, log, attach.
	Stage         string    `json:"stage,omitempty"`
	Action        Action    `json:"action"`
	Image         string    `json:"image" doc:"as asked, at most 512 bytes of JSON"`
	Digest        string    `json:"digest,omitempty"`
	PredicateType string    `json:"predicateType,omitempty"`
	Requester     Requester `json:"requester"`
	Rule          string    `json:"rule,omitempty"`
	PolicyDigest  string    `json:"policyDigest,omitempty"`
	// Modes are how it is signed: certificate, key:NAME.
	Modes   []string `json:"modes,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
	// Checks are what was found of the evidence that policy requires; of a dry
	// run those of the rule that would grant, or all if none would.
	Checks []policy.Check `json:"checks,omitempty"`
	// Evidence are the digests of the bundles that a grant relies on.
	Evidence []string `json:"evidence,omitempty"`
	IntentID string   `json:"intentId,omitempty"`
	LogIndex int64    `json:"logIndex,omitempty"`
	// PublicKey and Serial are those of a certificate on the job's own key:
	// SHA-256 of the SubjectPublicKeyInfo, by which the log is searched, and the
	// serial number; both hex.
	PublicKey  string `json:"publicKey,omitempty"`
	Serial     string `json:"serial,omitempty"`
	RequestID  string `json:"requestId,omitempty"`
	RemoteAddr string `json:"remoteAddr,omitempty"`
	// Unrecorded is how many callers without a valid token were refused since
	// the refusal recorded before, and not recorded one by one; at stage quota,
	// how many requests of this project above a quota; at stage policy, of a
	// project of which no rule speaks, how many of its.
	Unrecorded int `json:"unrecorded,omitempty"`
	// Operation is what an operator did; nil of decisions of the service.
	Operation *Operation `json:"operation,omitempty"`
}

// Audit records decisions, append only. Record returns when the event is
// durable; an error means the decision must not take effect.
type Audit interface {
	Record(ctx context.Context, ev AuditEvent) error
}
