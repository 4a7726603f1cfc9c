// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"sync/atomic"
)

var (
	// ErrGrantUsed is returned by the second and every later Redeem of one grant.
	ErrGrantUsed = errors.New("policy grant was already redeemed (hint: one grant is one signature; decide again)")
	// ErrNoGrant is returned by Redeem of a nil grant and of one that no decision made.
	ErrNoGrant = errors.New("no policy grant: only an allowing decision makes one")
)

// Grant is the permission to make one signature or attestation. Only [SigningPolicy.Decide] makes a grant that can be redeemed; the
// zero value cannot. It is safe for concurrent use: of many concurrent Redeem calls exactly one succeeds.
type Grant struct {
	permit *permit // shared by copies of the Grant, so that a copy is not a second permission
}

// permit is what a grant is worth: terms, and whether they are still to be had.
type permit struct {
	terms    Terms
	redeemed atomic.Bool
}

// Terms say what was granted. The signer signs what stands here, not what it was asked for.
type Terms struct {
	Rule         string   // name of the rule that allowed it
	Input        Input    // as decided on; Claims is a copy, Evidence is left out
	Evidence     []string // "sha256:<hex>" of the bundles with the evidence that decided
	PolicyDigest string   // "sha256:<hex>" of the policy file
	// Certificate and Keys are the modes of the rule: what was granted is signed in each, and in no other.
	Certificate bool
	Keys        []string // names of signing keys
}

// Redeem exchanges the grant for its terms, once. It returns ErrGrantUsed after that, and ErrNoGrant for a nil or zero grant.
func (g *Grant) Redeem() (Terms, error) {
	if g == nil || g.permit == nil {
		return Terms{}, ErrNoGrant
	}
	if !g.permit.redeemed.CompareAndSwap(false, true) {
		return Terms{}, ErrGrantUsed
	}
	return g.permit.terms, nil
}
