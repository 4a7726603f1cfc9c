// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"database/sql"
	"fmt"
)

const (
	// blockPostings is how many postings a block has: as many as fit into a
	// page. A cell may have pageBytes - 35 bytes before SQLite makes another
	// page for its end (chapter 1.6 of its file format), and rowBytes is what
	// its header and the other columns take.
	blockPostings = (pageBytes - 35 - rowBytes) / postingSize
	rowBytes      = 8 + 8 + 8 + offsetSize
	// mergeFactor is how many postings each level merges for each posting that
	// is written: more than one, or merges would not be done when the next
	// ones begin.
	mergeFactor = 4
)

// index writes the runs that have become complete when a log grew to size, and
// goes on with the merges. It is part of the transaction that appends: a crash
// leaves a run with its coverage, or neither.
func (t *tx) index(log, size int64) error {
	covered, err := t.query().coverage(log)
	if err != nil {
		return err
	}
	for size-covered[1] >= span(1) {
		written, err := t.firstRun(log, covered[1]/span(1))
		if err != nil {
			return err
		}
		covered[1] += span(1)
		if err := t.cover(log, 1, covered[1]); err != nil {
			return err
		}
		// A block more than needed: runs without postings must end, too.
		quota := mergeFactor*written/blockPostings + 1
		for level := 2; level <= levels; level++ {
			if err := t.merge(log, level, &covered, quota); err != nil {
				return err
			}
			if err := t.drop(log, level-1, covered[level], quota); err != nil {
				return err
			}
		}
	}
	return nil
}

// coverage reads how far the runs of a log reach.
func (q queryer) coverage(log int64) (c coverage, err error) {
	err = q.each(`SELECT level, entries FROM coverage WHERE log = ?`, []any{log}, func(scan func(...any) error) error {
		var level, entries int64
		if err := scan(&level, &entries); err != nil {
			return err
		}
		if level < 1 || level > levels {
			return fmt.Errorf("index has a level %d", level)
		}
		c[level] = entries
		return nil
	})
	return c, err
}

// cover says that the runs of a level are complete up to an entry.
func (t *tx) cover(log int64, level int, entries int64) error {
	return t.exec(`INSERT INTO coverage (log, level, entries) VALUES (?, ?, ?)
		ON CONFLICT (log, level) DO UPDATE SET entries = excluded.entries`, log, level, entries)
}

// firstRun writes run n of level 1 from the keys of its entries, and returns
// how many postings it has.
func (t *tx) firstRun(log, n int64) (int, error) {
	from := n * span(1)
	postings, err := t.query().keys(log, from, from+span(1), from)
	if err != nil {
		return 0, err
	}
	sortPostings(postings)
	out := output{t: t, run: runID(log, 1, n)}
	for _, p := range postings {
		if err := out.add(p); err != nil {
			return 0, err
		}
	}
	return len(postings), out.flush()
}

