// SPDX-License-Identifier: Apache-2.0

// Package spool holds large documents while the request that brought them is
// worked on.
//
// A document of 256 MB must not be in memory, and cannot go straight to the
// registry: nothing of a request is kept before all of it has been read and found
// good. So it is hashed and written to a file of the deployment's own folder. The
// file has no name while it is used, so that it is gone with the request, the
// process or the power, whichever ends first; what the instant between its
// creation and the loss of its name has left is removed at the next start. All
// files together have a limit, and whoever comes when it is reached is told to come
// again. Each tenant has a share of it, so that none of them is told so because of
// one other.
package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// step is how much room is taken at a time, bytes: a document says nothing of
	// its size before it has come.
	step = 1 << 20
	// documents is how many a request has.
	documents = 16
	// buffer is what receiving a document takes of memory, bytes.
	buffer = 64 << 10
	// prefix begins the names of files.
	prefix = "document-"
)

// Area is a folder with a limit. It is safe for concurrent use.
type Area struct {
	dir          string
	limit, share int64

	mu      sync.Mutex       // guards what follows
	used    int64            // room
	tenants map[string]taken // only of who has any
}

// taken is what a tenant has: the bytes of its documents, and what room they take
// besides, which is most of that of small ones.
type taken struct{ bytes, besides int64 }

// comeAgain is when somebody whose share is taken is told to come again: large
// documents are worked on for seconds.
const comeAgain = 10 * time.Second

// Open makes the folder if it is not there, and removes what a process has left
// in it that did not end in order. Servers that share a folder do each other no
// harm: a file in use has no name.
//
// share is the most that one tenant has of the limit.
func Open(dir string, limit, share int64) (*Area, error) {
	if limit < step || share <= 0 || share > limit {
		return nil, fmt.Errorf("open spool %s: a limit of %d bytes, of which %d are one tenant's share, holds nothing", dir, limit, share)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("open spool: %w", err)
			}
		}
	}
	return &Area{dir: dir, limit: limit, share: share, tenants: map[string]taken{}}, nil
}

// held is a document in the area, until it is forgotten.
type held struct {
	signer.Stored
	file   *os.File
	area   *Area
	tenant string
	room   int64  // that it takes
	counts taken  // what counts for its tenant
	name   string // until it is lost
}

// Receive implements api.Spool: it reads r to its end, hashes it and keeps it for a
// tenant, until forget, which may be called twice. More than limit bytes are an
// attest.ErrTooLarge; no room, in the area or on the disk, is a signer.ErrBusy, and
// none in the tenant's share a *signer.OverQuota. An error of r comes back as it
// is. Nothing is left after an error.
func (a *Area) Receive(tenant string, r io.Reader, limit int64) (d signer.Stored, forget func(), err error) {
	f, err := a.hold(tenant)
	if err != nil {
		return signer.Stored{}, nil, err
	}
	if err := f.fill(r, limit); err != nil {
		f.forget()
		return signer.Stored{}, nil, err
	}
	return f.Stored, f.forget, nil
}

// hold makes the file.
func (a *Area) hold(tenant string) (*held, error) {
	file, err := os.CreateTemp(a.dir, prefix)
	if err != nil {
		return nil, full(err)
	}
	f := &held{file: file, area: a, tenant: tenant, name: file.Name()}
	// A server that starts beside this one may have been faster.
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.forget()
		return nil, fmt.Errorf("keep document: %w", err)
	}
	f.name = ""
	return f, nil
}

// fill reads the document into it.
func (f *held) fill(r io.Reader, limit int64) (err error) {
	hash := sha256.New()
	chunk := make([]byte, buffer)
	for {
		n, readErr := r.Read(chunk)
		if f.Size += int64(n); f.Size > limit {
			return fmt.Errorf("%w: more than %d bytes", attest.ErrTooLarge, limit)
		}
		if err := f.take(); err != nil {
			return err
		}
		hash.Write(chunk[:n]) // never fails
		if _, err := f.file.Write(chunk[:n]); err != nil {
			return full(err)
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return readErr
		}
	}
	if f.Digest, err = attest.ParseDigest("sha256:" + hex.EncodeToString(hash.Sum(nil))); err != nil {
		return err
	}
	f.From = f.file
	return nil
}

// take gets room for what the file has, in the area and in its tenant's share.
func (f *held) take() error {
	f.area.mu.Lock()
	defer f.area.mu.Unlock()
	for f.room < f.Size {
		if f.area.used+step > f.area.limit {
			return fmt.Errorf("%w: %d bytes of documents are being worked on, there is room for %d", signer.ErrBusy, f.area.used, f.area.limit)
		}
		f.area.used += step
		f.room += step
	}
	has, counts := f.area.tenants[f.tenant], taken{f.Size, f.room - f.Size}
	if has.bytes-f.counts.bytes+counts.bytes > f.area.share {
		return &signer.OverQuota{Of: fmt.Sprintf("room for documents of one project, of which %d of %d bytes are being worked on,", has.bytes, f.area.share), RetryAfter: comeAgain}
	}
	// What has begun to come may grow into its room, so that only a new one is refused.
	if f.counts == (taken{}) && has.besides+counts.besides > f.area.besides() {
		return &signer.OverQuota{Of: "room for small documents of one project", RetryAfter: comeAgain}
	}
	has.bytes, has.besides = has.bytes-f.counts.bytes+counts.bytes, has.besides-f.counts.besides+counts.besides
	f.area.tenants[f.tenant], f.counts = has, counts
	return nil
}

// forget gives the room back. It may be called twice.
func (f *held) forget() {
	_ = f.file.Close() // it has no name any more, and nobody reads it again
	if f.name != "" {
		_ = os.Remove(f.name) // Open removes it otherwise
	}
	f.area.mu.Lock()
	defer f.area.mu.Unlock()
	f.area.used -= f.room
	has := f.area.tenants[f.tenant]
	has.bytes, has.besides = has.bytes-f.counts.bytes, has.besides-f.counts.besides
	if f.area.tenants[f.tenant] = has; has == (taken{}) {
		delete(f.area.tenants, f.tenant)
	}
	f.room, f.counts = 0, taken{}
}

// besides is how much room one tenant's documents may take beyond their bytes: an
// eighth of all, or what those of one request do.
func (a *Area) besides() int64 { return max(a.limit/8, documents*step) }

// Share is how many bytes of documents one tenant may have here at a time: no
// request can have more.
func (a *Area) Share() int64 { return a.share }

// Used is how many bytes of room are taken.
func (a *Area) Used() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

// full tells a full disk from other errors: it passes.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: no room on the disk for documents: %w", signer.ErrBusy, err)
	}
	return fmt.Errorf("keep document: %w", err)
}
