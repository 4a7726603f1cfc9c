// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
)

// ActionCertificate asks for a certificate on a key of the job's own. Such a request names no artifact: what the key signs is decided
// afterwards and by the job alone. So a rule for it says who, in conditions over claims, and cannot say what: it has neither kinds nor
// repositories nor predicate types, and no other action.
const ActionCertificate = "certificate"

// certifies reports whether the rule is for certificates.
func (r *signingRule) certifies() bool { return slices.Contains(r.Actions, ActionCertificate) }

// checkCertificateRule holds a rule for certificates to what can be decided about them.
func checkCertificateRule(path string, rule signingRule) error {
	switch {
	case len(rule.Actions) > 1:
		return fieldErrorf(path+".actions", "%s stands alone: it decides about who asks and not about an artifact (hint: a rule of its own)", ActionCertificate)
	case len(rule.Kinds) > 0:
		return fieldErrorf(path+".kinds", "a request for a certificate names no artifact (hint: leave kinds out)")
	case len(rule.Repositories) > 0:
		return fieldErrorf(path+".repositories", "a request for a certificate names no artifact (hint: leave repositories out)")
	case rule.AnyPredicateType || len(rule.PredicateTypes) > 0:
		return fieldErrorf(path+".predicateTypes", "only a rule with the action attest has predicate types")
	case rule.Require != nil:
		return fieldErrorf(path+".require", "a request for a certificate names no artifact, and so there is no evidence (hint: leave require out)")
	case len(rule.Keys) > 0 || len(rule.Modes) > 0:
		return fieldErrorf(path+".keys", "a certificate is on the caller's own key (hint: leave keys and modes out)")
	}
	return checkConditions(path+".conditions", rule.Conditions)
}

// compile compiles a condition of the rule. One for certificates is compiled in a language without artifact: its members would be empty,
// and a condition that says what they must not be would hold. The language lists what there is, so that what others learn to read later
// is not readable here.
func (r *signingRule) compile(language *cel.Env, source string) (*expression, error) {
	if !r.certifies() {
		return compile(language, source)
	}
	language, err := newCertificateLanguage()
	if err != nil {
		return nil, fmt.Errorf("prepare expression language: %w", err)
	}
	compiled, err := compile(language, source)
	if err != nil {
		return nil, fmt.Errorf("%w (a rule for certificates knows no artifact; it reads claims, %s)", err, strings.Join(certificateVariables, ", "))
	}
	return compiled, nil
}

// certificateVariables are the texts that conditions of a rule for certificates may read, besides claims.
var certificateVariables = []string{varIdentity, varProvider, varIssuer, varSubject, varSAN, varAction}

// newCertificateLanguage is newLanguage for rules for certificates.
func newCertificateLanguage() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(cel.OptionalTypesVersion(0)),
		cel.Variable(varClaims, cel.MapType(cel.StringType, cel.DynType)),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
	}
	for _, name := range certificateVariables {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	return cel.NewEnv(options...)
}

// checkNoArtifact wants an input for a certificate to be about nothing: whoever hands an artifact in believes that it is looked at.
func checkNoArtifact(in Input) error {
	if in.Repository+in.Tag+in.Digest+in.MediaType+in.Kind+in.PredicateType != "" {
		return errors.New("a request for a certificate names no artifact")
	}
	return nil
}

// certificateScope is scope for a request for a certificate.
func (r *signingRule) certificateScope(in Input) []Check {
	return []Check{
		r.scopeCheck(checkIdentity, in.Identity, []string{r.Identity}, in.Identity == r.Identity),
		r.scopeCheck(checkAction, in.Action, r.Actions, slices.Contains(r.Actions, in.Action)),
	}
}

// sameSort leaves the rules for certificates out of the reasons of other requests, and the other rules out of theirs, if anything is
// left: nobody wants to read why a rule for something else did not hold.
func sameSort(failures []outcome, in Input) []outcome {
	same := slices.DeleteFunc(slices.Clone(failures), func(o outcome) bool { return o.rule.certifies() != (in.Action == ActionCertificate) })
	if len(same) == 0 {
		return failures
	}
	return same
}

// CertificateIdentities are the identity sources that may have certificates, sorted.
func (p *SigningPolicy) CertificateIdentities() []string {
	if p == nil {
		return nil
	}
	var names []string
	for i := range p.rules {
		if p.rules[i].certifies() {
			names = append(names, p.rules[i].Identity)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
