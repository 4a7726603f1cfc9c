// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A log is searched in windows of entries, in the order of the query, until the
// page is full. A key that many entries have fills a page from the first, which
// looks into few spans; one that few have is looked for in all that is left: in
// a log of two million entries, by a second round trip.
const (
	firstWindow  = 32 << 10
	windowGrowth = 64
)

// sqlHits finds the entries $1 <= id < $2 that have any of the keys $3 and, if
// $4 is not NULL, all of those: at most $5, of at most $6 rows of pairs in each
// span and behind $7, the beginning of the log. See index.go for the tables.
//
// The pairs of a key in a span begin in the last row that begins before them,
// and go on in the rows that begin with the key.
const sqlHits = `SELECT DISTINCT h.id FROM (
		SELECT p.entry AS id FROM spans s CROSS JOIN unnest($3::bigint[]) AS q (key) CROSS JOIN LATERAL (
				(SELECT keys, entries FROM span_keys WHERE first = s.first AND level = s.level
					AND (key, entry) < (q.key, $1::bigint) ORDER BY key DESC, entry DESC LIMIT 1)
			UNION ALL
				(SELECT keys, entries FROM span_keys WHERE first = s.first AND level = s.level
					AND key = q.key AND entry >= $1 AND entry < $2 ORDER BY entry %[1]s LIMIT $6)
			) AS r CROSS JOIN LATERAL unnest(r.keys, r.entries) AS p (key, entry)
		WHERE s.first >= $7 AND s.first < $2 AND s.until > $1 AND p.key = q.key AND p.entry >= $1 AND p.entry < $2
	UNION ALL
		SELECT id FROM entries WHERE id < $2 AND keys && $3 AND id >= greatest($1, coalesce(
			(SELECT until FROM spans WHERE first >= $7 AND first < ($7::bigint >> 40) + 1 << 40 ORDER BY first DESC, level DESC LIMIT 1), $7))
	) AS h
	WHERE $4::bigint[] IS NULL OR EXISTS (SELECT FROM entries e WHERE e.id = h.id AND e.keys @> $4)
	ORDER BY h.id %[1]s LIMIT $5`

// sqlRarest picks the key that the fewest rows of pairs begin with, of those in
// the log that begins at $1. It stops counting at what is common anyway.
const sqlRarest = `SELECT q.key FROM unnest($2::bigint[]) AS q (key) ORDER BY (
		SELECT count(*) FROM spans s CROSS JOIN LATERAL (
			SELECT FROM span_keys k WHERE k.first = s.first AND k.level = s.level AND k.key = q.key LIMIT 256) AS rows
		WHERE s.first >= $1 AND s.first < ($1::bigint >> 40) + 1 << 40
	) LIMIT 1`

var (
	sqlOldest = fmt.Sprintf(sqlHits, "ASC")
	sqlNewest = fmt.Sprintf(sqlHits, "DESC")
)

// Search implements tlog.Storage. The cost of a query for all of several keys
// is decided by the rarest of them: its entries are looked up one by one.
func (db *DB) Search(ctx context.Context, q tlog.Query) ([]tlog.Position, error) {
	keys, err := store.QueryKeys(db.secret, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	logs, err := db.allLogs(ctx)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	parts, err := cut(logs, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	s := search{reads: db.reads, parts: parts, keys: keys, query: q}
	if err := s.run(ctx); err != nil {
		return nil, fmt.Errorf("search: %w", hint(err))
	}
	return s.found(), nil
}

// part is what of a log a query asks about, ids from <= id < until, and what
// was found. The bounds move as windows of it are searched.
type part struct {
	log         *logRow
	from, until int64
	rarest      int64 // key, if the query is for all
	hits        []int64
}

// search is a query under way. Each step asks about all parts at once.
type search struct {
	reads *pgxpool.Pool
	parts []part // in the query's order
	keys  []int64
	query tlog.Query
}

func (s *search) run(ctx context.Context) error {
	all := s.query.All && len(s.keys) > 1
	if all {
		if err := s.findRarest(ctx); err != nil {
			return err
		}
	}
	for width := int64(firstWindow); ; width *= windowGrowth {
		batch := new(pgx.Batch)
		for i, need := 0, s.query.Limit; i < len(s.parts) && need > 0; i++ {
			p := &s.parts[i]
			if p.from < p.until && len(p.hits) < need {
				s.queue(batch, p, width, need-len(p.hits), all)
			}
			need -= len(p.hits)
		}
		if batch.Len() == 0 {
			return nil
		}
		if err := s.reads.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
}

func (s *search) findRarest(ctx context.Context) error {
	batch := new(pgx.Batch)
	for i := range s.parts {
		p := &s.parts[i]
		batch.Queue(sqlRarest, entryID(p.log.id, 0), s.keys).QueryRow(func(row pgx.Row) error { return row.Scan(&p.rarest) })
	}
	return s.reads.SendBatch(ctx, batch).Close()
}

// queue asks for at most limit entries of the next window of a part.
func (s *search) queue(batch *pgx.Batch, p *part, width int64, limit int, all bool) {
	sql, from, until := sqlOldest, p.from, p.until
	if s.query.Newest {
		sql, from = sqlNewest, max(from, until-width)
		p.until = from
	} else {
		until = min(until, from+width)
		p.from = until
	}
	keys, every := s.keys, []int64(nil)
	// So many rows of a key fill the page: of the first, in either order, most
	// pairs may be outside the window.
	rowLimit := any(limit/pairsPerRow + 2)
	if all {
		keys, every, rowLimit = []int64{p.rarest}, s.keys, nil
	}
	batch.Queue(sql, from, until, keys, every, limit, rowLimit, entryID(p.log.id, 0)).Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		p.hits = append(p.hits, ids...)
		return err
	})
}

// found is what all parts have, in order. A part behind one that was not
// searched to its end has nothing that fits.
func (s *search) found() (found []tlog.Position) {
	for i := range s.parts {
		p := &s.parts[i]
		for _, id := range p.hits[:min(len(p.hits), s.query.Limit-len(found))] {
			found = append(found, tlog.Position{Log: p.log.Name, Index: id - entryID(p.log.id, 0)})
		}
	}
	return found
}

// cut returns the parts that a query asks about, in its order.
func cut(logs []logRow, q tlog.Query) ([]part, error) {
	at := -1
	if q.After != nil {
		at = slices.IndexFunc(logs, func(r logRow) bool { return r.Name == q.After.Log })
		if at < 0 {
			return nil, noLog(q.After.Log)
		}
	}
	var parts []part
	for i := range logs {
		r := &logs[i]
		lo, hi := int64(0), r.Head.Size
		switch {
		case len(q.Logs) > 0 && !slices.Contains(q.Logs, r.Name):
			continue
		case at < 0:
		case i == at && q.Newest:
			hi = min(hi, q.After.Index)
		case i == at:
			lo = max(lo, q.After.Index+1)
		case (i > at) == q.Newest: // before the page
			continue
		}
		if lo < hi {
			parts = append(parts, part{log: r, from: entryID(r.id, lo), until: entryID(r.id, hi)})
		}
	}
	if q.Newest {
		slices.Reverse(parts)
	}
	return parts, nil
}