// keys reads the keys of the entries from <= index < to, with offsets from
// base.
func (q queryer) keys(log, from, to, base int64) (postings []posting, err error) {
	err = q.each(`SELECT id, keys FROM entries WHERE id >= ? AND id < ? ORDER BY id`, []any{entryID(log, from), entryID(log, to)},
		func(scan func(...any) error) error {
			var id int64
			var encoded sql.RawBytes
			if err := scan(&id, &encoded); err != nil {
				return err
			}
			postings = decodeKeys(postings, encoded, id-entryID(log, base))
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read keys of entries %d to %d: %w", from, to, err)
	}
	return postings, nil
}

// merge goes on merging the next run of a level, if the runs it is made of are
// complete: quota blocks, or to its end. What is written of a run before it is
// covered is not looked at; where to go on is what its last block says.
func (t *tx) merge(log int64, level int, covered *coverage, quota int) error {
	if covered[level-1]-covered[level] < span(level) {
		return nil
	}
	n := covered[level] / span(level)
	out := output{t: t, run: runID(log, level, n)}
	last, err := blocks{t.query(), out.run}.lastPosting()
	if err != nil {
		return err
	}
	inputs := make([]*input, fanOut)
	for i := range inputs {
		base := int64(i) * span(level-1)
		inputs[i] = &input{blocks: blocks{t.query(), runID(log, level-1, n*fanOut+int64(i))}, base: base}
		if err := inputs[i].start(last); err != nil {
			return err
		}
	}
	for out.blocks < quota {
		first := least(inputs)
		if first == nil {
			covered[level] += span(level)
			if err := out.flush(); err != nil {
				return err
			}
			return t.cover(log, level, covered[level])
		}
		if err := out.add(first.head()); err != nil {
			return err
		}
		if err := first.next(); err != nil {
			return err
		}
	}
	return nil
}

// least returns the input with the least posting, nil if all are read.
func least(inputs []*input) (first *input) {
	for _, in := range inputs {
		if !in.done && (first == nil || in.head().compare(first.head()) < 0) {
			first = in
		}
	}
	return first
}

// drop deletes blocks of runs of a level that the next level covers up to some
// entry, quota of them at most.
func (t *tx) drop(log int64, level int, covered int64, quota int) error {
	from, to := runID(log, level, 0), runID(log, level, covered/span(level))
	var run, key, entry int64
	more := false
	err := t.query().each(`SELECT run, key, entry FROM postings WHERE run >= ? AND run < ?
		ORDER BY run, key, entry LIMIT 1 OFFSET ?`, []any{from, to, quota},
		func(scan func(...any) error) error {
			more = true
			return scan(&run, &key, &entry)
		})
	if err != nil {
		return fmt.Errorf("look for merged runs: %w", err)
	}
	if more {
		err = t.exec(`DELETE FROM postings WHERE run >= ? AND (run, key, entry) < (?, ?, ?)`, from, run, key, entry)
	} else {
		err = t.exec(`DELETE FROM postings WHERE run >= ? AND run < ?`, from, to)
	}
	if err != nil {
		return fmt.Errorf("drop merged runs: %w", err)
	}
	return nil
}

// output writes a run, block by block.
type output struct {
	t      *tx
	run    int64
	block  block
	blocks int // written
}

func (o *output) add(p posting) error {
	if o.block == nil {
		o.block = make(block, 0, blockPostings*postingSize)
	}
	o.block = o.block.add(p)
	if o.block.len() < blockPostings {
		return nil
	}
	return o.flush()
}

func (o *output) flush() error {
	if o.block.len() == 0 {
		return nil
	}
	first := o.block.at(0)
	err := o.t.exec(`INSERT INTO postings (run, key, entry, data) VALUES (?, ?, ?, ?)`, o.run, first.key, first.offset, []byte(o.block))
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	o.block, o.blocks = o.block[:0], o.blocks+1
	return nil
}

// input reads a run in order. Its postings have offsets in the run that it is
// merged into.
type input struct {
	blocks blocks
	base   int64 // offset of the run in that one
	block  block
	at     int
	done   bool
}

// start goes to the first posting, or to the first one after the last posting
// of the merge so far.
func (in *input) start(last *posting) (err error) {
	if last == nil {
		in.block, err = in.blocks.first()
	} else {
		after := posting{last.key, last.offset - in.base + 1}
		if in.block, err = in.blocks.floor(after); err == nil && in.block == nil {
			in.block, err = in.blocks.first()
		}
		in.at = in.block.search(after)
	}
	if err != nil {
		return err
	}
	return in.settle()
}

func (in *input) head() posting {
	p := in.block.at(in.at)
	return posting{p.key, p.offset + in.base}
}

func (in *input) next() error {
	in.at++
	return in.settle()
}

// settle goes to the next block at the end of one.
func (in *input) settle() (err error) {
	if in.at < in.block.len() {
		return nil
	}
	if in.block.len() > 0 {
		in.block, err = in.blocks.after(in.block.at(in.block.len() - 1))
	}
	in.at, in.done = 0, in.block.len() == 0
	return err
}
