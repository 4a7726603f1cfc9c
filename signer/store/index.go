// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// IndexKey is what a database keeps of an index key: 8 bytes of a hash, because
// the size of keys decides what an append costs. The secret, which is random
// and never leaves the database, keeps writers from choosing keys that collide:
// a hit is wrong with a probability of one in 2^64 for each key in the index,
// whatever they do. It does not make keys confidential.
func IndexKey(secret [32]byte, key string) int64 {
	h := sha256.New()
	h.Write(secret[:])
	h.Write([]byte(key))
	return int64(binary.BigEndian.Uint64(h.Sum(nil))) //nolint:gosec // all 64 bits are wanted
}

// IndexKeys returns the distinct IndexKey of keys, in ascending order.
// tlog.ErrBadKeys if there are more than limit, or one is empty or too long.
func IndexKeys(secret [32]byte, keys []string, limit int) ([]int64, error) {
	if len(keys) > limit {
		return nil, fmt.Errorf("%w: %d keys, the limit is %d", tlog.ErrBadKeys, len(keys), limit)
	}
	hashes := make([]int64, len(keys))
	for i, key := range keys {
		if key == "" || len(key) > tlog.MaxKey {
			return nil, fmt.Errorf("%w: one has %d bytes, the limits are 1 and %d", tlog.ErrBadKeys, len(key), tlog.MaxKey)
		}
		hashes[i] = IndexKey(secret, key)
	}
	slices.Sort(hashes)
	return slices.Compact(hashes), nil
}

// QueryKeys is IndexKeys of a query, whose other bounds it checks as well.
func QueryKeys(secret [32]byte, q tlog.Query) ([]int64, error) {
	if len(q.Keys) == 0 {
		return nil, fmt.Errorf("%w: a query without keys", tlog.ErrBadKeys)
	}
	if q.Limit < 1 || q.Limit > tlog.MaxPage {
		return nil, fmt.Errorf("a page of %d, the limits are 1 and %d", q.Limit, tlog.MaxPage)
	}
	return IndexKeys(secret, q.Keys, tlog.MaxQueryKeys)
}
