// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// writePath is the whole write API.
const writePath = apiPrefix + "/log/entries"

// serveWrite answers POST /api/v2/log/entries.
func (s *Service) serveWrite(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, codeUnimplemented, "Method Not Allowed")
		return
	}
	done, err := s.create(w, r)
	if err != nil {
		s.answerError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusCreated)
	// The type is none that a browser would run. A client that is gone may ask again.
	_, _ = w.Write(done.answer()) //nolint:gosec // not HTML, see Content-Type and nosniff
}

// create takes a request to its log entry. Which logs there are is asked anew:
// who freezes a log with another process is sure that it takes no more.
func (s *Service) create(w http.ResponseWriter, r *http.Request) (logged, error) {
	now, err := s.look(r.Context())
	if err != nil {
		return logged{}, err
	}
	log, _, err := now.route(r)
	if err != nil {
		return logged{}, err
	}
	if log.Row().State == tlog.Frozen {
		return logged{}, tlog.ErrFrozen
	}
	if err := s.cfg.Writers.Closed(); err != nil {
		return logged{}, err
	}
	body, worked, err := s.bodies.Read(w, r)
	if err != nil {
		return logged{}, fmt.Errorf("read request: %w", err)
	}
	defer worked()
	e, err := parse(body)
	if err != nil {
		return logged{}, err
	}
	return s.write(r.Context(), now, e)
}

// write applies the writers policy to a verified entry. An entry that the log
// has is answered, whichever shard has it.
func (s *Service) write(ctx context.Context, now *shards, e entry) (logged, error) {
	permission, err := s.cfg.Writers.Admit(e.claim)
	if err != nil {
		return logged{}, err
	}
	if !permission.AnySpelling {
		done, found, err := now.find(ctx, e, permission.Issuer)
		if err != nil || found {
			return done, err
		}
		if err := permission.Take(ctx, writers.Addition{
			Kind: string(tlog.V2), Leaf: merkle.RecordHash(e.leaf), Signature: e.record.GetSignature().GetContent(),
		}); err != nil {
			return logged{}, err
		}
	}
	log, in, err := s.cfg.Set.Append(ctx, tlog.V2, e.indexed(nil))
	if err != nil {
		return logged{}, err
	}
	if !permission.AnySpelling {
		s.cfg.Logger.InfoContext(ctx, "entry added", "writer", permission.Writer, "log", log.Row().Name, "index", in.Index)
	}
	return logged{Inclusion: in, logID: log.ID(), leaf: e.leaf}, nil
}

// find looks for an entry in all its spellings and all shards. The shard that
// takes entries now comes first.
func (s *shards) find(ctx context.Context, e entry, issuer crypto.PublicKey) (logged, bool, error) {
	spellings, err := writers.Spellings(e.record.GetSignature().GetContent(), e.claim, issuer)
	if err != nil {
		return logged{}, false, &Invalid{err: err}
	}
	for _, log := range slices.Backward(s.logs) {
		for _, spelling := range spellings {
			leaf := e.spelled(spelling)
			in, found, err := log.Find(ctx, merkle.RecordHash(leaf))
			if err != nil || found {
				return logged{Inclusion: in, logID: log.ID(), leaf: leaf}, found, err
			}
		}
	}
	return logged{}, false, nil
}
