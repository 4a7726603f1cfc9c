// SPDX-License-Identifier: Apache-2.0

// Package tlog is an append-only Merkle tree log (RFC 6962 hashing, C2SP
// checkpoints and tiles) whose every append is one durable transaction.
//
// A log is a row in a Storage: a name, an origin, a key, and a head, which is
// the size and root of the tree together with the signed checkpoint that
// commits to them. Create makes that row once; Load opens it and never makes
// one, so that a wrong path cannot fork a log.
//
// Append hands a leaf to a pool. One goroutine takes the pool as a batch,
// locks the log's row, looks up which leaves are already in the log, extends
// the right edge of the tree in memory, signs the new checkpoint and commits
// entries, tiles and head together (batch.go; it is the design). While it
// commits, the next batch pools: there is no timer, an idle log answers after
// one commit and a busy one shares each commit among many entries. Only when a
// commit is certain is the new tree published, by swapping one pointer to an
// immutable snapshot; checkpoints, tiles and proofs are all served from
// snapshots, so nothing beyond a committed checkpoint can be seen.
//
// A commit whose answer was lost is not guessed at. The same batch is run
// again: the lock orders it after whatever happened, and leaves that made it
// are found as existing entries. Recovery is the ordinary path.
//
// Other processes may append to the same log (Config.Shared). A batch then finds
// under the lock what they committed and extends its edge by it; a read that
// asks for something newer than this process knows looks at storage first, one
// look for all who ask at that moment. Either way a tree is believed only if it
// is signed and continues the one that was published (follow.go).
//
// Logs of one kind are shards. A log is created pending, its key is made known,
// then Storage.Activate freezes the active log and puts the new one behind it in
// the global order. A frozen log answers for ever for what it has. A Set is all
// of them: it appends to the active one, wherever another process has moved
// that, and answers for leaves that an older shard has.
//
// FsckAll reads every log again and recomputes every hash.
package tlog
