// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds on a policy, so that every decision is short: all rules together cost less than the signature they allow.
const (
	maxRules      = 256
	maxConditions = 32
	maxEntries    = 64  // of any list in a rule or trust policy
	maxMessage    = 512 // bytes
)

// Names of the checks that every rule makes before its conditions. No condition can have one of them.
const (
	checkIdentity      = "identity"
	checkAction        = "action"
	checkKind          = "kind"
	checkRepository    = "repository"
	checkPredicateType = "predicate-type"
)

// checkSigningDocument checks everything about the file but its expressions.
func checkSigningDocument(file signingDocument) error {
	if err := checkHeader(file.APIVersion, file.Kind, KindSigningPolicy); err != nil {
		return err
	}
	if err := checkCount("rules", len(file.Rules), maxRules); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for i, rule := range file.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		if err := checkUniqueName(path, rule.Name, seen); err != nil {
			return err
		}
		if err := checkRule(path, rule); err != nil {
			return err
		}
	}
	return nil
}

func checkRule(path string, rule signingRule) error {
	if !isName(rule.Identity) {
		return fieldErrorf(path+".identity", "must be the configured name of an identity source, such as github")
	}
	if rule.certifies() {
		return checkCertificateRule(path, rule)
	}
	for _, list := range []struct {
		field   string
		entries []string
		valid   func(string) bool
		hint    string
	}{
		{"actions", rule.Actions, oneOf(ActionSign, ActionAttest, ActionChartProvenance), "sign, attest, chart-provenance or certificate"},
		{"kinds", rule.Kinds, oneOf(KindImage, KindIndex, KindChart, KindArtifact), "image, index, chart or artifact"},
		{"repositories", rule.Repositories, isRepositoryPattern,
			`a lower-case repository such as acme/app, or a prefix such as acme/ with a "/" at its end; no globs`},
	} {
		if err := checkEntries(path+"."+list.field, list.entries, list.valid, list.hint); err != nil {
			return err
		}
	}
	if err := checkPredicateTypes(path, rule); err != nil {
		return err
	}
	if err := checkModes(path, rule); err != nil {
		return err
	}
	if err := checkProvenanceRule(path, rule); err != nil {
		return err
	}
	return checkConditions(path+".conditions", rule.Conditions)
}

// checkPredicateTypes holds a rule to saying what it may attest, and never that it may attest a signature.
func checkPredicateTypes(path string, rule signingRule) error {
	attests, field := slices.Contains(rule.Actions, ActionAttest), path+".predicateTypes"
	switch {
	case !attests && (rule.AnyPredicateType || len(rule.PredicateTypes) > 0):
		return fieldErrorf(field, "only a rule with the action attest has predicate types")
	case !attests:
		return nil
	case rule.AnyPredicateType && len(rule.PredicateTypes) > 0:
		return fieldErrorf(field, "either list types or say anyPredicateType: true, not both")
	case rule.AnyPredicateType:
		return nil
	case len(rule.PredicateTypes) == 0:
		return fieldErrorf(field, "a rule with the action attest lists its predicate types (or says anyPredicateType: true)")
	case slices.Contains(rule.PredicateTypes, PredicateSignature):
		return fieldErrorf(field, "%s is a signature and cannot be attested (hint: use the action sign)", PredicateSignature)
	}
	return checkEntries(field, rule.PredicateTypes, isAbsoluteURI, "an exact URI such as https://slsa.dev/provenance/v1")
}

func checkConditions(path string, conditions []signingCondition) error {
	if len(conditions) == 0 {
		return fieldErrorf(path, "a rule needs a condition: without one, every job of the identity source could use it")
	}
	if err := checkCount(path, len(conditions), maxConditions); err != nil {
		return err
	}
	// These names are taken by the checks that every rule makes.
	seen := map[string]bool{checkIdentity: true, checkAction: true, checkKind: true, checkRepository: true, checkPredicateType: true}
	for i, condition := range conditions {
		path := fmt.Sprintf("%s[%d]", path, i)
		if err := checkUniqueName(path, condition.Name, seen); err != nil {
			return err
		}
		if condition.Expression == "" || len(condition.Expression) > maxExpression {
			return fieldErrorf(path+".expression", "must be a CEL expression of at most %d bytes", maxExpression)
		}
		if !isLine(condition.Message) {
			return fieldErrorf(path+".message", "must say in one line, of at most %d bytes, what to do when the condition fails", maxMessage)
		}
	}
	return nil
}

// readers are the commands that read each kind, for whoever gives one to the other.
var readers = map[string]string{
	KindImageTrustPolicy: "is an ImageTrustPolicy; hallmark verify --policy reads it",
	KindSigningPolicy:    "is a SigningPolicy; hallmark policy test reads it",
}

// checkHeader checks the first two lines of a policy document.
func checkHeader(apiVersion, kind, wantKind string) error {
	if reader := readers[kind]; kind != wantKind && apiVersion == APIVersion && reader != "" {
		return fieldErrorf("kind", "%s", reader)
	}
	if apiVersion != APIVersion {
		return fieldErrorf("apiVersion", "must be %s", APIVersion)
	}
	if kind != wantKind {
		return fieldErrorf("kind", "must be %s", wantKind)
	}
	return nil
}

// checkCount holds a list to between one and limit entries.
func checkCount(path string, count, limit int) error {
	if count == 0 {
		return fieldErrorf(path, "must not be missing or empty")
	}
	if count > limit {
		return fieldErrorf(path, "has %d entries, more than %d", count, limit)
	}
	return nil
}

// checkEntries checks a list of texts: not empty, bounded, each valid and only once.
func checkEntries(path string, entries []string, valid func(string) bool, hint string) error {
	if err := checkCount(path, len(entries), maxEntries); err != nil {
		return err
	}
	for i, entry := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !valid(entry) {
			return fieldErrorf(at, "%s: must be %s", shown(entry), hint)
		}
		if slices.Contains(entries[:i], entry) {
			return fieldErrorf(at, "%s stands here twice", shown(entry))
		}
	}
	return nil
}

// checkUniqueName checks the field name of the object at path.
func checkUniqueName(path, name string, seen map[string]bool) error {
	if !isName(name) {
		return fieldErrorf(path+".name", "must be lower-case letters, digits and dashes, at most %d of them", maxName)
	}
	if seen[name] {
		return fieldErrorf(path+".name", "%q is taken already", name)
	}
	seen[name] = true
	return nil
}

func oneOf(values ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(values, s) }
}

// isRepositoryPattern reports whether s is a repository, or a prefix of repositories that ends at a boundary.
func isRepositoryPattern(s string) bool { return isRepository(strings.TrimSuffix(s, "/")) }

// isLine reports whether s is one line of text for a reader.
func isLine(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= maxMessage && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
