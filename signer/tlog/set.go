// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto"
)

// Set is all logs of a deployment: the active one of each kind, and the shards
// before it. It follows what other processes do to the logs, such as freezing
// one and activating the next.
type Set struct{}

// SetConfig describes a Set.
type SetConfig struct {
	// Signer opens the key of a log. It is called for every log that is loaded,
	// frozen ones too: Rekor v1 signs each answer.
	Signer func(row LogRow) (crypto.Signer, error)
	// Config is the part that all logs share: Name, Origin and Signer are
	// ignored.
	Config Config
}

// LoadSet opens all logs that storage has. ErrNoLog if there are none.
func LoadSet(ctx context.Context, st Storage, cfg SetConfig) (*Set, error) { panic("unwritten") }

// Active returns the active log of a kind. ErrNoLog if there is none, ErrFrozen
// if the last one was frozen without a successor.
func (s *Set) Active(ctx context.Context, kind Kind) (*Log, error) { panic("unwritten") }

// Logs returns the logs of a kind that are or were active, oldest first. Kind
// "" means all.
func (s *Set) Logs(ctx context.Context, kind Kind) ([]*Log, error) { panic("unwritten") }

// Append logs a leaf in the active log of a kind and says which that was. A
// leaf that a frozen shard of that kind has is answered from there.
func (s *Set) Append(ctx context.Context, kind Kind, leaf Leaf) (*Log, Inclusion, error) {
	panic("unwritten")
}

// Search finds entries of all logs, see Storage.Search.
func (s *Set) Search(ctx context.Context, q Query) ([]Position, error) { panic("unwritten") }

// Close closes all logs, see Log.Close.
func (s *Set) Close(ctx context.Context) error { panic("unwritten") }

// Row is what storage knows about the log; its Head is the published one.
func (l *Log) Row() LogRow { panic("unwritten") }

// Entry returns the entry at an index of the published log and its proof.
// ErrNotFound if the log is smaller.
func (l *Log) Entry(ctx context.Context, index int64) (Entry, Inclusion, error) {
	panic("unwritten")
}

// Sign signs a message with the log's key: ECDSA over its SHA-256 (ASN.1), or
// Ed25519. Rekor v1 answers carry such signatures (signed entry timestamps).
func (l *Log) Sign(message []byte) ([]byte, error) { panic("unwritten") }
