// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
)

// A document that a request brings becomes a statement for each platform, and a
// statement is in memory several times while it is made: as what is signed, as the
// bundle with it in base64, and in the buffers of log, journal and registry. How
// many there will be, nobody knows before the index was read. So beside the bytes
// of bodies (package api) those of statements are counted: what all requests make
// of documents at a time, and what one may ask for.

const (
	// maxStatements bounds the predicates of statements that are made of documents at
	// a time, bytes, and those of one request: the largest statement fits. A
	// statement takes six to seven times its predicate, so all of them 170 MiB. With
	// the bodies, which are a hundred (one alone: 190), a server that is asked for as
	// much as it takes holds less than 400 MiB for requests.
	maxStatements = 24 << 20
	// smallStatements is how much counts nothing: small requests never wait for large
	// ones, and package api bounds their number.
	smallStatements = 64 << 10
	// statementsWait is how long a request waits for others before it is told to come
	// again: nothing of it has happened.
	statementsWait = 10 * time.Second
)

// statementRoom takes room for the statements of a request.
func (s *Service) statementRoom(ctx context.Context, p Principal, req Request, charges []*charge) (giveBack func(), err error) {
	var size int64
	for _, c := range charges {
		size += int64(len(c.Predicate))
	}
	switch {
	case size <= smallStatements:
		return func() {}, nil
	case size > maxStatements:
		ev := s.newEvent(req)
		ev.Requester, ev.Digest = requesterOf(p), string(charges[0].artifact.Digest)
		return nil, s.refuse(ctx, ev, stageEvidence, fmt.Errorf("%w: %d statements of %d bytes together, at most %d in one request (hint: attest the documents, or the platforms, in several calls)",
			ErrBadRequest, len(charges), size, maxStatements))
	}
	ctx, cancel := context.WithTimeout(ctx, statementsWait)
	defer cancel()
	if err := s.statements.Acquire(ctx, size); err != nil {
		return nil, fmt.Errorf("%w with the statements of other requests: %w", ErrBusy, err)
	}
	return func() { s.statements.Release(size) }, nil
}

func newStatements() *semaphore.Weighted { return semaphore.NewWeighted(maxStatements) }
