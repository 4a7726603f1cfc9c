// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"time"

	"github.com/sigstore/sigstore-go/pkg/verify"
)

// FutureTolerance is how far ahead of this machine's clock a proven time may lie. Proven times come from the log and the timestamp
// authority, so this only bounds how wrong the own clock may be: ten minutes happen on machines that lost NTP, an hour does not.
// Anything later is evidence from the future and refused: either that clock or an authority cannot be believed.
const FutureTolerance = 15 * time.Minute

// provenTimes are the times at which trusted authorities saw a signature. There is at least one, except of a signature with a long-lived
// key that shows none; then earliest is the zero time.
type provenTimes struct {
	all []time.Time
	// earliest is when the signature existed at the latest. It is the time a fact carries: whoever can obtain a second
	// timestamp later must not make old evidence look new.
	earliest time.Time
}

// proveTimes takes the times that sigstore-go verified, and refuses those that a bundle shows but nobody proved. With a log time at
// hand, sigstore-go ignores timestamp tokens that do not verify; a token outside every window would pass unseen.
func (c *Crypto) proveTimes(e *evidence, verified []verify.TimestampVerificationResult) (provenTimes, error) {
	var p provenTimes
	tokens := 0
	for _, v := range verified {
		p.all = append(p.all, v.Timestamp)
		if v.Type == timestampAuthority {
			tokens++
		}
	}
	if e.key != nil && !e.showsTimes() {
		return p, nil
	}
	if len(p.all) == 0 {
		return p, refuse(ReasonTime, "nothing proves when it was signed")
	}
	if tokens != e.tokens {
		return p, refuse(ReasonTime, "%d of its %d timestamps do not verify", e.tokens-tokens, e.tokens)
	}
	p.earliest = p.all[0]
	limit := c.clock().Add(FutureTolerance)
	for _, t := range p.all {
		if t.After(limit) {
			return p, refuse(ReasonTime, "signed in the future, at %s (hint: is this machine's clock right?)", t.UTC().Format(time.RFC3339))
		}
		if t.Before(p.earliest) {
			p.earliest = t
		}
	}
	return p, nil
}

// forKeys returns the times at which the logs' keys must have been in use: the proven ones, or now if nothing proves that it was earlier.
func (p provenTimes) forKeys(clock func() time.Time) []time.Time {
	if len(p.all) == 0 {
		return []time.Time{clock()}
	}
	return p.all
}

// timestampAuthority is sigstore-go's name for a time that came from an RFC 3161 token.
const timestampAuthority = "TimestampAuthority"
