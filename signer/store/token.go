// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// TokenPrune is how many forgotten uses of tokens a write removes at most:
	// more than it adds, so that they never pile up, and few enough to cost
	// nothing.
	TokenPrune = 8
	// TokenClockStep is how far behind, in seconds, the clock of tokens may be:
	// writing it with every use would double what a use writes.
	TokenClockStep = 30
)

// CheckTokenUse refuses a use that says not enough to be counted.
func CheckTokenUse(u signer.TokenUse) error {
	if u.Token == [32]byte{} || u.Holder == [32]byte{} || u.Most < 1 || u.Until.IsZero() || u.Now.IsZero() {
		return errors.New("count the use of a token: token, holder, limit or time is missing")
	}
	return nil
}

// TokenVerdict is signer.TokenUse.Verdict on what a database has counted.
func TokenVerdict(u signer.TokenUse, clock, requests, thisOne, otherHolders int64) error {
	return u.Verdict(time.Unix(clock, 0), int(requests), thisOne > 0, otherHolders > 0)
}
