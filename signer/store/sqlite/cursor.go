// SPDX-License-Identifier: Apache-2.0

package sqlite

// cursor finds the entries of a run that have a key, in either direction.
type cursor struct {
	blocks
	key      int64
	from, to int64 // offsets that are asked for, from <= offset < to
	newest   bool

	block block // the last one read
}

// begin returns the first offset to seek.
func (c *cursor) begin() int64 {
	if c.newest {
		return c.to - 1
	}
	return c.from
}

// step returns the offset behind one that was found.
func (c *cursor) step(offset int64) int64 {
	if c.newest {
		return offset - 1
	}
	return offset + 1
}

// seek returns the next offset that has the key, offset itself or behind it.
func (c *cursor) seek(offset int64) (int64, bool, error) {
	target := posting{c.key, offset}
	if !c.block.covers(target) {
		var err error
		if c.block, err = c.floor(target); err != nil {
			return 0, false, err
		}
	}
	i := c.block.search(target)
	switch {
	case c.newest && (i == c.block.len() || c.block.at(i) != target):
		i-- // the last one before target, which the same block has
	case !c.newest && i == c.block.len():
		var err error
		if c.block, err = c.after(target); err != nil {
			return 0, false, err
		}
		i = 0
	}
	if i < 0 || i >= c.block.len() {
		return 0, false, nil
	}
	found := c.block.at(i)
	return found.offset, found.key == c.key && c.from <= found.offset && found.offset < c.to, nil
}

// covers says whether a posting, if there is one, is in this block.
func (b block) covers(p posting) bool {
	return b.len() > 0 && b.at(0).compare(p) <= 0 && b.at(b.len()-1).compare(p) >= 0
}
