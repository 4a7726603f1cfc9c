// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/signer"
)

// A request that is worked on holds memory: its body, keys and certificates, a
// bundle, buffers of the registry. One that waits for its turn holds a
// connection and its headers. So a few work and the others wait, before their
// bodies are read and after their tokens were looked at: strangers take no
// turns.
const (
	// workingPerCore is how many requests are worked on, for each core. Most of
	// the time of one is spent waiting for the registry: with 25 ms a round trip
	// this many are 150 signatures a second, more than a core can make.
	workingPerCore = 32
	// leastWorking is for machines with one core.
	leastWorking = 64
	// maxWaiting is how many wait for a turn. Two seconds' work and room for a
	// thousand that come at once; more are told to come again.
	maxWaiting = 2048
	// maxBodies bounds the bytes of the bodies that are worked on. A request
	// holds about eight times its body: the buffers it is read into, the
	// statement, the bundle and its base64. A larger one is worked on alone.
	maxBodies = 12 << 20
	// smallBody is how much body counts nothing: it is bounded by maxWorking, and
	// small requests never wait for large ones.
	smallBody = 64 << 10
	// turnWait is how long a request waits for its turn before it is told to
	// come again.
	turnWait = 10 * time.Second
)

// turns are those of all requests that sign.
type turns struct {
	working, bodies *semaphore.Weighted
	waiting         atomic.Int64
}

func newTurns() *turns {
	return &turns{working: semaphore.NewWeighted(maxWorking()), bodies: semaphore.NewWeighted(maxBodies)}
}

// maxWorking is how many requests are worked on at a time.
func maxWorking() int64 { return int64(max(leastWorking, workingPerCore*runtime.GOMAXPROCS(0))) }

// take waits for a turn for a request with so many bytes of body.
func (t *turns) take(ctx context.Context, body int64) (giveBack func(), err error) {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaiting {
		return nil, fmt.Errorf("%w: %d requests wait for their turn", signer.ErrBusy, maxWaiting)
	}
	if body = min(body, maxBodies); body <= smallBody {
		body = 0
	}
	// Bodies first: who waits for room must not keep the others from working.
	if err := wait(ctx, t.bodies, body); err != nil {
		return nil, err
	}
	if err := wait(ctx, t.working, 1); err != nil {
		t.bodies.Release(body)
		return nil, err
	}
	return func() { t.working.Release(1); t.bodies.Release(body) }, nil
}

func wait(ctx context.Context, turns *semaphore.Weighted, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	if err := turns.Acquire(ctx, n); err != nil {
		return fmt.Errorf("%w with other requests: %w", signer.ErrBusy, err)
	}
	return nil
}

// gate is a huma middleware before everything that reads the body, of at most
// limit bytes: is the token good, is there room in its quotas, and is it this
// request's turn?
func (s *server) gate(action signer.Action, limit int64) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		admission, err := s.Signer.Admit(ctx.Context(), signer.Request{
			Token: bearer(ctx.Header("Authorization")), Action: action, Origin: s.origin(ctx.Context()),
		})
		giveBack := func() {}
		r, w := humago.Unwrap(ctx)
		if err == nil {
			err = checkEncoding(r.Header.Get("Content-Encoding"))
		}
		if _, is := isParts(r); err == nil && is {
			s.parts.serve(w, r, action, admission)
			return
		}
		if err == nil && r.ContentLength > limit {
			err = fmt.Errorf("%w: %d bytes, the limit is %d (hint: send large documents in parts, multipart/form-data)", ErrTooLarge, r.ContentLength, limit)
		}
		if err == nil {
			giveBack, err = s.turns.take(ctx.Context(), bodyBytes(r, limit))
		}
		if err != nil {
			writeProblem(ctx, s.problem(ctx.Context(), err))
			return
		}
		defer giveBack()
		next(huma.WithValue(ctx, admissionKey{}, admission))
	}
}

// bodyBytes is how much body is about to come: what is not told counts as the
// most, of which more is never read.
func bodyBytes(r *http.Request, limit int64) int64 {
	if r.ContentLength < 0 || r.ContentLength > limit {
		return limit
	}
	return r.ContentLength
}

// admissionKey is where the gate leaves what it was told for the endpoint.
type admissionKey struct{}

func admissionOf(ctx context.Context) *signer.Admission {
	admission, _ := ctx.Value(admissionKey{}).(*signer.Admission)
	return admission
}
