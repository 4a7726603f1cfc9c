// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"fmt"
)

// isReserved tells whether a member of a predicate is written by the service only.
func isReserved(name []byte) bool { return bytes.HasPrefix(name, []byte(ownPrefix)) }

// reserved is such a member at the top of the document, or "".
func (d *document) reserved() string {
	first := ""
	for name := range d.members {
		if !d.list && isReserved([]byte(name)) && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// CheckForeign refuses a document that somebody else wrote and that says what only
// the service may say. It does so however large the document is, and whatever
// becomes of it: what a job may attest does not depend on that.
func (d Document) CheckForeign() error {
	if d.Reserved != "" {
		return errReserved(d.Reserved)
	}
	return CheckForeign(d.PredicateType, nil)
}

func errReserved(name string) error {
	return fmt.Errorf("%w: member %s: members that begin with %s are written by the service", ErrStatement, quote(name), ownPrefix)
}
