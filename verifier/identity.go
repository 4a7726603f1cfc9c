// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/hallmark-dev/hallmark/policy"
)

// Identity is the signer that VerifyBundle demands: who, according to whom. Make it with NewIdentity; the zero Identity matches nobody.
type Identity struct {
	subject matcher
	issuer  matcher
}

// NewIdentity takes exactly one of subject and subject pattern, and one of issuer and issuer pattern, from a policy.Signer; its name is
// not used. Patterns are RE2 and must match the whole value.
func NewIdentity(s policy.Signer) (Identity, error) {
	subject, err := newMatcher("certificate identity", s.Subject, s.SubjectRegexp)
	if err != nil {
		return Identity{}, err
	}
	issuer, err := newMatcher("certificate issuer", s.Issuer, s.IssuerRegexp)
	if err != nil {
		return Identity{}, err
	}
	return Identity{subject: subject, issuer: issuer}, nil
}

// matcher compares one value; the zero matcher matches nothing.
type matcher struct {
	exact   string
	pattern *regexp.Regexp
}

func newMatcher(what, exact, pattern string) (matcher, error) {
	switch {
	case exact == "" && pattern == "":
		return matcher{}, fmt.Errorf("no %s given: a signature proves nothing without saying whose it must be", what)
	case exact != "" && pattern != "":
		return matcher{}, fmt.Errorf("%s given both as value and as pattern", what)
	case exact != "":
		return matcher{exact: exact}, nil
	}
	re, err := policy.WholeMatch(pattern)
	if err != nil {
		return matcher{}, fmt.Errorf("%s pattern: %w", what, err)
	}
	return matcher{pattern: re}, nil
}

func (m matcher) matches(value string) bool {
	switch {
	case value == "":
		return false
	case m.pattern != nil:
		return m.pattern.MatchString(value)
	}
	return m.exact == value
}

func (m matcher) String() string {
	if m.pattern != nil {
		return "a match of " + m.pattern.String()
	}
	return m.exact
}

// VerifyBundle decides whether the identity signed the bundle and whether it speaks about the blob: any Sigstore bundle with a certificate,
// with a statement of any type or a signature over the bytes. What was signed stands in the decision's evidence; whether a statement
// of that type is enough for some purpose is for the caller to say.
//
// Use a Verifier to decide whether an image may run: there a signed scan report must not count as a signature.
func (c *Crypto) VerifyBundle(ctx context.Context, blob Blob, ev Evidence, want Identity) (Decision, error) {
	if len(blob.digests) == 0 {
		return Decision{}, errors.New("verify bundle: no artifact given (hint: ReadBlob or ParseBlob)")
	}
	d := Decision{Artifact: blob.Name(), Digest: blob.Digest(), Policy: "identity", At: c.clock()}
	facts, err := c.judge(ctx, &d, []Evidence{ev}, func(ctx context.Context, bundle []byte) (policy.Fact, error) { return c.fact(ctx, blob, bundle, nil) })
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: %w", blob.Name(), err)
	}
	if len(facts) != 1 {
		d.explain(nil)
		return d, nil
	}
	subject := d.compare("identity", want.subject, facts[0].SAN)
	issuer := d.compare("issuer", want.issuer, facts[0].Issuer)
	d.allowed = subject && issuer
	return d, nil
}

// compare makes the check of one value and, if it fails, the reason.
func (d *Decision) compare(name string, want matcher, got string) bool {
	ok := want.matches(got)
	check := policy.Check{Rule: d.Policy, Name: name, Passed: ok, Detail: got}
	if !ok {
		check.Detail = fmt.Sprintf("%s is %s, expected %s", name, got, want)
		d.reasons = append(d.reasons, check.Detail)
	}
	d.Checks = append(d.Checks, check)
	return ok
}
