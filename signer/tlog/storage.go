// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Hash is an RFC 6962 SHA-256 node.
type Hash = merkle.Hash

// Head is the committed state of a log.
type Head struct {
	// Size is the number of entries.
	Size int64
	// Root is the RFC 6962 tree hash of that size.
	Root Hash
	// Time is the integratedTime of the last entry, Unix seconds. It never
	// decreases.
	Time int64
	// Checkpoint is the signed note that commits to Size and Root.
	Checkpoint []byte
}

// LogRow is what Create stores about a log.
type LogRow struct {
	Name   string
	Origin string
	// Key is the DER SubjectPublicKeyInfo of the checkpoint key.
	Key  []byte
	Head Head
}

// Entry is one committed leaf.
type Entry struct {
	Index int64
	// Time is the integratedTime, Unix seconds.
	Time int64
	// Hash is SHA-256(0x00 || Body), the leaf hash, for Storage to look up
	// again. It is set in a Write; who reads entries computes it from Body.
	Hash Hash
	Body []byte
}

// Place is where a leaf is.
type Place struct {
	Index int64
	Time  int64
}

// TileID names a tile of height TileHeight: node n of level l covers leaves
// n<<(8*(l+1)) and up. Level 0 holds leaf hashes.
type TileID struct {
	Level int
	N     int64
}

// StoredTile is a tile as it is kept, see tile.go for the format of Data.
type StoredTile struct {
	TileID
	Data []byte
}

// Storage keeps logs. It is one SQL database, or behaves like one.
//
// Durability: when CreateLog or Commit return nil, what they wrote survives a
// crash and power loss. When they return an error, everything or nothing of it
// was written, and only a later Commit, which takes the lock, can tell.
//
// Isolation: Commit calls on one log run one after the other, also across
// processes, from before the head is read until the transaction has ended.
// Reads see committed data only.
//
// All methods may be called concurrently. Storage does no retries.
type Storage interface {
	// CreateLog inserts a log with its first head. ErrLogExists if the name
	// is taken.
	CreateLog(ctx context.Context, row LogRow) error
	// Log reads a log's row. ErrNoLog if there is none.
	Log(ctx context.Context, name string) (LogRow, error)
	// Commit runs one batch in one transaction: lock the log's row, read what
	// Locked holds, call plan once, write what it returns. If plan returns an
	// error the transaction is rolled back and that error returned (wrapped).
	// If the write is empty nothing is written. ErrNoLog if there is no such
	// log.
	//
	// Once plan has returned, Commit must see the transaction through, even
	// if ctx ends meanwhile.
	Commit(ctx context.Context, b Batch, plan func(Locked) (Write, error)) error
	// Find looks up leaves by hash. Those that are not in the log are missing
	// from the answer.
	Find(ctx context.Context, log string, leaves []Hash) (map[Hash]Place, error)
	// Entries reads the entries with from <= index < to, in order. Indexes
	// that do not exist are left out: contiguity is for the caller to check.
	// The caller bounds to-from.
	Entries(ctx context.Context, log string, from, to int64) ([]Entry, error)
	// Tiles reads stored tiles, in the order asked; nil for one that does not
	// exist.
	Tiles(ctx context.Context, log string, ids []TileID) ([][]byte, error)
}

// Batch is what Commit needs to know before it takes the lock, so that a
// database across a network can answer everything in one round trip.
type Batch struct {
	Log string
	// Leaves are to be looked up. They are distinct.
	Leaves []Hash
	// EdgeSize is the tree size that the caller has in memory.
	EdgeSize int64
	// Fault is nil in production. Tests have it called at BeforeCommit and
	// AfterCommit; if it returns an error, the storage behaves as if its
	// connection had broken there: it returns that error, and the transaction
	// is gone (BeforeCommit) or durable (AfterCommit).
	Fault func(Point) error
}

// Locked is the state of the log under the lock.
type Locked struct {
	Head Head
	// Existing holds those of Batch.Leaves that are in the log.
	Existing map[Hash]Place
	// Missed are the leaf hashes of the entries EdgeSize <= index < Head.Size
	// if there are at most MaxMissed of them, else nil.
	Missed []Hash
}

// MaxMissed bounds Locked.Missed: an edge that is further behind is rebuilt
// from tiles, which is cheaper than a million hashes under the lock.
const MaxMissed = 1024

// Write is one batch.
type Write struct {
	// Entries are new, their indexes start at the locked Head.Size and are
	// contiguous.
	Entries []Entry
	// Tiles are new or replace what is stored under their id.
	Tiles []StoredTile
	Head  Head
}

// Point names a place in the life of a batch where a test can cut the power.
type Point string

// The points of a batch, in order.
const (
	// Taken: the batch left the pool, nothing has been asked of storage.
	Taken Point = "taken"
	// InLock: the row is locked, the head is read.
	InLock Point = "locked"
	// Signed: the new checkpoint is signed, nothing is written.
	Signed Point = "signed"
	// BeforeCommit: all rows are written, the transaction is not committed.
	BeforeCommit Point = "before-commit"
	// AfterCommit: the commit is durable, nobody knows.
	AfterCommit Point = "after-commit"
	// Published: the new checkpoint is served, nobody was acknowledged.
	Published Point = "published"
)

// Points lists every Point, for tests that visit all.
func Points() []Point {
	return []Point{Taken, InLock, Signed, BeforeCommit, AfterCommit, Published}
}
