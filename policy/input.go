// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

// The two actions of a signing policy. A signature says "this digest may run"; an attestation says something about a digest.
const (
	ActionSign   = "sign"
	ActionAttest = "attest"
)

// The kinds of artifact a rule can name, as the registry client reports them.
const (
	KindImage    = "image"    // one platform's image manifest
	KindIndex    = "index"    // an image index (multi-platform)
	KindChart    = "chart"    // a Helm chart
	KindArtifact = "artifact" // anything else that is stored as an OCI manifest
)

// PredicateSignature is the predicate type of an image signature in a DSSE bundle, as cosign 3 writes it. Nothing else counts as a
// signature, and nothing with this type can be asked for as an attestation: otherwise a job that may only attest could approve.
const PredicateSignature = "https://sigstore.dev/cosign/sign/v1"

// Input is everything a signing decision may depend on. All of it was verified before: the claims come from a token whose signature,
// issuer, audience and age were checked, and the digest from bytes that were hashed again.
type Input struct {
	Action string // ActionSign, ActionAttest or ActionCertificate; the last without anything of an artifact below

	Identity string         // configured name of the identity source, e.g. "github"
	Provider string         // kind of identity source: "github", "gitlab", "kubernetes"
	Issuer   string         // the token's iss, exact
	Subject  string         // the token's sub; opaque, never to be taken apart
	SAN      string         // the URI that the certificate will name
	Claims   map[string]any // the token's members with their exact JSON types; numbers are json.Number

	Repository    string // inside the central registry, e.g. "acme/app"
	Tag           string // as asked for, decoration only: no expression sees it
	Digest        string // "sha256:<64 lower-case hex digits>"
	MediaType     string // of the manifest
	Kind          string // one of the Kind constants
	PredicateType string // of the statement to be made; only for ActionAttest
	// VEX says that gates read the statement as VEX, whatever its type: the rule has to let jobs attest VEX, too.
	VEX bool
	// Own says that the statement is one that the service makes itself from the claims: provenance. A rule that requires provenance
	// allows it, whatever types it lets jobs attest.
	Own bool

	// Evidence are the verified statements of this service's attestor about the artifact, and about its platforms if it is an index
	// and the policy asks for them. Only ActionSign looks at them.
	Evidence  []Document
	Platforms []string // digests of an index's images
	// PlatformNames are, by these digests, what the index says that they are for: os/architecture[/variant], each as often as it is listed.
	PlatformNames map[string][]string

	Now time.Time // when the request came; recorded in the grant's terms, not visible to expressions
}
