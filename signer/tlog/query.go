// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
)

// check returns q with each key once, or says what is wrong with it.
func (q Query) check() (Query, error) {
	if len(q.Keys) == 0 {
		return q, fmt.Errorf("%w: a search needs a key", ErrBadKeys)
	}
	if q.Limit < 1 || q.Limit > MaxPage {
		return q, fmt.Errorf("%w: a page has 1 to %d entries, not %d", ErrBadKeys, MaxPage, q.Limit)
	}
	var err error
	q.Keys, err = checkKeys(q.Keys, MaxQueryKeys)
	return q, err
}
