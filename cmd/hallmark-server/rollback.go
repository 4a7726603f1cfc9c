// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// maxCheckpoint bounds a file with a checkpoint, bytes: room for the signatures
// of many witnesses.
const maxCheckpoint = 64 << 10

// shownCheckpoint is a checkpoint that a log must not be older than.
type shownCheckpoint struct {
	source string // for people
	note   []byte
}

// readShown reads the checkpoints that the operator shows, by the origin of
// their log, together with those in the manifest. Every log that takes entries
// must have one of the operator's: which of the others is the newest, nobody
// else can know.
func readShown(o restoreOptions, m *manifest) (map[string][]shownCheckpoint, error) {
	shown := map[string][]shownCheckpoint{}
	for _, path := range o.notBefore {
		note, err := readBounded(path, maxCheckpoint)
		if err != nil {
			return nil, usageError{fmt.Errorf("read checkpoint: %w", err)}
		}
		origin, _, _ := strings.Cut(string(note), "\n")
		shown[origin] = append(shown[origin], shownCheckpoint{path, note})
	}
	known := map[string]bool{}
	var missing []string
	for _, l := range m.Logs {
		known[l.Origin] = true
		if l.State == string(tlog.Active) && len(shown[l.Origin]) == 0 {
			missing = append(missing, fmt.Sprintf("%s (%s)", l.Name, l.Origin))
		}
	}
	for origin, notes := range shown {
		if !known[origin] {
			return nil, noError{fmt.Errorf("restore: %s is a checkpoint of %q, and the backup has no such log: it is older than that log, or of another deployment", notes[0].source, origin)}
		}
	}
	if len(missing) > 0 && !o.unsafe {
		return nil, usageError{fmt.Errorf("restore: no checkpoint was shown of log %s (hint: --not-before FILE for each; or --without-checkpoint-unsafe, which forks the log if it has grown since the backup)", strings.Join(missing, ", "))}
	}
	for _, l := range m.Logs {
		shown[l.Origin] = append(shown[l.Origin], shownCheckpoint{"the backup's manifest", []byte(l.Checkpoint)})
	}
	return shown, nil
}

// refuseOlder refuses a backup that cannot reach a checkpoint, before anything
// of it is restored: a PostgreSQL database could not be emptied again.
func refuseOlder(m *manifest, material trustroot.Material, shown map[string][]shownCheckpoint) error {
	var refused []error
	for _, l := range m.Logs {
		for _, s := range shown[l.Origin] {
			// Any key that verifiers believe: the log's own is in the copy.
			for _, known := range material.Logs {
				if c, err := tlog.ParseCheckpoint(s.note, l.Origin, known.Key); err == nil && c.Size > l.AtMost {
					refused = append(refused, olderError(l.Name, l.AtMost, c.Size))
				}
			}
		}
	}
	return rollbackError(refused)
}

func olderError(log string, size, shown int64) error {
	return fmt.Errorf("log %s of the backup has %d entries, a checkpoint was shown of %d", log, size, shown)
}

// rollbackError is nil if nothing was refused.
func rollbackError(refused []error) error {
	if len(refused) == 0 {
		return nil
	}
	return noError{fmt.Errorf("restore: %w: going on from there would be a second history, a fork (hint: a newer backup; or --freeze-older, which brings the log back to be read only, and then hallmark-server log add starts the next one)", errors.Join(refused...))}
}

// checkRestored decides whether the logs of a restored database may go on, and
// freezes those that may not and shall be kept.
func checkRestored(ctx context.Context, db store.Database, material trustroot.Material, m *manifest, shown map[string][]shownCheckpoint, o restoreOptions, r *restored) error {
	checked, err := checkDatabase(ctx, db, material)
	if err != nil {
		return err
	}
	if n := checked.problems(); n > 0 {
		var problems strings.Builder
		checked.print(&problems)
		return noError{fmt.Errorf("restore: the copy is damaged, problems found: %d\n%s", n, problems.String())}
	}
	rows, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	for _, l := range m.Logs {
		if _, err := db.Log(ctx, l.Name); err != nil {
			return noError{fmt.Errorf("restore: the copy lacks a log of the manifest: %w", err)}
		}
	}
	var refused []error
	for _, row := range rows {
		l, err := compare(ctx, db, row, shown[row.Origin])
		if err != nil {
			return err
		}
		if l.Older && row.State != tlog.Frozen {
			if !o.freezeOlder {
				refused = append(refused, olderError(l.Name, l.Size, l.Shown))
				continue
			}
			if err := db.Freeze(ctx, row.Name); err != nil {
				return err
			}
			l.State = string(tlog.Frozen)
		}
		r.Logs = append(r.Logs, l)
	}
	return rollbackError(refused)
}

// compare holds a log against all checkpoints that were shown of it. A log that
// is not their continuation is an error.
func compare(ctx context.Context, db store.Database, row tlog.LogRow, shown []shownCheckpoint) (_ restoredLog, err error) {
	l := restoredLog{Name: row.Name, Kind: string(row.Kind), Origin: row.Origin, State: string(row.State), Size: row.Head.Size}
	key, err := publicKeyOf(row)
	if err != nil {
		return l, err
	}
	log, err := tlog.Load(ctx, db, tlog.Config{Name: row.Name, Origin: row.Origin, Signer: onlyPublic{key}})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	for _, s := range shown {
		c, err := tlog.ParseCheckpoint(s.note, row.Origin, key)
		if err != nil {
			return l, noError{fmt.Errorf("restore: %s is no checkpoint of log %s: %w", s.source, row.Name, err)}
		}
		l.Shown = max(l.Shown, c.Size)
		if c.Size > row.Head.Size {
			l.Older = true
			continue
		}
		if err := continues(ctx, log, row.Head, c); err != nil {
			return l, noError{fmt.Errorf("restore: log %s of the backup is not what %s (%d entries) went on to: %w: two histories were signed with one key (hint: keep both, nobody can trust this log's key any more)", row.Name, s.source, c.Size, err)}
		}
	}
	return l, nil
}

// continues says whether a log is the continuation of a checkpoint.
func continues(ctx context.Context, log *tlog.Log, head tlog.Head, c tlog.Checkpoint) error {
	if c.Size == 0 {
		return nil // every log begins with nothing
	}
	proof, err := log.ProveConsistency(ctx, c.Size, head.Size)
	if err != nil {
		return err
	}
	return merkle.CheckTree(proof, head.Size, head.Root, c.Size, c.Root)
}

// onlyPublic is the public half of a log's key in the place of the whole: with
// it a log can be read and not written.
type onlyPublic struct{ key crypto.PublicKey }

// Public implements crypto.Signer.
func (k onlyPublic) Public() crypto.PublicKey { return k.key }

// Sign implements crypto.Signer. It refuses.
func (k onlyPublic) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("only the public key is here")
}
