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

// Kind says which API a log speaks. Logs of one kind are shards: one of them
// is active, those before it are frozen, the next one may be pending.
type Kind string

// The kinds of logs.
const (
	V1 Kind = "v1" // Rekor v1 REST, see package rekorv1
	V2 Kind = "v2" // Rekor v2 and C2SP tlog-tiles, see package rekorv2
)

// State is where a log is in its life. It only moves forward.
type State string

// The states of a log.
const (
	// Pending: created, its key is being made known, nobody is sent to it.
	Pending State = "pending"
	// Active: new entries of its kind go here.
	Active State = "active"
	// Frozen: it takes no entry any more, for good, and is read for ever.
	Frozen State = "frozen"
)

// Unplaced is the FirstIndex of a log that has never been active.
const Unplaced int64 = -1

// LogRow is what storage knows about a log.
type LogRow struct {
	// Name is unique and never reused, for example "v2" or "v1-2".
	Name string
	Kind Kind
	// TreeID is unique in the deployment, 1 to 2^63-1, chosen at random. Rekor
	// v1 entry ids begin with it.
	TreeID int64
	State  State
	// FirstIndex is the global index of the log's first entry: how many entries
	// the shards of its kind before it have. It is Unplaced until the log
	// becomes active, and never changes then. A log that was frozen without ever
	// being active stays Unplaced: it is not part of the global order.
	FirstIndex int64
	Origin     string
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
	// Keys are what the entry shall be found by, see Leaf.Keys: distinct. It is
	// set in a Write only: they are not read back.
	Keys []string
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
	// CreateLog inserts a log with its first head. A pending log is Unplaced.
	// An active one gets its FirstIndex as by Activate, whatever row says.
	// ErrLogExists if the name or the tree id is taken, or if the row is active
	// and its kind has an active log.
	CreateLog(ctx context.Context, row LogRow) error
	// Log reads a log's row. ErrNoLog if there is none.
	Log(ctx context.Context, name string) (LogRow, error)
	// Logs reads all rows, in the order in which the logs were created.
	Logs(ctx context.Context) ([]LogRow, error)
	// Activate makes a pending log the active one of its kind and freezes the
	// one that was, in one transaction under the locks of both rows, which also
	// sets its FirstIndex: the largest FirstIndex + Head.Size of the logs of its
	// kind that are not Unplaced, zero if there are none. For an active log it
	// does nothing. ErrNoLog, ErrFrozen.
	Activate(ctx context.Context, name string) error
	// Freeze ends a pending or active log without a successor, under the row's
	// lock. For a frozen log it does nothing. ErrNoLog.
	Freeze(ctx context.Context, name string) error
	// Commit runs one batch in one transaction: lock the log's row, read what
	// Locked holds, call plan once, write what it returns. If plan returns an
	// error the transaction is rolled back and that error returned (wrapped).
	// If the write is empty nothing is written. ErrNoLog if there is no such
	// log. A frozen log is locked and looked up like any other, with
	// Locked.Frozen set; writing to it is ErrFrozen.
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
	// Search finds entries by the keys they were written with, in the order and
	// number that the query asks for. Storage may keep keyed hashes of the keys
	// instead of the keys, cut to 8 bytes: a hit is then wrong with a
	// probability of one in 2^64 for each key in the index, and whoever does
	// not know the database's secret cannot raise it. ErrNoLog if q.After is in
	// no log; names in q.Logs that no log has find nothing.
	Search(ctx context.Context, q Query) ([]Position, error)
}

// Position is an entry's place among all logs.
type Position struct {
	Log   string
	Index int64
}

// Query selects entries by keys. Positions are ordered by the order in which
// logs were created, then by index.
type Query struct {
	// Keys are 1 to MaxQueryKeys distinct keys, see Leaf.Keys.
	Keys []string
	// All asks for entries that have every key, instead of any of them.
	All bool
	// Logs restricts the search to logs of these names; none means all.
	Logs []string
	// After is where the last page ended, exclusive; nil means the beginning.
	After *Position
	// Newest reverses the order: the beginning is then the end.
	Newest bool
	// Limit is the length of a page, 1 to MaxPage.
	Limit int
}

const (
	// MaxQueryKeys bounds what one search costs.
	MaxQueryKeys = 32
	// MaxPage bounds what one search answers.
	MaxPage = 1000
)

// Batch is what Commit needs to know before it takes the lock, so that a
// database across a network can answer everything in one round trip.
type Batch struct {
	Log string
	// Leaves are to be looked up. They are distinct.
	Leaves []Hash
	// More, if set, returns leaves that have come since, none of them in
	// Leaves. A storage in which Commit waits long for the row's lock, because
	// other processes append too, calls it once under the lock, before plan,
	// and looks these up as well: batches grow with the time they waited.
	// Others need not.
	More func() []Hash
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
	// Frozen says that nothing may be written.
	Frozen bool
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
