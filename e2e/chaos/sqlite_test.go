// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// onSQLite is how many entries are written to SQLite, and killsOnSQLite how
// often its only server is killed.
const (
	onSQLite      = 3000
	killsOnSQLite = 8
)

func openSQLite(t *testing.T, l *lab.Lab) *sqlite.DB {
	t.Helper()
	db, err := sqlite.OpenReadOnly(context.Background(), filepath.Join(l.Dir, "hallmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestSQLite kills the only server of a SQLite file again and again.
func TestSQLite(t *testing.T) {
	s := seed(t)
	l := lab.Start(t, lab.Options{Writers: "open"})
	w, trust := &world{servers: []*lab.Lab{l}}, trustOf(t, l)
	readers := readAlong(t, trust, w.urls())
	c := start(t, w.urls(), trust, s, requests(t, s, onSQLite))
	torment(t, w, c, rand.New(rand.NewPCG(s, 0)), []fault{{"kill -9 of the server", killServer}}, killsOnSQLite)
	c.end()
	seen := readers.stop()
	l.Stop(t)
	l.Fsck(t)
	judge(t, openSQLite(t, l), c, seen)
}

// TestDiskFull takes the disk away from under a log, by a limit on the size of
// the server's files, and gives it back. Both APIs say 503 meanwhile, what is
// there is read as ever, and afterwards the log goes on by itself.
func TestDiskFull(t *testing.T) {
	l := lab.Start(t, lab.Options{Writers: "open"})
	w, trust := &world{servers: []*lab.Lab{l}}, trustOf(t, l)
	before := start(t, w.urls(), trust, 1, requests(t, 1, 60))
	before.end()

	info, err := os.Stat(filepath.Join(l.Dir, "hallmark.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	limitFiles(t, l, uint64(info.Size()))
	conn := load.NewConn(l.URL)
	defer conn.Close()
	refused, reqs := 0, requests(t, 2, 120)
	for i := range reqs[:60] {
		status, body, err := conn.Post(t.Context(), &reqs[i])
		switch {
		case err == nil && status == http.StatusServiceUnavailable:
			refused++
		case err != nil || status != http.StatusCreated: // a few may fit into pages that exist
			t.Errorf("%s on a full disk: status %d, %v, %.300s", reqs[i].Kind, status, err, body)
		}
	}
	if refused == 0 {
		t.Error("the disk was never full")
	}
	for _, path := range checkpointPaths {
		if status, body, err := conn.Do(t.Context(), path, nil); err != nil || status != http.StatusOK {
			t.Errorf("%s on a full disk: status %d, %v, %.300s", path, status, err, body)
		}
	}
	limitFiles(t, l, unix.RLIM_INFINITY)

	after := start(t, w.urls(), trust, 2, reqs) // the refused ones among them
	after.end()
	l.Stop(t)
	l.Fsck(t)
	judge(t, openSQLite(t, l), after.with(before), trust.Seen())
}

func limitFiles(t *testing.T, l *lab.Lab, bytes uint64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(l.PID(), unix.RLIMIT_FSIZE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(l.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestTwoProcessesOneFile starts a second server on a file that has one.
func TestTwoProcessesOneFile(t *testing.T) {
	l := lab.Start(t, lab.Options{Writers: "open"})
	second := l.Server(t, "serve", "--listen", lab.FreeAddress(t), "--admin", lab.FreeAddress(t))
	if second.Code == 0 || !strings.Contains(second.Stderr, "another process") {
		t.Errorf("a second server on the same file: exit code %d, %q", second.Code, second.Stderr)
	}
	t.Log(strings.TrimSpace(second.Stderr))
	c := start(t, []string{l.URL}, trustOf(t, l), 1, requests(t, 1, 30))
	c.end() // the first one never noticed
	l.Stop(t)
	l.Fsck(t)
	judge(t, openSQLite(t, l), c, c.trust.Seen())
}
