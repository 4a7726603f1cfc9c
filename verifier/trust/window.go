// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"fmt"
	"time"
)

// Window is when a key or authority was in use: from Start to End, both included. A zero End means "still in use"; a zero Start does
// not occur in a parsed root and contains no time at all.
type Window struct {
	Start time.Time
	End   time.Time
}

// Contains reports whether the key or authority was in use at t.
func (w Window) Contains(t time.Time) bool {
	if w.Start.IsZero() || t.Before(w.Start) {
		return false
	}
	return w.End.IsZero() || !t.After(w.End)
}

// String writes the window for messages.
func (w Window) String() string {
	if w.End.IsZero() {
		return fmt.Sprintf("since %s", w.Start.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("from %s to %s", w.Start.UTC().Format(time.RFC3339), w.End.UTC().Format(time.RFC3339))
}
