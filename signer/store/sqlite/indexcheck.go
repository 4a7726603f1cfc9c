// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// indexCheck looks for what is wrong with the index: runs must have the keys of
// their entries, all of them and no others.
type indexCheck struct {
	queryer
	row      tlog.LogRow
	log      int64
	problems []string
}

func (c *indexCheck) problem(format string, args ...any) {
	if len(c.problems) < maxDamage {
		c.problems = append(c.problems, fmt.Sprintf("index of log %q: ", c.row.Name)+fmt.Sprintf(format, args...))
	}
}

// indexDamage checks the indexes of all logs, at one moment.
func (db *DB) indexDamage(ctx context.Context) (problems []string, err error) {
	err = db.snapshot(ctx, func(q queryer) error {
		rows, ids, err := q.logs()
		if err != nil {
			return err
		}
		for i := range rows {
			c := &indexCheck{queryer: q, row: rows[i], log: ids[i]}
			if err := c.check(); err != nil {
				return err
			}
			problems = append(problems, c.problems...)
		}
		return nil
	})
	return problems, err
}

func (c *indexCheck) check() error {
	covered, err := c.coverage(c.log)
	if err != nil {
		return err
	}
	above := int64(0)
	for level := levels; level > 0; level-- {
		if covered[level] < above || covered[level] > c.row.Head.Size || covered[level]%span(level) != 0 {
			c.problem("runs of level %d are said to cover %d of %d entries", level, covered[level], c.row.Head.Size)
			return nil
		}
		above = covered[level]
	}
	if c.row.Head.Size-covered[1] >= span(1) {
		c.problem("%d entries are in no run", c.row.Head.Size-covered[1])
	}
	for _, s := range covered.segments(covered[1]) {
		if err := c.checkRun(s); err != nil {
			return err
		}
	}
	return c.strays(covered[1])
}

// checkRun compares the postings of a run with the keys of its entries: by the
// sum of the keys of each entry, so that a run of a million entries takes 8 MiB.
func (c *indexCheck) checkRun(s segment) error {
	run := runID(c.log, s.level, s.n)
	sums := make([]int64, span(s.level))
	before := posting{offset: -1}
	first := true
	err := c.each(`SELECT key, entry, data FROM postings WHERE run = ? ORDER BY key, entry`, []any{run}, func(scan func(...any) error) error {
		var begins posting
		var data block
		if err := scan(&begins.key, &begins.offset, (*[]byte)(&data)); err != nil {
			return err
		}
		if len(data) == 0 || len(data)%postingSize != 0 || data.at(0) != begins {
			c.problem("a block of run %d of level %d is not what it is filed under", s.n, s.level)
			return nil
		}
		for i := range data.len() {
			p := data.at(i)
			if !first && before.compare(p) >= 0 || p.offset >= span(s.level) {
				c.problem("run %d of level %d is not in order", s.n, s.level)
				return nil
			}
			sums[p.offset] += p.key
			before, first = p, false
		}
		return nil
	})
	if err != nil {
		return err
	}
	// By pieces: all keys of a large run would be large.
	for from := s.from; from < s.to; from += span(1) {
		postings, err := c.keys(c.log, from, from+span(1), s.from)
		if err != nil {
			return err
		}
		for _, p := range postings {
			sums[p.offset] -= p.key
		}
	}
	for offset, sum := range sums {
		if sum != 0 {
			c.problem("entry %d is found by other keys than its own", s.from+int64(offset))
		}
	}
	return nil
}

// strays looks for blocks of runs that cannot be: of no level, or beyond what
// runs cover.
func (c *indexCheck) strays(covered int64) error {
	run := runID(c.log, 0, 0) - 1
	for {
		next := int64(-1)
		err := c.each(`SELECT coalesce(min(run), -1) FROM postings WHERE run > ? AND run < ?`, []any{run, runID(c.log+1, 0, 0)},
			func(scan func(...any) error) error { return scan(&next) })
		if err != nil || next < 0 {
			return err
		}
		run = next
		level, n := int(run>>levelShift&(1<<(logShift-levelShift)-1)), run&(1<<levelShift-1)
		if level < 1 || level > levels || (n+1)*span(level) > covered {
			c.problem("there is a block of a run %d of level %d", n, level)
		}
	}
}
