// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
)

// scale is how much is measured.
type scale struct {
	// kinds of entries: what bundles carry, by either API.
	kinds []load.Kind
	// million is how many entries the large log has.
	million int64
	// postgres is how many entries PostgreSQL's disk use is taken from: its
	// bytes per entry do not depend on the size once the trees are three levels
	// deep, and filling it further would be half of the run.
	postgres int64
	// loop is how long one loop runs.
	loop time.Duration
	// floor is how long the processor's floor is measured, before and after each
	// closed loop: it moves within minutes.
	floor time.Duration
	// rounds is how often a comparison is made. Its sides take turns, so that a
	// machine that slows down slows both, and the median ratio counts.
	rounds int
	// signatures is how many signatures one client asks for; a crowd asks for
	// more.
	signatures int
	// images is how many images are signed and attested, compared how many by
	// stock cosign as well.
	images, compared int
	// document is how large a large document is, bytes.
	document int64
	// inFlight is how many requests wait for a registry that stands still, for
	// stall.
	inFlight int
	stall    time.Duration
	// probes is how many proofs and searches are timed.
	probes int
}

// full is what docs/PERFORMANCE.md holds.
func full() scale {
	return scale{kinds: []load.Kind{load.V2, load.V1DSSE}, million: 1_000_000, postgres: 150_000, loop: 6 * time.Second, floor: 500 * time.Millisecond, rounds: 3, signatures: 200, images: 600, compared: 10, document: 50_000_000, inFlight: 1000, stall: 3 * time.Second, probes: 2000}
}

// short is for a test: every line of the measurement runs, for one kind of
// entry, and no figure means anything.
func short() scale {
	return scale{kinds: []load.Kind{load.V1DSSE}, million: 3000, postgres: 1000, loop: 300 * time.Millisecond, floor: 60 * time.Millisecond, rounds: 1, signatures: 3, images: 16, compared: 1, document: 6_000_000, inFlight: 100, stall: time.Second, probes: 50}
}
