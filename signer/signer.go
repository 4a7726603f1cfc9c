// SPDX-License-Identifier: Apache-2.0

// Package signer turns a request of a CI job into a logged signature, or into
// a recorded refusal.
//
// The package holds the nouns (Request, Principal, Intent, Receipt), the flow
// (sign.go and attest.go read top to bottom) and the ports, which are the few
// interfaces the flow consumes. Everything that does I/O lives in a child
// package and is handed in by cmd/hallmark-server: identity turns tokens into
// Principals, ca issues certificates, tsa timestamps, tlog logs, store keeps
// intents and decisions, evidence gathers what gates read, keys opens what signs,
// trustroot publishes the keys.
//
// The three rules that every change to this package keeps:
//
//  1. No grant, no signature. Only policy can make a Grant, and it is good for
//     one signature.
//  2. Nothing leaves before it is in the transparency log.
//  3. Decisions, grants and refusals alike, are recorded before they take
//     effect. A Service cannot be constructed without an Audit. The
//     exceptions are floods, of callers without a valid token, of jobs that no
//     rule speaks of and of projects above their quota: they are refused,
//     counted, and the next recorded refusal carries the count.
package signer

import (
	"context"
	"crypto"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Action is what a job asks for.
type Action string

const (
	// ActionSign asks for a signature over the artifact's digest.
	ActionSign Action = "sign"
	// ActionAttest asks for a signed statement about the artifact.
	ActionAttest Action = "attest"
	// ActionCertificate asks for a certificate on a key of the job's own. What
	// the key signs then, nobody here sees.
	ActionCertificate Action = "certificate"
)

// Request is one call of a CI job. Token is a secret: it is never logged,
// stored or put into an error.
type Request struct {
	Token  string
	Action Action
	// Image is a reference in the central registry, by digest; a tag is
	// resolved once.
	Image string
	// PredicateType and Predicate are set for ActionAttest only: a URI and a
	// JSON object, which is embedded byte for byte.
	PredicateType string
	Predicate     []byte
	// Documents are evidence: for ActionSign they are attested before anything is
	// decided, for the same principal and under the same policy.
	Documents []Document
	// Platform says what of an index the statements about documents and
	// predicate are about: "" or "index" the index itself, "all" each of its
	// images, "linux/amd64" the one for that platform, its digest
	// that one.
	Platform string
	// Claimed goes into the service's own provenance, marked as what it is.
	Claimed Claimed
	// vex says that gates read the statement as VEX.
	vex bool
	// own says that the statement is the service's own, made from the claims.
	own bool
	// Origin tells the audit record where the request came from.
	Origin Origin
	// Admission is what Admit said of this request; nil: it was not asked.
	Admission *Admission
}

// Origin is what is known of a request before anything about it is believed.
type Origin struct {
	RequestID  string
	RemoteAddr string
}

// Principal is an authenticated CI run. Every member comes from the verified
// token or from configuration, nothing from the request.
type Principal struct {
	// Identity is the configured name of the identity source, for example
	// "github"; policy rules refer to it.
	Identity string
	// Provider is the kind of source, for example github.
	Provider string
	Issuer   string
	// Subject is the token's sub claim. It is opaque: providers let their
	// users choose its form.
	Subject string
	// SAN is the URI that certificates for this principal carry.
	SAN        string
	Extensions certificate.Extensions
	// Run identifies the run, not the token: the same run asking for the same
	// thing again gets its first receipt.
	Run string
	// TokenID is "jti:<jti>", or "sha256:<hex>" of a token that has none.
	TokenID string
	Expiry  time.Time
	// Claims are the token's members, exactly; numbers are json.Number.
	Claims map[string]any
}

// Authenticator turns a bearer token into a Principal. It returns an
// *Unauthenticated when the token is not acceptable; any other error means
// that it could not decide.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

// Registry is the central registry. Its errors are those of package oci.
type Registry interface {
	// Locate reads a reference and refuses one that is outside the central
	// registry. It asks nobody.
	Locate(ref string) (oci.Reference, error)
	// Resolve reads the manifest, re-hashes it and returns what it is.
	Resolve(ctx context.Context, ref string) (oci.Artifact, error)
	// Room returns nil if what is to be attached has room there, as far as can be
	// told now. Its errors say what to delete.
	Room(ctx context.Context, subject oci.Artifact, want oci.Attachments) error
	// AttachBundle writes the bundle as a referrer and reads it back. The same
	// input gives the same digest, any number of times.
	AttachBundle(ctx context.Context, subject oci.Artifact, b oci.BundleBlob) (attest.Digest, error)
	// AttachBundles is AttachBundle of several bundles about one artifact, with
	// less to ask.
	AttachBundles(ctx context.Context, subject oci.Artifact, all []oci.BundleBlob) ([]attest.Digest, error)
	// AttachDocument writes a document as an artifact of its own about the
	// subject. The same document gives the same digest, any number of times.
	AttachDocument(ctx context.Context, subject oci.Artifact, d oci.DocumentBlob) (attest.Digest, error)
	// Images returns the images of an index.
	Images(ctx context.Context, index oci.Artifact) ([]oci.PlatformImage, error)
	// Relatives returns which of the digests are images of the subject, or indexes
	// of its repository that hold it.
	Relatives(ctx context.Context, subject oci.Artifact, named []attest.Digest) ([]attest.Digest, error)
}

// Schemas hold predicates against schemas. Check returns nil for a predicate that
// fits, and for one of a type without a schema.
type Schemas interface {
	Check(predicateType string, predicate []byte) error
}

// Certificates issues certificates of the Fulcio profile with an embedded SCT,
// and checks them before they leave.
type Certificates interface {
	Issue(ctx context.Context, req CertificateRequest) (Certificate, error)
}

// CertificateRequest asks for a certificate. SAN is a URI.
type CertificateRequest struct {
	SAN        string
	Extensions certificate.Extensions
	PublicKey  crypto.PublicKey
}

// Certificate is an issued certificate, DER. Chain holds the issuing
// certificate first and the root last.
type Certificate struct {
	Leaf      []byte
	Chain     [][]byte
	NotBefore time.Time
	NotAfter  time.Time
}

// Timestamper answers with a complete RFC 3161 TimeStampResp (DER) over the
// SHA-256 of the signature's bytes.
type Timestamper interface {
	Timestamp(ctx context.Context, signature []byte) ([]byte, error)
}

// Log is a transparency log. Append returns when the entry is durable and
// covered by a signed checkpoint, with its inclusion proof. The same entry
// again returns the existing one.
type Log interface {
	Append(ctx context.Context, e Entry) (attest.LogEntry, error)
}

// Entry is what a log is told of a signature: the DSSE payload, the ASN.1 ECDSA
// signature over its PAE, and the DER certificate of the key. What of it
// becomes the entry is for the log's format to say: hashes, never the payload.
type Entry struct {
	PayloadType string
	Payload     []byte
	Signature   []byte
	Certificate []byte
	// PublicKey is the SubjectPublicKeyInfo (DER) of a long-lived key, which has
	// no certificate.
	PublicKey []byte
	// Artifact is what the payload is about, for the index: people ask for
	// entries by digest and by repository.
	Artifact oci.Artifact
}

// Verifier checks a finished bundle as any stranger would, with the published
// trusted root. The flow calls it before a bundle is attached, so that a wrong
// template or a lost key never leaves the process.
type Verifier interface {
	// Check returns nil when the bundle proves that san of issuer, or the key,
	// made a statement of predicateType about digest.
	Check(ctx context.Context, bundle []byte, want Claim) error
}

// Claim is what a bundle made by this service must prove. A bundle without a
// statement, which is a signature over the very bytes that have the digest, has
// an empty predicate type.
type Claim struct {
	Digest        attest.Digest
	PredicateType string
	// SAN and Issuer are those of the certificate, or else PublicKey is the
	// SubjectPublicKeyInfo (DER) of the long-lived key that must have signed.
	SAN       string
	Issuer    string
	PublicKey []byte
}
