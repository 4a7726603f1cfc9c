// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Names of the checks that every verdict makes. No attestation requirement can have one of them.
const (
	checkImage     = "image"
	checkFacts     = "evidence"
	checkSignature = "signature"
)

// check checks the policy's spec and compiles its signers. Paths in errors begin with path.
func (p *TrustPolicy) check(path string) error {
	if err := checkEntries(path+"images", p.spec.Images, isImagePrefix,
		`a lower-case prefix such as registry.corp.example/prod/ with a "/" at its end; no globs`); err != nil {
		return err
	}
	if err := p.checkSigners(path + "signers"); err != nil {
		return err
	}
	if err := p.checkReferences(path+"require.signature.signers", p.spec.Require.Signature.Signers); err != nil {
		return err
	}
	if err := p.checkAttestations(path + "require.attestations"); err != nil {
		return err
	}
	if err := p.compileGate(path + "require.evidence"); err != nil {
		return err
	}
	if !isMode(p.spec.Mode) && p.spec.Mode != "" {
		return fieldErrorf(path+"mode", "must be %s or %s", ModeEnforce, ModeWarn)
	}
	return p.checkNamespaces(path + "namespaces")
}

func (p *TrustPolicy) checkSigners(path string) error {
	if err := checkCount(path, len(p.spec.Signers), maxEntries); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for i, spec := range p.spec.Signers {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := checkUniqueName(at, spec.Name, seen); err != nil {
			return err
		}
		compiled := signer{Signer: spec}
		var err error
		if compiled.issuerPattern, err = checkIdentityPair(at, "issuer", spec.Issuer, spec.IssuerRegexp); err != nil {
			return err
		}
		if compiled.subjectPattern, err = checkIdentityPair(at, "subject", spec.Subject, spec.SubjectRegexp); err != nil {
			return err
		}
		if isEverybody(compiled.issuerPattern) && isEverybody(compiled.subjectPattern) {
			return fieldErrorf(at, "stands for everybody; name at least the issuer")
		}
		p.signers[spec.Name] = compiled
	}
	return nil
}

// checkIdentityPair checks an exact value and a pattern of which exactly one must be given, and compiles the pattern.
func checkIdentityPair(path, field, exact, pattern string) (*regexp.Regexp, error) {
	switch {
	case (exact == "") == (pattern == ""):
		return nil, fieldErrorf(path, "needs exactly one of %s and %sRegexp", field, field)
	case pattern == "" && !isPrintable(exact):
		return nil, fieldErrorf(path+"."+field, "must be printable text without spaces")
	case pattern == "":
		return nil, nil
	}
	compiled, err := WholeMatch(pattern)
	if err != nil {
		return nil, fieldErrorf(path+"."+field+"Regexp", "%v", err)
	}
	return compiled, nil
}

// isEverybody reports whether a pattern matches somebody whom nobody can have meant.
func isEverybody(pattern *regexp.Regexp) bool {
	return pattern != nil && pattern.MatchString("https://nobody.invalid/nothing")
}

// checkReferences checks the signers that a requirement names.
func (p *TrustPolicy) checkReferences(path string, names []string) error {
	return checkEntries(path, names, func(name string) bool { _, ok := p.signers[name]; return ok }, "the name of one of the policy's signers")
}

func (p *TrustPolicy) checkAttestations(path string) error {
	if len(p.spec.Require.Attestations) > maxEntries {
		return fieldErrorf(path, "has %d entries, more than %d", len(p.spec.Require.Attestations), maxEntries)
	}
	seen := map[string]bool{checkImage: true, checkFacts: true, checkSignature: true}
	for i, requirement := range p.spec.Require.Attestations {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := checkUniqueName(at, requirement.Name, seen); err != nil {
			return err
		}
		if err := checkEntries(at+".predicateTypes", requirement.PredicateTypes, isAbsoluteURI,
			"an exact URI such as https://slsa.dev/provenance/v1"); err != nil {
			return err
		}
		if slices.Contains(requirement.PredicateTypes, PredicateSignature) {
			return fieldErrorf(at+".predicateTypes", "%s is a signature; require.signature asks for it", PredicateSignature)
		}
		if err := p.checkReferences(at+".signers", requirement.Signers); err != nil {
			return err
		}
	}
	return nil
}

func (p *TrustPolicy) checkNamespaces(path string) error {
	if len(p.spec.Namespaces) > maxEntries {
		return fieldErrorf(path, "has %d entries, more than %d", len(p.spec.Namespaces), maxEntries)
	}
	seen := make(map[string]bool)
	for i, override := range p.spec.Namespaces {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !isName(override.Namespace) || seen[override.Namespace] {
			return fieldErrorf(at+".namespace", "must be the exact name of a namespace, each once; no globs")
		}
		seen[override.Namespace] = true
		if !isMode(override.Mode) {
			return fieldErrorf(at+".mode", "must be %s or %s", ModeEnforce, ModeWarn)
		}
		until, err := checkUntil(at+".until", override)
		if err != nil {
			return err
		}
		p.until = append(p.until, until)
	}
	return nil
}

func checkUntil(path string, override NamespaceMode) (time.Time, error) {
	if override.Until == "" {
		if override.Mode == ModeWarn {
			return time.Time{}, fieldErrorf(path, "a namespace that only warns needs an end, such as 2027-01-31T00:00:00Z")
		}
		return time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339, override.Until)
	if err != nil || until.IsZero() {
		return time.Time{}, fieldErrorf(path, "must be a time such as 2027-01-31T00:00:00Z")
	}
	return until, nil
}

func isMode(m Mode) bool { return m == ModeEnforce || m == ModeWarn }

// isImagePrefix reports whether s is a registry host, and perhaps the beginning of a repository path, up to a boundary.
func isImagePrefix(s string) bool {
	trimmed, ok := strings.CutSuffix(s, "/")
	host, path, more := strings.Cut(trimmed, "/")
	return ok && isHost(host) && (!more || isRepository(path))
}

// isObjectName reports whether s is a DNS subdomain, as names of Kubernetes objects are.
func isObjectName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isName(label) {
			return false
		}
	}
	return len(s) <= maxObjectName
}

// maxObjectName is the limit of Kubernetes object names (RFC 1123 subdomain).
const maxObjectName = 253

// isPrintable reports whether s is ASCII without spaces and control characters, as URIs and names in certificates are.
func isPrintable(s string) bool {
	return len(s) <= maxClaimText && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
