// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// resolves lets requests about one digest at one time share the reading of its
// manifest, so that a thousand copies of a request are one question to the
// registry. A tag is asked for by everyone anew: it may have moved since
// somebody else's question was begun.
type resolves struct {
	mu    sync.Mutex
	asked map[string]*question // guarded by mu; only those without an answer
}

// question is being asked by one and waited for by others.
type question struct {
	answered chan struct{} // closed after the rest is set
	waiting  int           // who waits for it, besides the one who asks; guarded by resolves.mu
	artifact oci.Artifact
	err      error
}

func (s *Service) resolve(ctx context.Context, image string) (oci.Artifact, error) {
	if !strings.Contains(image, "@") {
		return s.cfg.Registry.Resolve(ctx, image)
	}
	q, first := s.resolves.join(image)
	if first {
		// Whoever asks may go away; the others still want to know. The registry
		// client bounds the time.
		defer s.resolves.answer(image, q)
		q.artifact, q.err = s.cfg.Registry.Resolve(context.WithoutCancel(ctx), image)
		return q.artifact, q.err
	}
	select {
	case <-q.answered:
		return q.artifact, q.err
	case <-ctx.Done():
		return oci.Artifact{}, ctx.Err()
	}
}

var errUnanswered = errors.New("reading the manifest was given up")

func (r *resolves) join(image string) (q *question, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.asked[image]; q != nil {
		q.waiting++
		return q, false
	}
	if r.asked == nil {
		r.asked = map[string]*question{}
	}
	q = &question{answered: make(chan struct{}), err: errUnanswered}
	r.asked[image] = q
	return q, true
}

func (r *resolves) answer(image string, q *question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, image)
	close(q.answered)
}
