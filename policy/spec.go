// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// TrustPolicySpec says which images a trust policy speaks about and what must be proven about them before they run. It is the spec
// of the ImageTrustPolicy custom resource as it stands: plain strings, slices and structs, so that a generated deep copy is enough.
type TrustPolicySpec struct {
	// Images are prefixes of canonical references, registry host first, each ending in "/": "registry.corp.example/prod/".
	// Lower case, no globs. The policy speaks about every image under one of them.
	Images []string `json:"images"`
	// Signers are the identities that requirements refer to by name.
	Signers []Signer `json:"signers"`
	// Require is what must be proven. Every requirement must hold.
	Require Requirements `json:"require"`
	// Mode says what a denial does. Empty means Enforce.
	Mode Mode `json:"mode,omitempty"`
	// Namespaces override the mode for single Kubernetes namespaces.
	Namespaces []NamespaceMode `json:"namespaces,omitempty"`
}

// Signer is a certificate identity: who signed (subject) according to whom (issuer). Both are compulsory; a certificate without them
// matches no signer.
type Signer struct {
	// Name is what requirements say.
	Name string `json:"name"`
	// Issuer is the exact OIDC issuer in the certificate. Exactly one of Issuer and IssuerRegexp is set.
	Issuer string `json:"issuer,omitempty"`
	// IssuerRegexp must match the whole issuer (RE2, anchored on both ends by us).
	IssuerRegexp string `json:"issuerRegexp,omitempty"`
	// Subject is the exact subject alternative name. Exactly one of Subject and SubjectRegexp is set.
	Subject string `json:"subject,omitempty"`
	// SubjectRegexp must match the whole subject alternative name (RE2, anchored on both ends by us).
	SubjectRegexp string `json:"subjectRegexp,omitempty"`
	// AllowOnRequest accepts what the signer signed by itself, with a certificate that it got from the Fulcio API of a Hallmark
	// service. Such a signature says who made it and is logged, but no gate was evaluated for it: not the scan, not the SBOM, not the
	// registry. Without it only what the service signed counts, and what authorities of others have certified.
	AllowOnRequest bool `json:"allowOnRequest,omitempty"`
}

// Requirements are what must be proven about an image.
type Requirements struct {
	// Signature is compulsory: attestations alone never admit an image.
	Signature SignatureRequirement `json:"signature"`
	// Attestations must be there as well, each of them.
	Attestations []AttestationRequirement `json:"attestations,omitempty"`
	// Evidence is what the content of attestations must show, with the same meaning as in a signing policy.
	Evidence *EvidenceRequirement `json:"evidence,omitempty"`
}

// SignatureRequirement asks for a signature by one of the named signers.
type SignatureRequirement struct {
	Signers []string `json:"signers"`
}

// AttestationRequirement asks for a statement of one of the exact predicate types by one of the named signers. The newest such
// statement decides.
type AttestationRequirement struct {
	Name           string   `json:"name"`
	PredicateTypes []string `json:"predicateTypes"`
	Signers        []string `json:"signers"`
}

// Mode says what a denial does to a request.
type Mode string

// The modes. The zero value enforces: forgetting the field must not open a cluster.
const (
	ModeEnforce Mode = "Enforce"
	ModeWarn    Mode = "Warn"
)

// NamespaceMode overrides the mode in one namespace, named exactly: labels of a namespace are its tenants' words.
type NamespaceMode struct {
	Namespace string `json:"namespace"`
	Mode      Mode   `json:"mode"`
	// Until is when the override ends, RFC 3339. Compulsory for Warn: a relaxation without an end is an opening.
	Until string `json:"until,omitempty"`
}

// DeepCopy returns a copy that shares nothing with the spec, as Kubernetes' generated types have it.
func (s *TrustPolicySpec) DeepCopy() *TrustPolicySpec {
	if s == nil {
		return nil
	}
	out := new(TrustPolicySpec)
	s.DeepCopyInto(out)
	return out
}

// DeepCopyInto makes out a copy that shares nothing with the spec.
func (s *TrustPolicySpec) DeepCopyInto(out *TrustPolicySpec) {
	*out = *s
	out.Images = slices.Clone(s.Images)
	out.Signers = slices.Clone(s.Signers)
	out.Namespaces = slices.Clone(s.Namespaces)
	out.Require.Signature.Signers = slices.Clone(s.Require.Signature.Signers)
	out.Require.Attestations = slices.Clone(s.Require.Attestations)
	for i := range out.Require.Attestations {
		requirement := &out.Require.Attestations[i]
		requirement.PredicateTypes = slices.Clone(requirement.PredicateTypes)
		requirement.Signers = slices.Clone(requirement.Signers)
	}
	out.Require.Evidence = s.Require.Evidence.DeepCopy()
}
