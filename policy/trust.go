// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// KindImageTrustPolicy is the kind of a trust policy document, and of the cluster-scoped custom resource.
const KindImageTrustPolicy = "ImageTrustPolicy"

// TrustPolicy is a checked and compiled trust policy. It is immutable and safe for concurrent use. A nil or zero policy matches no
// image and denies everything.
type TrustPolicy struct {
	name    string
	spec    TrustPolicySpec // our own copy
	signers map[string]signer
	until   []time.Time // when each of spec.Namespaces ends; zero for never
	gate    *gate       // compiled spec.Require.Evidence
}

// trustDocument is an ImageTrustPolicy as a file or as the API server hands it out.
type trustDocument struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   objectMeta      `json:"metadata"`
	Spec       TrustPolicySpec `json:"spec"`
	Status     any             `json:"status"` // the controller's words about the policy, not part of it
}

// objectMeta is what may stand in an object's metadata. Only the name is read; the rest is accepted so that the output of
// `kubectl get -o yaml` can be used as a file.
type objectMeta struct {
	Name              string `json:"name"`
	Labels            any    `json:"labels"`
	Annotations       any    `json:"annotations"`
	CreationTimestamp any    `json:"creationTimestamp"`
	Generation        any    `json:"generation"`
	ManagedFields     any    `json:"managedFields"`
	ResourceVersion   any    `json:"resourceVersion"`
	UID               any    `json:"uid"`
}

// ParseTrustPolicy reads an ImageTrustPolicy document (YAML or JSON) as strictly as ParseSigningPolicy reads the other kind.
func ParseTrustPolicy(b []byte) (*TrustPolicy, error) {
	var file trustDocument
	doc, err := decodeStrict(b, &file)
	if doc != nil && doc.kind != "" { // of another kind, every field is unknown
		if err := checkHeader(APIVersion, doc.kind, KindImageTrustPolicy); err != nil {
			return nil, fmt.Errorf("trust policy: %w", doc.locate(err))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("trust policy: %w", err)
	}
	if err := checkHeader(file.APIVersion, file.Kind, KindImageTrustPolicy); err != nil {
		return nil, fmt.Errorf("trust policy: %w", doc.locate(err))
	}
	p, err := newTrustPolicy(file.Metadata.Name, "metadata.name", "spec.", file.Spec)
	if err != nil {
		return nil, fmt.Errorf("trust policy: %w", doc.locate(err))
	}
	return p, nil
}

// NewTrustPolicy makes a trust policy from Go values: a command's flags, or the spec of a custom resource. It returns an error for
// whatever ParseTrustPolicy would refuse, above all for a policy that requires no signature or names no signer.
func NewTrustPolicy(name string, spec TrustPolicySpec) (*TrustPolicy, error) {
	p, err := newTrustPolicy(name, "name", "", spec)
	if err != nil {
		return nil, fmt.Errorf("trust policy %s: %w", shown(name), err)
	}
	return p, nil
}

// newTrustPolicy is both of the above; they differ in how they call the fields.
func newTrustPolicy(name, namePath, specPath string, spec TrustPolicySpec) (*TrustPolicy, error) {
	if !isObjectName(name) {
		return nil, fieldErrorf(namePath, "must be an object name: lower-case letters, digits, dashes and dots")
	}
	p := &TrustPolicy{name: name, spec: *spec.DeepCopy(), signers: make(map[string]signer)}
	if err := p.check(specPath); err != nil {
		return nil, err
	}
	return p, nil
}

// Name returns the policy's name.
func (p *TrustPolicy) Name() string {
	if p == nil {
		return ""
	}
	return p.name
}

// Spec returns a copy of what the policy was made of.
func (p *TrustPolicy) Spec() TrustPolicySpec {
	if p == nil {
		return TrustPolicySpec{}
	}
	return *p.spec.DeepCopy()
}

// ModeFor returns what a denial does in a Kubernetes namespace at a time: the policy's mode, or that of the namespace's override while
// it lasts. An override with an end does not hold at the zero time, and every mode that is not Warn is Enforce.
func (p *TrustPolicy) ModeFor(namespace string, now time.Time) Mode {
	if p == nil {
		return ModeEnforce
	}
	mode := p.spec.Mode
	for i, override := range p.spec.Namespaces {
		if override.Namespace != namespace {
			continue
		}
		if until := p.until[i]; until.IsZero() || !now.IsZero() && now.Before(until) {
			mode = override.Mode
		}
	}
	if mode != ModeWarn {
		return ModeEnforce
	}
	return mode
}

// signer is a compiled Signer. Of each pair exactly one is set.
type signer struct {
	Signer
	issuerPattern, subjectPattern *regexp.Regexp // whole matches
}

// matches reports whether a certificate with this subject alternative name and issuer is the signer. Empty values match nobody.
func (s signer) matches(san, issuer string) bool {
	if s.Name == "" || san == "" || issuer == "" {
		return false
	}
	return matchesText(issuer, s.Issuer, s.issuerPattern) && matchesText(san, s.Subject, s.subjectPattern)
}

func matchesText(text, exact string, pattern *regexp.Regexp) bool {
	if pattern != nil {
		return pattern.MatchString(text)
	}
	return exact != "" && text == exact
}

// describe says whom the signer stands for, for reasons.
func (s signer) describe() string {
	return fmt.Sprintf("%q (%s of issuer %s)", s.Name, describeText(s.Subject, s.SubjectRegexp), describeText(s.Issuer, s.IssuerRegexp))
}

func describeText(exact, pattern string) string {
	if pattern != "" {
		return "matching " + shown(pattern)
	}
	return shown(exact)
}

// Image is an image in canonical form: lower-case host with its port if it has one, repository, digest. The caller parses references;
// what is not canonical is denied here.
type Image struct {
	Registry   string // "registry.corp.example" or "localhost:5000"
	Repository string // "prod/app"
	Tag        string // as asked for; decoration, it decides nothing
	Digest     string // "sha256:<64 lower-case hex digits>"
}

func (img Image) canonical() bool {
	return isHost(img.Registry) && isRepository(img.Repository) && isDigest(img.Digest)
}

func (img Image) name() string { return img.Registry + "/" + img.Repository }

// Matches reports whether the policy speaks about the image: whether one of its prefixes holds the image's registry and repository.
// An image that is not in canonical form matches nothing.
func (p *TrustPolicy) Matches(img Image) bool {
	if p == nil || !img.canonical() {
		return false
	}
	for _, prefix := range p.spec.Images {
		if strings.HasSuffix(prefix, "/") && strings.HasPrefix(img.name(), prefix) {
			return true
		}
	}
	return false
}
