// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// writing sends entries to both logs until it is stopped.
func writing(t *testing.T, l *lab.Lab) (stop func()) {
	t.Helper()
	const clients = 4
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for client := range clients {
		a := newAuthor(t)
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				artifact := fmt.Appendf(nil, "artifact %d of %d", i, client)
				path, body := "/api/v1/log/entries", a.hashedRekord(t, artifact)
				if client%2 == 1 {
					path, body = "/api/v2/log/entries", a.hashedRekordV2(t, artifact)
				}
				if got := send(t, http.MethodPost, l.URL+path, "application/json", body); got.status != http.StatusCreated {
					t.Errorf("append while a backup is made: %d %s", got.status, got.body)
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// backup copies a deployment while it is written to, and brings the copy back:
// not if a log of it is older than a checkpoint that somebody has, because it
// would sign a second history.
func backup(t *testing.T, start starter) {
	d := start(lab.Options{Writers: "open"})
	kept := filepath.Join(t.TempDir(), "backup")
	before := keepCheckpoints(t, d.Lab)
	stop := writing(t, d.Lab)
	signed(t, d.Lab, "acme/app")
	made := d.Server(t, "backup", "--to", kept)
	if made.Code != 0 {
		t.Fatalf("backup: exit code %d: %s", made.Code, made.Stderr)
	}
	if again := d.Server(t, "backup", "--to", kept); again.Code != 1 {
		t.Errorf("a backup over a backup: exit code %d: %s", again.Code, again.Stderr)
	}
	signed(t, d.Lab, "acme/app") // the v1 log grows once more
	fill(t, d.Lab, fillers)      // and the v2 log
	stop()
	after := keepCheckpoints(t, d.Lab)
	d.whole(t)

	restore := func(dir string, checkpoints []string) lab.Result {
		command := []string{"restore", "--from", kept, "--dir", dir}
		for _, c := range checkpoints {
			command = append(command, "--not-before", c)
		}
		return lab.Run(t, "", os.Environ(), lab.Program(t, "hallmark-server"), command...)
	}
	refused := d.emptyFolder(t, kept)
	if r := restore(refused, after); r.Code != 1 || !strings.Contains(r.Stderr, "older") {
		t.Errorf("a backup that is older than a checkpoint: exit code %d: %s", r.Code, r.Stderr)
	}
	if r := restore(refused, nil); r.Code == 0 {
		t.Error("a backup was brought back without a checkpoint")
	}
	spoil(t, filepath.Join(kept, "trust", "trusted_root.json"), func() {
		if r := restore(d.emptyFolder(t, kept), before); r.Code != 1 || !strings.Contains(r.Stderr, "changed") {
			t.Errorf("a backup with a changed file: exit code %d: %s", r.Code, r.Stderr)
		}
	})

	d.Dir = d.emptyFolder(t, kept)
	if r := restore(d.Dir, before); r.Code != 0 {
		t.Fatalf("restore: exit code %d: %s", r.Code, r.Stderr)
	}
	d.Serve(t)
	for _, path := range before {
		hallmark(t, d.Lab, 0, "consistent", "log", "prove", "--since", path)
	}
	for _, path := range after { // a monitor notices what the restore was not shown
		hallmark(t, d.Lab, 1, "rolled back", "log", "prove", "--since", path)
	}
	signed(t, d.Lab, "acme/app")
	hallmark(t, d.Lab, 0, "whole", "log", "fsck")
	d.whole(t)
}

// emptyFolder is where a deployment can be restored: it has the passwords, which
// are in no backup, and with PostgreSQL the configuration, with an empty
// database.
func (d deployment) emptyFolder(t *testing.T, kept string) string {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Join(d.Dir, "password"), filepath.Join(dir, "password"))
	if d.pg == nil {
		return dir
	}
	copyFile(t, filepath.Join(d.Dir, "db-password"), filepath.Join(dir, "db-password"))
	config, err := os.ReadFile(filepath.Join(kept, "hallmark.yaml"))
	check(t, err)
	old, err := url.Parse(d.databaseURL(t, config))
	check(t, err)
	young, err := url.Parse(d.pg.NewDatabase(t))
	check(t, err)
	young.User = url.User(young.User.Username())
	changed := bytes.Replace(config, []byte(old.String()), []byte(young.String()), 1)
	check(t, os.WriteFile(filepath.Join(dir, "hallmark.yaml"), changed, 0o600))
	return dir
}

// databaseURL finds the database in a configuration.
func (d deployment) databaseURL(t *testing.T, config []byte) string {
	t.Helper()
	_, rest, found := strings.Cut(string(config), `database: {url: "`)
	value, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		t.Fatalf("no database in %s", config)
	}
	return value
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, raw, 0o600))
}

// spoil changes a byte of a file while f runs.
func spoil(t *testing.T, path string, f func()) {
	t.Helper()
	raw, err := os.ReadFile(path)
	check(t, err)
	changed := bytes.Clone(raw)
	changed[len(changed)/2] ^= 1
	check(t, os.WriteFile(path, changed, 0o600))
	f()
	check(t, os.WriteFile(path, raw, 0o600))
}
