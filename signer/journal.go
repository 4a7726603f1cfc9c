// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Intent is a decided, not yet finished signature. It is written before the
// key is used, so that a crash at any instant leaves evidence of what was
// about to happen, and start-up can finish it or void it.
//
// An intent moves through three states, each one durable write:
//
//	recorded   Signed and Receipt are nil. No signature left the process:
//	           after a crash the ephemeral key is gone and the intent is void.
//	signed     Signed is set. The log may or may not have the entry: appending
//	           it again is harmless, so a crash is repaired by going on.
//	finished   Receipt is set. The bundle is logged and attached.
type Intent struct {
	// ID is a random name, 32 hex digits; the receipt carries it.
	ID string
	// RequestKey identifies the request: SHA-256 (hex) over who, which run,
	// what and about which digest. At most one intent that is not void has it.
	RequestKey    string
	Created       time.Time
	Action        Action
	Artifact      oci.Artifact
	PredicateType string
	Requester     Requester
	// SAN and Issuer are those of the certificate: the workflow's for a
	// signature, the service's attestor identity for an attestation.
	SAN          string
	Issuer       string
	Rule         string
	PolicyDigest string
	// Modes are how it is signed: "certificate", "key:<name>". None, in intents of
	// before there were modes, is a certificate.
	Modes []string
	// Statement is the exact payload that is signed.
	Statement []byte
	Signed    *Signed
	Receipt   *Receipt
}

// Requester is the part of a Principal that is kept.
type Requester struct {
	Identity string
	Provider string
	Issuer   string
	Subject  string
	SAN      string
	Run      string
	TokenID  string
}

// Signed is the signature material of an intent: an ASN.1 ECDSA signature over
// the PAE of the statement, the DER certificate and the TimeStampResp.
type Signed struct {
	Signature   []byte
	Certificate []byte
	Timestamp   []byte
	// Key is the name of a long-lived key, and PublicKey its SubjectPublicKeyInfo
	// (DER); there is no certificate then.
	Key       string `json:",omitempty"`
	PublicKey []byte `json:",omitempty"`
	// Tag is what goes into the legacy tag; nil without.
	Tag *SignedTag `json:",omitempty"`
	// Others are the signatures of the other modes; they have no others.
	Others []Signed `json:",omitempty"`
}

// Receipt is what the job gets. It exists only for a logged and attached
// bundle.
type Receipt struct {
	ID            string        `json:"id"`
	Action        Action        `json:"action"`
	Image         string        `json:"image" doc:"registry/repository@digest"`
	Digest        attest.Digest `json:"digest"`
	Kind          string        `json:"kind" doc:"image, index, chart or artifact"`
	PredicateType string        `json:"predicateType"`
	Identity      string        `json:"identity" doc:"URI in the certificate; empty if only keys signed"`
	Issuer        string        `json:"issuer" doc:"issuer in the certificate; empty if only keys signed"`
	Requester     string        `json:"requester" doc:"URI of the CI workflow that asked"`
	Run           string        `json:"run"`
	Rule          string        `json:"rule" doc:"policy rule that granted the request"`
	PolicyDigest  string        `json:"policyDigest"`
	// Attached is the bundle with the entry of the first log.
	Attached
	// Others are the bundles with the entries of other logs, and those of the
	// signatures with other keys.
	Others []Attached `json:"others,omitempty"`
	// Tags are the layers under the legacy tag.
	Tags     []AttachedTag `json:"tags,omitempty"`
	SignedAt time.Time     `json:"signedAt"`
	// Documents is set in answers only: see attested.go.
	Documents []AttestedDocument `json:"documents,omitempty" doc:"what became of the documents of this request"`
}

// AttachedTag is a layer under a legacy tag, and its place in the log.
type AttachedTag struct {
	Tag      string        `json:"tag" doc:"sha256-<hex>.sig or .att"`
	Manifest attest.Digest `json:"manifest" doc:"digest of the manifest when it was read back"`
	Layer    attest.Digest `json:"layer"`
	LogIndex int64         `json:"logIndex"`
	LogID    string        `json:"logID" doc:"hex"`
}

// Attached is a bundle as the registry has it, and its place in its log.
type Attached struct {
	LogIndex     int64         `json:"logIndex" doc:"global index, for the log's API"`
	LogID        string        `json:"logID" doc:"hex"`
	TreeSize     int64         `json:"treeSize"`
	Manifest     attest.Digest `json:"manifest" doc:"digest of the referrer in the registry"`
	BundleDigest attest.Digest `json:"bundleDigest"`
	Bundle       []byte        `json:"bundle" doc:"Sigstore bundle v0.3, base64; null where one answer has the receipts of several statements"`
	// Key and KeyHint say which long-lived key signed; empty for a certificate.
	Key     string `json:"key,omitempty"`
	KeyHint string `json:"keyHint,omitempty" doc:"base64 of the SHA-256 of the public key"`
}

// bundles are all of the receipt's, the first log's first.
func (r *Receipt) bundles() [][]byte {
	all := [][]byte{r.Bundle}
	for i := range r.Others {
		all = append(all, r.Others[i].Bundle)
	}
	return all
}

// ErrNoIntent says that the journal has no open intent of that name.
var ErrNoIntent = errors.New("no such open intent")

// Journal keeps intents. Every method is one transaction, durable when it
// returns; the audit event is part of the same transaction. Methods may be
// called concurrently. They are not retried by the caller: an error leaves
// either all or nothing, and start-up recovery looks.
//
// Several processes may share a journal. An intent then belongs to the process
// that works on it, for as long as that lives; that only spares others the
// work. A process that lives may be taken for dead, and what is safe rests on
// states alone: of two processes at one intent, one moves it, the other gets
// ErrNoIntent, from Sign before its signature has left the process.
type Journal interface {
	// Begin counts the use of the request's token and stores the intent in state
	// recorded. If an intent with the same RequestKey exists that is not void,
	// nothing is counted or stored and that one is returned with created false.
	// It belongs to this process from then on if its process is dead; else both
	// work on it. A *Replayed means that the token may not be used for this.
	Begin(ctx context.Context, in Intent, use TokenUse, ev AuditEvent) (stored Intent, created bool, err error)
	// Sign moves a recorded intent to signed. ErrNoIntent if it is not in that
	// state.
	Sign(ctx context.Context, id string, s Signed) error
	// Finish moves a signed intent to finished. ErrNoIntent if it is not in
	// that state. The event's time is that of the receipt, see ReceiptOutline.
	Finish(ctx context.Context, id string, r Receipt, ev AuditEvent) error
	// Void ends a recorded intent for good and frees its RequestKey.
	Void(ctx context.Context, id string, ev AuditEvent) error
	// Intent returns the intent of that name in whatever state; a void one looks
	// like a recorded one. ErrNoIntent if there never was one.
	Intent(ctx context.Context, id string) (Intent, error)
	// Requested returns the intent of that RequestKey that is not void.
	// ErrNoIntent if there is none.
	Requested(ctx context.Context, key string) (Intent, error)
	// Unfinished returns a page of the intents in state recorded or signed, oldest
	// first, from behind a place in the list, 0 for its beginning, and the place
	// where the next page begins, 0 if there is none: this process's own, and
	// those of dead ones, which are its own from the first page on. Not those that
	// another process that lives works on. There may be many, as many as a
	// registry that takes nothing has let lie: they come without statement and
	// signatures, which Intent has.
	Unfinished(ctx context.Context, after int64) (page []Intent, next int64, err error)
}
