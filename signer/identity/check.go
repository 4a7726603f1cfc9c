// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// maxSkew is how far an issuer's clock and ours may disagree.
const maxSkew = 60 * time.Second

// candidates are the sources whose rules the token keeps, as far as they need no
// key; none is a refusal. It sets t.expiry.
func (t *token) candidates(sources []*source, audience string, now time.Time) ([]*source, error) {
	var kept []*source
	var refused error
	for _, src := range sources {
		if err := t.check(src.Source, audience, now); err == nil {
			kept = append(kept, src)
		} else if refused == nil {
			refused = err
		}
	}
	if len(kept) == 0 {
		return nil, refused
	}
	return kept, nil
}

// check applies the rules for tokens of every provider that need no key:
// algorithm, audience, times, no person's token. It sets t.expiry.
func (t *token) check(s Source, audience string, now time.Time) error {
	if !slices.Contains(s.Algorithms, t.header.alg) {
		return refuse(ReasonWrongAlgorithm, "the token is signed with %.20q; source %q accepts %s", t.header.alg, s.Name, strings.Join(s.Algorithms, ", "))
	}
	if err := t.checkAudience(audience); err != nil {
		return err
	}
	for _, claim := range loginClaims {
		if _, has := t.claims[claim]; has {
			return refuse(ReasonHumanToken, "the token carries %q, so it stands for a person; only CI runs may ask for signatures", claim)
		}
	}
	r := newReader(t.claims)
	r.text("sub", required)
	r.text("jti", optional)
	times := validity{issued: r.time("iat", required), notBefore: r.time("nbf", optional), expiry: r.time("exp", required)}
	if r.err() != nil {
		return r.err()
	}
	t.expiry = times.expiry
	return times.check(s, now)
}

// checkAudience wants exactly one audience, ours: a token for several services
// could be replayed by any of them.
func (t *token) checkAudience(audience string) error {
	var got []any
	switch aud := t.claims["aud"].(type) {
	case nil:
		return refuse(ReasonMissingClaim, "the token has no audience (hint: request it for audience %s)", audience)
	case string:
		got = []any{aud}
	case []any:
		got = aud
	default:
		return refuse(ReasonWrongType, "the claim aud is neither a string nor a list")
	}
	if len(got) != 1 || got[0] != any(audience) {
		quoted, _ := json.Marshal(got) // decoded from JSON a moment ago
		return refuse(ReasonWrongAudience, "the token is for audience %.200s, not for %q alone (hint: request a token for that audience)", quoted, audience)
	}
	return nil
}

// validity is when a token may be used.
type validity struct {
	issued    time.Time
	notBefore time.Time // zero: no nbf
	expiry    time.Time
}

func (v validity) check(s Source, now time.Time) error {
	life, age := v.expiry.Sub(v.issued), now.Sub(v.issued)
	switch {
	case life <= 0:
		return refuse(ReasonContradiction, "the token expires before it is issued")
	case !v.expiry.After(now.Add(-maxSkew)):
		return refuse(ReasonExpired, "the token expired at %s (hint: request it just before signing)", utc(v.expiry))
	case v.issued.After(now.Add(maxSkew)):
		return refuse(ReasonNotYetValid, "the token was issued in the future, at %s (hint: compare the clocks)", utc(v.issued))
	case v.notBefore.After(now.Add(maxSkew)):
		return refuse(ReasonNotYetValid, "the token is not valid before %s (hint: compare the clocks)", utc(v.notBefore))
	case life > s.MaxLife:
		return refuse(ReasonTooLongLived, "the token lives %s, source %q allows %s", policy.Age(life), s.Name, policy.Age(s.MaxLife))
	case age > s.MaxAge:
		return refuse(ReasonTooOld, "the token was issued %s ago, source %q allows %s (hint: request it just before signing)", policy.Age(age), s.Name, policy.Age(s.MaxAge))
	}
	return nil
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// latestTime (the year 36812) keeps arithmetic on times far from overflow.
const latestTime = int64(1) << 40

// time reads a NumericDate (RFC 7519 section 2). Issuers write whole seconds;
// anything else is refused rather than rounded.
func (r *reader) time(name string, p presence) time.Time {
	n, ok := r.number(name, p)
	if !ok {
		return time.Time{}
	}
	sec, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || sec <= 0 || sec > latestTime {
		r.fail(ReasonBadClaim, "the claim %s is %.40s, not a time in whole seconds", name, n)
		return time.Time{}
	}
	return time.Unix(sec, 0)
}
