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
// Fsck reads a whole log again and recomputes every hash.
package tlog
