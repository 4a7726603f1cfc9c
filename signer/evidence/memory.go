// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// readMemory bounds what bundles take together that are being read and
	// verified, in all gatherings, bytes.
	readMemory = 192 << 20
	// readCost is how many bytes a byte of a bundle takes while it is verified and
	// read: the bundle, its payload out of base64, the predicate, and what is read
	// of it.
	readCost = 6
	// keptMemory bounds what the documents take together that wait for a decision.
	keptMemory = 192 << 20
	// keptCost is how many bytes a byte of a bundle may take as a document. The
	// reports of real tools take two to three. Of findings that are a few letters
	// each, as nobody writes them by accident, it would be 13: they are too much
	// evidence if there are many.
	keptCost = 6
	// maxKept bounds the documents of one decision.
	maxKept = 48 << 20
	// largeKept is where a decision is a large one. maxLarge of them go side by
	// side, and leave as much as one takes to all others: who waits for memory
	// waits in order, and nobody whose image is ordinary stands behind somebody who
	// attests a lot about theirs and asks again and again.
	largeKept = 8 << 20
	maxLarge  = 3
	// small is counted for any bundle, and for any decision.
	small = 64 << 10
)

// memory is what all gatherings share. Whoever has room to keep documents waits
// for room to read one bundle at a time; whoever reads waits for nothing.
type memory struct {
	reading, kept, large *semaphore.Weighted
}

func newMemory() memory {
	return memory{reading: semaphore.NewWeighted(readMemory), kept: semaphore.NewWeighted(keptMemory), large: semaphore.NewWeighted(maxLarge)}
}

// forReading waits for room to read a bundle.
func (m memory) forReading(ctx context.Context, size int64) (release func(), err error) {
	return acquire(ctx, m.reading, min(readCost*size+small, readMemory))
}

// keep waits for room to keep documents of what was found, and says how much it
// is.
func (m memory) keep(ctx context.Context, places []place) (room int64, release func(), err error) {
	room = small
	for _, p := range places {
		for _, r := range p.receipts {
			room = min(room+r.keeps(), maxKept)
		}
		for _, b := range p.attached {
			room = min(room+keptCost*b.Size+small, maxKept)
		}
	}
	leave := func() {}
	if room > largeKept {
		if leave, err = acquire(ctx, m.large, 1); err != nil {
			return room, nil, err
		}
	}
	giveBack, err := acquire(ctx, m.kept, room)
	if err != nil {
		leave()
		return room, nil, err
	}
	return room, func() { giveBack(); leave() }, nil
}

func acquire(ctx context.Context, from *semaphore.Weighted, n int64) (release func(), err error) {
	if err := from.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { from.Release(n) }), nil
}
