// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// createEntry answers POST /api/v1/log/entries.
func (s *Service) createEntry(w http.ResponseWriter, r *http.Request) error {
	if err := s.cfg.Writers.Closed(); err != nil {
		return err
	}
	return s.withBody(s.create)(w, r)
}

func (s *Service) create(w http.ResponseWriter, r *http.Request, raw []byte) error {
	doc, err := readJSON(raw, "proposedEntry")
	if err != nil {
		return err
	}
	e, err := s.read(r.Context(), raw, &doc)
	if err != nil {
		return err
	}
	rec, err := s.write(r.Context(), e)
	if err != nil {
		return err
	}
	body, id, err := rec.encode()
	if err != nil {
		return err
	}
	h := w.Header()
	// Clients take the ETag for a key of the answer, and the last segment of
	// Location for an id: neither may be quoted, weakened or extended.
	h.Set("ETag", id)
	h.Set("Location", entryPrefix+id)
	writeJSON(w, http.StatusCreated, body)
	return nil
}

// write logs a verified entry if its writers may, and answers what the log has
// already. The record may be of another spelling of the entry.
func (s *Service) write(ctx context.Context, e entry) (record, error) {
	if len(e.leaf) > tlog.MaxLeaf {
		return record{}, fmt.Errorf("%w: %d bytes", tlog.ErrTooLarge, len(e.leaf))
	}
	permissions, err := s.admit(e)
	if err != nil {
		return record{}, err
	}
	if slices.ContainsFunc(permissions, func(p writers.Permission) bool { return !p.AnySpelling }) {
		leaves, err := e.spellings(permissions)
		if err != nil {
			return record{}, err
		}
		if rec, found, err := s.byLeaf(ctx, leaves); err != nil || found {
			return rec, err
		}
	}
	addition := writers.Addition{Kind: string(tlog.V1), Leaf: merkle.RecordHash(e.leaf)}
	if len(permissions) == 1 {
		addition.Signature = e.signature
	}
	for _, p := range permissions {
		if err := p.Take(ctx, addition); err != nil {
			return record{}, err
		}
	}
	rec, err := s.append(ctx, e.leaf, e.keys)
	if err != nil {
		return record{}, err
	}
	for _, p := range permissions {
		if !p.AnySpelling {
			s.cfg.Logger.InfoContext(ctx, "entry added", "writer", p.Writer, "log", rec.log.Row().Name, "index", rec.in.Index)
		}
	}
	return rec, nil
}

// append logs a leaf.
func (s *Service) append(ctx context.Context, leaf []byte, keys []string) (record, error) {
	l, in, err := s.cfg.Set.Append(ctx, tlog.V1, tlog.Leaf{Body: leaf, Keys: keys})
	return record{log: l, body: leaf, in: in}, err
}

// admit asks for every verifier of an entry whether it may write: who signs
// beside a registered writer adds an entry under a name of its own.
func (s *Service) admit(e entry) ([]writers.Permission, error) {
	var all []writers.Permission
	for _, v := range e.verifiers {
		p, err := s.cfg.Writers.Admit(v.claim)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// spellings returns the leaves of all spellings of an entry that can be listed,
// its own first.
func (e entry) spellings(permissions []writers.Permission) ([][]byte, error) {
	leaves := [][]byte{e.leaf}
	if e.spell == nil || len(e.verifiers) != 1 {
		return leaves, nil
	}
	all, err := writers.Spellings(e.signature, e.verifiers[0].claim, permissions[0].Issuer)
	if err != nil {
		return nil, &Invalid{err}
	}
	for _, sp := range all[1:] {
		leaves = append(leaves, e.spell(sp.Signature, sp.Certificate))
	}
	return leaves, nil
}
