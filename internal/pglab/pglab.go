// SPDX-License-Identifier: Apache-2.0

// Package pglab is a private PostgreSQL for tests and benchmarks: a real
// server, made by initdb in a temporary folder, that nobody else knows and that
// ends with the test, also when the test binary is killed. Further servers of a
// test binary get a copy of what initdb made for the first.
//
//	pg := pglab.Start(t)
//	url := pg.NewDatabase(t) // an empty database, with the password in its URL
//	pg.Kill(t)               // kill -9: every connection breaks
//	pg.Restart(t)            // same port, same data
//
// A machine without PostgreSQL's server programs fails the test and says what
// to install; nothing is skipped.
//
// The server is stock, but for a random password, and a WAL that may grow to
// 2 GB as on any machine set up for writing. In particular it syncs.
package pglab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// User owns the databases that NewDatabase makes, and is no superuser: what
	// works for it works for an operator's role.
	User = "hallmark"
	// superuser is the role that initdb makes.
	superuser = "postgres"
	// startTimeout is how long a server may take to take connections on a busy
	// machine, recovery after a kill included.
	startTimeout = 60 * time.Second
	// pollInterval is how often a starting server is asked.
	pollInterval = 20 * time.Millisecond
	// maxStarts bounds attempts on a port that somebody else took meanwhile.
	maxStarts = 5
)

// Server is a PostgreSQL server. Its methods are for the test's goroutine.
type Server struct {
	bin        string // folder of initdb and postgres
	dir        string // data, sockets, log
	password   string
	port       int
	credential *syscall.Credential // nil: ourselves
	process    *process            // nil: not running
	databases  atomic.Int64
}

// Start makes a server and ends it with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{bin: bin}
	if s.credential, err = unprivileged(); err != nil {
		t.Fatal(err)
	}
	if s.dir, err = privateDir(s.credential); err != nil {
		t.Fatal(err)
	}
	lock, err := lockDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.end(syscall.SIGQUIT), os.RemoveAll(s.dir), lock.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := s.initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "CREATE ROLE "+User+" LOGIN PASSWORD '"+s.password+"'")
	return s
}

// initdb makes the data directory.
func (s *Server) initdb(ctx context.Context) error {
	passwords := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if s.credential != nil {
		if err := os.Chown(passwords, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), //nolint:gosec // the installed PostgreSQL
		"--pgdata", s.data(), "--username", superuser, "--pwfile", passwords, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-instructions", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = s.dir, attributes(s.credential)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb as %s: %w\n%s", s.as(), err, out)
	}
	return nil
}

func (s *Server) as() string {
	if s.credential == nil {
		return "the user who runs the test"
	}
	return "user " + strconv.Itoa(int(s.credential.Uid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// start starts the server on a port nobody uses; once it has one it keeps it.
func (s *Server) start(ctx context.Context) error {
	known := s.port != 0
	var err error
	for range maxStarts {
		if !known {
			if s.port, err = freePort(ctx); err != nil {
				return err
			}
		}
		if err = s.startOnce(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (s *Server) startOnce(ctx context.Context) error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                                    // the server has its own descriptor
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), //nolint:gosec,noctx // the installed PostgreSQL; end ends it
		"-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+s.dir,
		"-c", "max_wal_size=2GB", "-c", "max_connections=200")
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.dir, log, log, attributes(s.credential)
	p, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.process = p
	if err := s.wait(ctx); err != nil {
		return fmt.Errorf("%w\n%s", errors.Join(err, s.end(syscall.SIGQUIT)), s.Log())
	}
	return nil
}

// wait returns when the server takes connections.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := s.admin(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.process.ended:
			return errors.New("postgres ended instead of starting")
		case <-ctx.Done():
			return fmt.Errorf("postgres takes no connections: %w", err)
		case <-time.After(pollInterval):
		}
	}
}

// admin connects as the superuser, through the socket.
func (s *Server) admin(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=postgres", s.dir, s.port, superuser, s.password))
}

// Exec runs a statement as the superuser in the database "postgres".
func (s *Server) Exec(t testing.TB, sql string) {
	t.Helper()
	conn, err := s.admin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(context.Background(), sql)
	if err := errors.Join(err, conn.Close(context.Background())); err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
}

// NewDatabase makes an empty database that User owns and returns its URL, with
// the password in it.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" OWNER "+User)
	return s.URL(name)
}

// CopyDatabase makes a database with what another one of this server has, which
// nobody may be connected to, and returns its URL.
func (s *Server) CopyDatabase(t testing.TB, from string) string {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal("copy a database: not a URL") // without its password
	}
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" OWNER "+User+" TEMPLATE "+path.Base(u.Path))
	return s.URL(name)
}

// URL is how User reaches a database: loopback, with the password in it.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(User, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Log returns the end of what the server wrote.
func (s *Server) Log() string {
	const enough = 8 << 10
	b, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-enough):]))
}

func (s *Server) log() string { return filepath.Join(s.dir, "postgres.log") }

// Kill is kill -9 of the server, without a chance to write anything.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server cleanly, and all connections with it.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGINT); err != nil { // PostgreSQL's fast shutdown
		t.Fatal(err)
	}
}

// Restart starts the server again on its data and port, after Stop if it still
// runs. It returns when it takes connections.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Pause stops every process of the server as a hung machine would, until
// resume is called.
func (s *Server) Pause(t testing.TB) (resume func()) {
	t.Helper()
	pids := append(children(s.process.pid), s.process.pid)
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Error(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }
}

// end sends a signal and waits until the server and its children are gone.
func (s *Server) end(sig syscall.Signal) error {
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	family := children(p.pid)
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end postgres: %w", err)
	}
	deadline := time.After(startTimeout)
	select {
	case <-p.ended:
	case <-deadline:
		return fmt.Errorf("postgres does not end:\n%s", s.Log())
	}
	// Orphans of a killed server notice by themselves, and until then keep a
	// new one from starting.
	for _, pid := range family {
		for alive(pid) {
			select {
			case <-deadline:
				return fmt.Errorf("process %d of postgres does not end", pid)
			case <-time.After(pollInterval):
			}
		}
	}
	return nil
}

// children returns the processes that a process has started.
func children(pid int) []int {
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output() //nolint:gosec,noctx // immediate; none is no error
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(out)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
