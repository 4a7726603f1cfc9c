// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A backup is a database file and, behind its last page, where SQLite does not
// look, the SHA-256 of it and sealMagic: SQLite's own check does not see a body
// or a receipt with a wrong byte.
const (
	sealMagic = "hallmark backup\n"
	sealBytes = sha256.Size + len(sealMagic)
)

// seal ends a backup.
func seal(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, fileMode) //nolint:gosec // a name of our own
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, contextReader{ctx, f})
	if err == nil {
		_, err = f.Write(append(sum.Sum(nil), sealMagic...))
	}
	return errors.Join(err, f.Close())
}

// Restore makes a database of a backup: a copy at a path where there is no
// file, after its seal, SQLite and Damage found nothing wrong with it.
// store.ErrExists if there is one, store.ErrNoDatabase if backup is not there,
// tlog.ErrCorrupt if it is damaged.
func Restore(ctx context.Context, backup, path string) error {
	err := place(path, func(draft string) error {
		if err := copyBackup(ctx, backup, draft); err != nil {
			return err
		}
		db, err := OpenReadOnly(ctx, draft)
		if err != nil {
			return err
		}
		problems, err := db.Damage(ctx)
		if err == nil && len(problems) > 0 {
			err = fmt.Errorf("%w: %s", tlog.ErrCorrupt, strings.Join(problems, "; "))
		}
		return errors.Join(err, db.Close())
	})
	if err != nil {
		return fmt.Errorf("restore %s to %s: %w", backup, path, err)
	}
	return nil
}

// copyBackup copies what has a seal, without it.
func copyBackup(ctx context.Context, from, to string) error {
	in, err := os.Open(from) //nolint:gosec // the operator's own path
	if errors.Is(err, os.ErrNotExist) {
		return store.ErrNoDatabase
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	var end [sealBytes]byte
	size := info.Size() - int64(sealBytes)
	if size > 0 {
		_, err = in.ReadAt(end[:], size)
	}
	if err != nil {
		return err
	}
	if string(end[sha256.Size:]) != sealMagic {
		return errors.New("not a backup, or not all of one (hint: hallmark-server backup makes one)")
	}
	out, err := os.OpenFile(to, os.O_WRONLY, fileMode) //nolint:gosec // a name of our own
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), io.LimitReader(contextReader{ctx, in}, size))
	if err == nil && !bytes.Equal(sum.Sum(nil), end[:sha256.Size]) {
		err = fmt.Errorf("%w: its SHA-256 is not the one it ends with", tlog.ErrCorrupt)
	}
	return errors.Join(err, out.Close())
}
