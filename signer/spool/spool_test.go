// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/spool"
)

func open(t *testing.T, limit int64) (*spool.Area, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	a, err := spool.Open(dir, limit, limit)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// files are the names in a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestReceive(t *testing.T) {
	a, dir := open(t, 8<<20)
	content := bytes.Repeat([]byte("document "), 300_000)
	f, forget, err := a.Receive("acme", bytes.NewReader(content), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if names := files(t, dir); len(names) > 0 {
		t.Errorf("a file with a name outlives the process: %v", names)
	}
	got, err := io.ReadAll(io.NewSectionReader(f.From, 0, f.Size))
	if err != nil || !bytes.Equal(got, content) || f.Digest != attest.DigestOf(content) || f.Size != int64(len(content)) {
		t.Errorf("%d bytes, %s, %v", len(got), f.Digest, err)
	}
	if a.Used() < f.Size {
		t.Errorf("%d bytes used", a.Used())
	}
	forget()
	forget()
	if a.Used() != 0 {
		t.Errorf("%d bytes used after it is forgotten", a.Used())
	}
}

// TestNothingStays: whatever goes wrong, the room is given back.
func TestNothingStays(t *testing.T) {
	gone := errors.New("the client has gone away")
	a, dir := open(t, 4<<20)
	_, forget, err := a.Receive("acme", strings.NewReader(strings.Repeat("x", 2<<20)), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	before := a.Used()
	for name, tc := range map[string]struct {
		r     io.Reader
		limit int64
		want  error
	}{
		"too large": {strings.NewReader(strings.Repeat("x", 1000)), 999, attest.ErrTooLarge},
		"endless":   {endless{}, 1 << 20, attest.ErrTooLarge},
		"no room":   {endless{}, 1 << 40, signer.ErrBusy},
		"gone":      {io.MultiReader(strings.NewReader("begun"), failing{gone}), 1 << 20, gone},
	} {
		if _, forget, err := a.Receive("acme", tc.r, tc.limit); !errors.Is(err, tc.want) || forget != nil {
			t.Errorf("%s: %v", name, err)
		}
		if a.Used() != before || len(files(t, dir)) > 0 {
			t.Errorf("%s: %d bytes used, %v", name, a.Used(), files(t, dir))
		}
	}
	forget()
	if a.Used() != 0 {
		t.Errorf("%d bytes used in the end", a.Used())
	}
}

// TestDiskFull: it passes, and whoever asks is told to come again.
func TestDiskFull(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	a, _ := open(t, 64<<20)
	small := old
	small.Cur = 1 << 20 // a file that cannot grow: EFBIG, as a full disk is ENOSPC
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	_, _, err := a.Receive("acme", endless{}, 32<<20)
	if reset := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); reset != nil {
		t.Fatal(reset)
	}
	if !errors.Is(err, signer.ErrBusy) || a.Used() != 0 {
		t.Errorf("a full disk: %v, %d bytes used", err, a.Used())
	}
}

// TestOpenRemoves what a killed process has left, and nothing else.
func TestOpenRemoves(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"document-123", "another"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := spool.Open(dir, 1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 1 || got[0] != "another" {
		t.Errorf("left: %v", got)
	}
	if _, err := spool.Open(dir, 1, 1); err == nil {
		t.Error("an area without room opens")
	}
	if _, err := spool.Open(filepath.Join(dir, "another", "x"), 1<<20, 1<<20); err == nil {
		t.Error("an area in a file opens")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
