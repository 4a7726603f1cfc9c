// SPDX-License-Identifier: Apache-2.0

package tlog

import "context"

// Leaf is what Append logs.
type Leaf struct {
	// Body is the leaf, at most MaxLeaf bytes.
	Body []byte
}

// Inclusion proves that a leaf is in the log.
type Inclusion struct {
	// Index is the leaf's index, Time its integratedTime (Unix seconds).
	Index int64
	Time  int64
	// TreeSize, Root and Proof are an RFC 6962 audit path; Checkpoint is the
	// signed note that commits to them.
	TreeSize   int64
	Root       Hash
	Proof      []Hash
	Checkpoint []byte
	// Existing says that the leaf was in the log before this call.
	Existing bool
}

// Log is an open log.
type Log struct{}

// Create makes a log: a row with the signed checkpoint of the empty tree.
// ErrLogExists if there is one of that name.
func Create(ctx context.Context, st Storage, cfg Config) error { panic("unwritten") }

// Load opens a log. ErrNoLog if it was never created.
func Load(ctx context.Context, st Storage, cfg Config) (*Log, error) { panic("unwritten") }

// Append logs a leaf.
func (l *Log) Append(ctx context.Context, leaf Leaf) (Inclusion, error) { panic("unwritten") }

// Close ends the log.
func (l *Log) Close(ctx context.Context) error { panic("unwritten") }

// Checkpoint returns the published checkpoint.
func (l *Log) Checkpoint() []byte { panic("unwritten") }

// ID is the log's id.
func (l *Log) ID() []byte { panic("unwritten") }
