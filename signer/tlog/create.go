// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
)

// Birth is what is decided about a log once, when it is created.
type Birth struct {
	Kind Kind
	// TreeID is from NewTreeID. The origin of a v1 log ends in it.
	TreeID int64
	// State is Pending, for a log whose key has to be made known first, or
	// Active, for the first log of its kind.
	State State
}

// NewTreeID makes up a tree id.
func NewTreeID() int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := int64(binary.BigEndian.Uint64(b[:]) & math.MaxInt64); id > 0 {
			return id
		}
	}
}

// Create makes a log: a row with the signed checkpoint of the empty tree.
// ErrLogExists if there is one of that name, tree id, origin or key, or if it
// shall be active and its kind has an active log.
func Create(ctx context.Context, st Storage, cfg Config, birth Birth) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	row, err := newRow(cfg, birth)
	if err == nil {
		err = apart(ctx, st, row)
	}
	if err == nil {
		err = st.CreateLog(ctx, row)
	}
	if err != nil {
		return fmt.Errorf("create log %q: %w", cfg.Name, err)
	}
	return nil
}

// newRow is a log that nobody has written to.
func newRow(cfg Config, birth Birth) (LogRow, error) {
	if err := birth.check(cfg.Origin); err != nil {
		return LogRow{}, err
	}
	key, err := newNoteKey(cfg.Origin, cfg.Signer.Public())
	if err != nil {
		return LogRow{}, err
	}
	key.signer = cfg.Signer
	head := Head{Root: newSnapshot(&edge{}).root()}
	head.Checkpoint, err = key.sign(Checkpoint{Origin: cfg.Origin, Size: 0, Root: head.Root})
	return LogRow{
		Name: cfg.Name, Kind: birth.Kind, TreeID: birth.TreeID, State: birth.State, FirstIndex: Unplaced,
		Origin: cfg.Origin, Key: key.spki, Head: head,
	}, err
}

// check says whether a log of that origin can be born so.
func (b Birth) check(origin string) error {
	if b.TreeID < 1 {
		return fmt.Errorf("tree id %d is not positive", b.TreeID)
	}
	if b.State != Pending && b.State != Active {
		return fmt.Errorf("a log is created %s or %s, not %q", Pending, Active, b.State)
	}
	id, isV1 := TreeIDOf(origin)
	switch {
	case b.Kind == V1 && (!isV1 || id != b.TreeID):
		return fmt.Errorf("origin %q of a v1 log does not end in \" - %d\"", origin, b.TreeID)
	case b.Kind == V2 && isV1:
		return fmt.Errorf("origin %q of a v2 log has the form of v1", origin)
	case b.Kind != V1 && b.Kind != V2:
		return fmt.Errorf("no kind of log is called %q", b.Kind)
	}
	return nil
}

// apart says whether clients can tell a new log from those that exist: trusted
// roots know logs by their keys, monitors and v2 requests by their origins. It
// is a guard against mistakes; names and tree ids are also unique in storage.
func apart(ctx context.Context, st Storage, row LogRow) error {
	rows, err := st.Logs(ctx)
	if err != nil {
		return err
	}
	for i := range rows {
		switch other := &rows[i]; {
		case other.Name == row.Name:
			return ErrLogExists
		case other.TreeID == row.TreeID:
			return fmt.Errorf("%w: log %q has tree id %d", ErrLogExists, other.Name, row.TreeID)
		case other.Origin == row.Origin:
			return fmt.Errorf("%w: log %q has the origin %q", ErrLogExists, other.Name, row.Origin)
		case bytes.Equal(other.Key, row.Key):
			return fmt.Errorf("%w: log %q has the same key (hint: every log needs a key of its own)", ErrLogExists, other.Name)
		}
	}
	return nil
}
