// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// maxRetrieve is how many entries one request may ask for, in all and in each
// of its lists: each costs a proof and two signatures at most. As in Rekor.
const maxRetrieve = 10

// entryByIndex answers GET /api/v1/log/entries?logIndex=.
func (s *Service) entryByIndex(w http.ResponseWriter, r *http.Request) error {
	global, err := queryInt(r.URL.Query(), "logIndex", 0, -1)
	if err != nil {
		return err
	}
	rec, err := s.atIndex(r.Context(), global)
	return answerEntry(w, rec, err)
}

// entryByID answers GET /api/v1/log/entries/{entryUUID}.
func (s *Service) entryByID(w http.ResponseWriter, r *http.Request) error {
	text := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, entryPrefix), "/")
	if !isEntryID(text) {
		return violation(codePattern, "entryUUID in path should match '%s'", idPattern)
	}
	id, err := parseEntryID(text)
	if err != nil {
		return refuse(http.StatusBadRequest, "validation error: %v", err)
	}
	rec, err := s.byID(r.Context(), id)
	return answerEntry(w, rec, err)
}

func answerEntry(w http.ResponseWriter, rec record, err error) error {
	if errors.Is(err, tlog.ErrNotFound) {
		return fmt.Errorf("%w: %w", notLogged(), err)
	}
	if err != nil {
		return err
	}
	body, _, err := rec.encode()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// retrieve answers POST /api/v1/log/entries/retrieve. What is not found is left
// out.
func (s *Service) retrieve(w http.ResponseWriter, r *http.Request, raw []byte) error {
	query, err := s.readQuery(r.Context(), raw)
	if err != nil {
		return err
	}
	answers := []json.RawMessage{}
	for _, find := range query {
		rec, err := find(r.Context())
		if errors.Is(err, tlog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		body, _, err := rec.encode()
		if err != nil {
			return err
		}
		answers = append(answers, body)
	}
	body, err := json.Marshal(answers)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// lookup finds one entry; tlog.ErrNotFound if there is none.
type lookup func(ctx context.Context) (record, error)

// readQuery reads a request for entries and checks all of it before anything is
// looked up: one bad item fails the request.
func (s *Service) readQuery(ctx context.Context, raw []byte) ([]lookup, error) {
	doc, err := readJSON(raw, "entry")
	if err != nil {
		return nil, err
	}
	// Before the generated code gets at it, which reads all before it counts.
	if err := checkCounts(&doc); err != nil {
		return nil, err
	}
	var q models.SearchLogQuery
	if err := decode(raw, &q); err != nil {
		return nil, err
	}
	if err := q.Validate(nil); err != nil {
		return nil, schemaError(err)
	}
	if len(q.EntryUUIDs)+len(q.LogIndexes)+len(q.Entries()) > maxRetrieve {
		return nil, refuse(http.StatusUnprocessableEntity, "more than max allowed %d entries in request", maxRetrieve)
	}
	var all []lookup
	for _, text := range q.EntryUUIDs {
		id, err := parseEntryID(text)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid entryID %s", text)
		}
		all = append(all, func(ctx context.Context) (record, error) { return s.byID(ctx, id) })
	}
	for _, proposed := range q.Entries() {
		leaf, err := leafToFind(ctx, proposed)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "%v", err)
		}
		all = append(all, func(ctx context.Context) (record, error) {
			return s.byID(ctx, entryID{leaf: merkle.RecordHash(leaf)})
		})
	}
	for i, global := range q.LogIndexes {
		if global == nil {
			return nil, violation(codeType, "logIndexes.%d in body must be of type int64: \"null\"", i)
		}
		all = append(all, func(ctx context.Context) (record, error) { return s.atIndex(ctx, *global) })
	}
	return all, nil
}

// checkCounts refuses lists that are empty or too long.
func checkCounts(doc *value) error {
	for _, name := range []string{"entries", "entryUUIDs", "logIndexes"} {
		list, ok := doc.member(name)
		switch {
		case !ok || list.kind == isNull:
		case list.kind != isArray:
			return violation(codeType, "%s in body must be of type array", name)
		case len(list.items) == 0:
			return violation(codeMinItems, "%s in body should have at least 1 items", name)
		case len(list.items) > maxRetrieve:
			return violation(codeMaxItems, "%s in body should have at most %d items", name, maxRetrieve)
		}
	}
	return nil
}

// leafToFind returns the leaf of an entry that somebody wants to have found,
// which may be given as it was proposed or as it was logged.
func leafToFind(ctx context.Context, proposed models.ProposedEntry) (leaf []byte, err error) {
	defer recoverParser(&err)
	if !isAccepted(proposed.Kind()) {
		return nil, fmt.Errorf("could not unmarshal entry for kind '%s'", proposed.Kind())
	}
	if err := checkCost(proposed); err != nil {
		return nil, err
	}
	impl, err := types.UnmarshalEntry(proposed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(ctx, impl)
}
