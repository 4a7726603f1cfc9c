// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// keySize is the size of a hashed key, bytes.
const keySize = 8

func encodeKeys(keys []int64) []byte {
	b := make([]byte, 0, len(keys)*keySize)
	for _, k := range keys {
		b = binary.BigEndian.AppendUint64(b, uint64(k)) //nolint:gosec // bits
	}
	return b
}

// Search implements tlog.Storage.
func (db *DB) Search(ctx context.Context, q tlog.Query) (found []tlog.Position, err error) {
	keys, err := store.QueryKeys(db.secret, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	err = db.snapshot(ctx, func(qr queryer) error {
		rows, ids, err := qr.logs()
		if err != nil {
			return err
		}
		at := -1
		if q.After != nil {
			at = slices.IndexFunc(rows, func(r tlog.LogRow) bool { return r.Name == q.After.Log })
			if at < 0 {
				return fmt.Errorf("%w: %q", tlog.ErrNoLog, q.After.Log)
			}
		}
		for n := range rows {
			i := n
			if q.Newest {
				i = len(rows) - 1 - n
			}
			lo, hi := int64(0), rows[i].Head.Size
			switch {
			case len(q.Logs) > 0 && !slices.Contains(q.Logs, rows[i].Name):
				continue
			case at >= 0 && i != at && (i > at) == q.Newest:
				continue
			case i == at && q.Newest:
				hi = min(hi, q.After.Index)
			case i == at:
				lo = max(lo, q.After.Index+1)
			}
			if lo >= hi {
				continue
			}
			hits, err := qr.searchTail(ids[i], lo, hi, keys, q.All, q.Newest)
			if err != nil {
				return err
			}
			for _, h := range hits {
				if len(found) < q.Limit {
					found = append(found, tlog.Position{Log: rows[i].Name, Index: h})
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return found, nil
}

func (q queryer) searchTail(id, lo, hi int64, keys []int64, all, newest bool) (hits []int64, err error) {
	err = q.each(`SELECT id, keys FROM entries WHERE id >= ? AND id < ?`, []any{entryID(id, lo), entryID(id, hi)}, func(scan func(...any) error) error {
		var index int64
		var have []byte
		if err := scan(&index, &have); err != nil {
			return err
		}
		n := 0
		for ; len(have) >= keySize; have = have[keySize:] {
			if _, ok := slices.BinarySearch(keys, int64(binary.BigEndian.Uint64(have))); ok { //nolint:gosec // bits
				n++
			}
		}
		if n == len(keys) || n > 0 && !all {
			hits = append(hits, index-entryID(id, 0))
		}
		return nil
	})
	if newest {
		slices.Reverse(hits)
	}
	return hits, err
}
