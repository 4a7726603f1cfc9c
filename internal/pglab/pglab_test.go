// SPDX-License-Identifier: Apache-2.0

package pglab_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/pglab"
)

// childEnv makes the test binary a process that starts a server and is killed.
const childEnv = "HALLMARK_TEST_PGLAB_CHILD"

// count runs a query that returns one number.
func count(t *testing.T, url, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }() // only read
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestServer(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		fmt.Printf("url %s\n", pglab.Start(t).URL("postgres"))
		select {} // until it is killed
	}
	pg := pglab.Start(t)
	one, two := pg.NewDatabase(t), pg.NewDatabase(t)
	if one == two {
		t.Fatal("two databases are one")
	}
	conn, err := pgx.Connect(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE a AS SELECT 1 AS b"); err != nil {
		t.Fatal(err)
	}
	pg.Kill(t)
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a connection survived kill -9")
	}
	if conn, err := pgx.Connect(t.Context(), one); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a killed server answers")
	}
	pg.Restart(t)
	if n := count(t, one, "SELECT count(*) FROM a"); n != 1 {
		t.Errorf("%d rows after a crash, want 1", n)
	}
	pg.Restart(t)
	resume := pg.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if conn, err := pgx.Connect(ctx, one); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a paused server answers")
	}
	resume()
	if n := count(t, one, "SELECT count(*) FROM a"); n != 1 {
		t.Errorf("%d rows after a pause, want 1", n)
	}
}

// A server whose test is killed ends too.
func TestServerEndsWithTheTest(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServer$", "-test.v") //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+temporary(t))                    // its files are removed here
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url, _ = strings.CutPrefix(lines.Text(), "url ")
		if !strings.HasPrefix(url, "postgres://") {
			url = ""
		}
	}
	if n := count(t, url, "SELECT 1"); n != 1 {
		t.Error(n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return
		}
		_ = conn.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatal("the server outlives its test")
		}
	}
}

// temporary is a temporary folder that the server's user may enter.
func temporary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a killed test has left is removed by the next one, and nothing that is in
// use.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", temporary(t))
	first := pglab.Start(t)
	url := first.NewDatabase(t)
	stale := filepath.Join(os.TempDir(), "hallmark-pg-stale")
	fresh := filepath.Join(os.TempDir(), "hallmark-pg-fresh")
	for _, dir := range []string{stale, fresh} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "owner"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-time.Hour)
	used, err := filepath.Glob(filepath.Join(os.TempDir(), "hallmark-pg-*", "owner"))
	if err != nil || len(used) != 3 {
		t.Fatalf("%v, %v", used, err)
	}
	for _, file := range used {
		if filepath.Dir(file) == fresh {
			continue
		}
		if err := os.Chtimes(file, long, long); err != nil {
			t.Fatal(err)
		}
	}
	pglab.Start(t)
	if n := count(t, url, "SELECT 1"); n != 1 {
		t.Error(n)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the folder of a dead test is left")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("a folder that may be somebody's was removed: %v", err)
	}
}
