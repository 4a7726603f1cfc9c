// SPDX-License-Identifier: Apache-2.0

package writers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// usualBody is what requests of CI jobs are smaller than.
	usualBody = 16 << 10
	// smallBody is what nearly all requests are smaller than: whatever can be
	// logged fits twice in base64.
	smallBody = 128 << 10
	// largeBodies bounds the larger ones that are worked on at a time. Each takes
	// some ten times its size while it is verified.
	largeBodies = 8
	// largeWait is how long one waits for its turn. The least patient client
	// (sigstore-js) gives up after five seconds.
	largeWait = 3 * time.Second
	// largeTimeout bounds sending the rest of one, during which the turn is
	// taken: four megabytes at 3 Mbit/s.
	largeTimeout = 12 * time.Second
)

// ErrBody says that the body of a request has not arrived: its sender was too
// slow, or went away.
var ErrBody = errors.New("the request has not arrived completely")

// Bodies reads the bodies of requests. Anybody may send them, as many as there
// are connections, before it is known who has signed what: so the large ones
// take turns. Small ones never wait for them.
type Bodies struct {
	limit int64
	turns *semaphore.Weighted
}

// NewBodies returns Bodies of at most limit bytes each.
func NewBodies(limit int64) *Bodies {
	return &Bodies{limit: limit, turns: semaphore.NewWeighted(largeBodies)}
}

// Read reads the body of a request. done is to be called when nothing of it is
// needed any more. Errors are *http.MaxBytesError, ErrBody, and tlog.ErrPoolFull
// if too many large ones are worked on.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	limited := http.MaxBytesReader(w, r.Body, b.limit)
	var buf bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= usualBody { // what a stranger promises costs no more
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(limited, smallBody)); err != nil {
		return nil, nil, bodyError(err)
	}
	if buf.Len() < smallBody {
		return buf.Bytes(), func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), largeWait)
	defer cancel()
	if err := b.turns.Acquire(ctx, 1); err != nil {
		return nil, nil, fmt.Errorf("%w with large requests: %w", tlog.ErrPoolFull, err)
	}
	// Only recorders of tests have no deadlines. What is set here must not end
	// the work on the request, of which the server would believe that it was
	// given up.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(largeTimeout))
	if n := r.ContentLength; n > 0 && n <= b.limit {
		buf.Grow(int(n) - buf.Len() + bytes.MinRead)
	}
	_, err = buf.ReadFrom(limited)
	_ = control.SetReadDeadline(time.Time{})
	if err != nil {
		b.turns.Release(1)
		return nil, nil, bodyError(err)
	}
	return buf.Bytes(), func() { b.turns.Release(1) }, nil
}

// Clip shortens what repeats parts of a request, for its sender and for the
// service's own log: neither has to hold it all once more.
func Clip(s string) string {
	const enough = 1 << 10
	if len(s) > enough {
		return strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBody, err)
}
