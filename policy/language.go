// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"github.com/google/cel-go/cel"
)

// The variables that an expression can read. docs/POLICY.md explains each to policy authors.
const (
	varClaims        = "claims"
	varIdentity      = "identity"
	varProvider      = "provider"
	varIssuer        = "issuer"
	varSubject       = "subject"
	varSAN           = "san"
	varAction        = "action"
	varRepository    = "artifact.repository"
	varDigest        = "artifact.digest"
	varKind          = "artifact.kind"
	varMediaType     = "artifact.mediaType"
	varPredicateType = "predicateType"
)

// Limits on one expression. Cost is counted in CEL's units; one is about ten nanoseconds.
const (
	maxExpression = 4096 // bytes of source
	maxNesting    = 2    // comprehensions inside each other: a claim may be a list of objects with lists, no more is known

	// estimateLimit bounds the estimated worst case, with every claim as large as claims can be. One loop over a claim passes;
	// a loop in a loop over claims does not, and is refused when the policy is read.
	estimateLimit = 1 << 26
	// runLimit bounds what one evaluation really costs, about a millisecond. Ordinary conditions cost less than a hundred.
	runLimit = 100_000
)

// textVariables returns the variables that are texts, with their values: the one list of them, so that what is declared is what is
// given, and what is shown in a reason is what was read.
func textVariables(in Input) map[string]string {
	return map[string]string{
		varIdentity:      in.Identity,
		varProvider:      in.Provider,
		varIssuer:        in.Issuer,
		varSubject:       in.Subject,
		varSAN:           in.SAN,
		varAction:        in.Action,
		varRepository:    in.Repository,
		varDigest:        in.Digest,
		varKind:          in.Kind,
		varMediaType:     in.MediaType,
		varPredicateType: in.PredicateType,
	}
}

// newLanguage returns the CEL environment of signing conditions: the standard library, optional selection (claims.?name), and our
// variables. The members of artifact are variables with a dot in their name, so that a misspelt one does not compile. There is no
// function that reads anything but its arguments, and none must be added.
func newLanguage() (*cel.Env, error) { return cel.NewEnv(signingOptions()...) }

// signingOptions are what newLanguage is made of.
func signingOptions() []cel.EnvOption {
	options := append(baseOptions(), cel.Variable(varClaims, cel.MapType(cel.StringType, cel.DynType)))
	for name := range textVariables(Input{}) {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	return options
}

// baseOptions are what every expression has, whatever it is about.
func baseOptions() []cel.EnvOption {
	return []cel.EnvOption{
		cel.OptionalTypes(cel.OptionalTypesVersion(0)),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
	}
}
