// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// TestVersion plays servers of many ages, which say who they are and nothing
// more.
func TestVersion(t *testing.T) {
	const tooOld = "use 15 or newer"
	for version, refused := range map[string]bool{
		"9.6.24": true, "14.13": true, "14.13 (Debian 14.13-1.pgdg120+1)": true,
		"15.0": false, "15.8 (Debian 15.8-0+deb12u1)": false, "17.2": false, "18beta1": false, "a fork of its own": false,
	} {
		cfg := postgres.Config{URL: "postgres://hallmark@" + greeter(t, version) + "/hallmark?sslmode=disable&target_session_attrs=any"}
		for verb, open := range map[string]func(context.Context, postgres.Config) (*postgres.DB, error){"create": postgres.Create, "open": postgres.Open} {
			db, err := open(t.Context(), cfg)
			if err == nil {
				closeDB(t, db)
			}
			if err == nil || strings.Contains(err.Error(), tooOld) != refused {
				t.Errorf("%s on PostgreSQL %s: %v", verb, version, err)
			}
		}
	}
}

// greeter lets everybody in and ends when it is asked something.
func greeter(t *testing.T, version string) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the test is over
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			greet(conn, version)
			_ = conn.Close() // the client has had what it gets
		}
	}()
	return l.Addr().String()
}

func greet(conn net.Conn, version string) {
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() == nil {
		_, _ = b.Receive() // whatever it is
	}
}

// A database that starts, or recovers from a crash, is waited for.
func TestDatabaseStarts(t *testing.T) {
	pg := pglab.Start(t)
	db, cfg := create(t, pg)
	closeDB(t, db)
	server, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the test is over
	const early = 3
	address := server.Host
	var refused atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if refused.Load() < early {
				refused.Add(1)
				notYet(conn)
				continue
			}
			go passOn(conn, address)
		}
	}()
	server.Host = l.Addr().String()
	cfg.URL = server.String()
	open(t, cfg)
	if refused.Load() != early {
		t.Errorf("%d attempts were refused", refused.Load())
	}
}

// notYet answers as a server that starts.
func notYet(conn net.Conn) {
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err == nil {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
		_ = b.Flush() // or the client has gone
	}
	_ = conn.Close() // it has had what it gets
}

func passOn(conn net.Conn, to string) {
	server, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", to)
	if err != nil {
		_ = conn.Close() // the test sees it
		return
	}
	go func() { _, _ = io.Copy(server, conn); _ = server.Close() }()
	_, _ = io.Copy(conn, server)
	_ = conn.Close()
}

// docs/LOG.md tells operators how many connections a process takes.
func TestConnections(t *testing.T) {
	pg := pglab.Start(t)
	db, cfg := create(t, pg)
	w := newWorld(t, db)
	l := w.Load(db, w.Config)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			in := storetest.Intent(fmt.Sprint("intent ", i), fmt.Sprint("request ", i))
			if _, _, err := db.Begin(context.Background(), in, storetest.Use(fmt.Sprint("token ", i)), storetest.Event("granted", in.ID)); err != nil {
				t.Error(err)
			}
			if err := w.Append(context.Background(), l, fmt.Sprint("entry ", i)); err != nil {
				t.Error(err)
			}
			if _, err := db.Logs(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait() // connections that are idle stay for long
	var n int
	err := connect(t, cfg).QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hallmark' AND datname = current_database()`).Scan(&n)
	if err != nil || n > 12 || n < 5 {
		t.Errorf("%d connections, %v", n, err)
	}
	manual, err := os.ReadFile("../../../docs/LOG.md")
	if err != nil || !strings.Contains(string(manual), "Each process opens at most 12 connections") {
		t.Errorf("docs/LOG.md says another number: %v", err)
	}
}

// Whoever cannot open the database is told what to do, and no password.
func TestOpenErrors(t *testing.T) {
	pg := pglab.Start(t)
	good := config(t, pg.NewDatabase(t))
	with := func(change func(*postgres.Config)) postgres.Config {
		cfg := good
		change(&cfg)
		return cfg
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg  postgres.Config
		want error
		say  string
	}{
		"no schema":       {good, store.ErrNoDatabase, "hallmark-server init"},
		"wrong password":  {with(func(c *postgres.Config) { c.Password = "wrong " + c.Password }), nil, "check the user"},
		"no password":     {with(func(c *postgres.Config) { c.Password = "" }), nil, "password"},
		"no such user":    {with(func(c *postgres.Config) { c.URL = strings.Replace(c.URL, pglab.User+"@", "nobody@", 1) }), nil, "check the user"},
		"no such databse": {with(func(c *postgres.Config) { c.URL = strings.Replace(c.URL, "?", "_none?", 1) }), nil, "create the database first"},
		"no server": {with(func(c *postgres.Config) {
			c.URL = "postgres://hallmark@" + silent.Addr().String() + "/x?sslmode=disable"
		}), nil, "check that the database server runs"},
		"TLS by default":        {with(func(c *postgres.Config) { c.URL, _, _ = strings.Cut(c.URL, "?") }), nil, "TLS"},
		"password in URL":       {with(func(c *postgres.Config) { c.URL = pg.URL("test1") }), nil, "has a password in it"},
		"password as parameter": {with(func(c *postgres.Config) { c.URL += "&password=" + c.Password }), nil, "has a password in it"},
		"not a URL":             {with(func(c *postgres.Config) { c.URL = "host=x password=" + c.Password }), nil, "postgres://user@host"},
		"bad URL":               {with(func(c *postgres.Config) { c.URL = "postgres://u:" + c.Password + "@[::1/x" }), nil, "postgres://user@host"},
		"bad parameter":         {with(func(c *postgres.Config) { c.URL += "&sslrootcert=/none" }), nil, ""},
		"unknown sslmode":       {with(func(c *postgres.Config) { c.URL = strings.Replace(c.URL, "=disable", "=maybe", 1) }), nil, "sslmode"},
	} {
		for verb, open := range map[string]func(context.Context, postgres.Config) (*postgres.DB, error){"open": postgres.Open, "open read-only": postgres.OpenReadOnly} {
			db, err := open(t.Context(), test.cfg)
			if err == nil {
				closeDB(t, db)
				t.Errorf("%s: %s succeeds", name, verb)
				continue
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("%s: %s: %v", name, verb, err)
			}
			if strings.Contains(err.Error(), good.Password) {
				t.Errorf("%s: %s tells the password: %v", name, verb, err)
			}
		}
	}
}

func TestCreate(t *testing.T) {
	pg := pglab.Start(t)
	t.Run("exists", func(t *testing.T) {
		_, cfg := create(t, pg)
		if _, err := postgres.Create(t.Context(), cfg); !errors.Is(err, store.ErrExists) {
			t.Errorf("second create: %v", err)
		}
	})
	t.Run("somebody else's tables", func(t *testing.T) {
		cfg := config(t, pg.NewDatabase(t))
		if _, err := connect(t, cfg).Exec(t.Context(), `CREATE SCHEMA app CREATE TABLE customers (id int)`); err != nil {
			t.Fatal(err)
		}
		if _, err := postgres.Create(t.Context(), cfg); !errors.Is(err, store.ErrExists) || !strings.Contains(err.Error(), "empty database") {
			t.Errorf("create beside tables: %v", err)
		}
		if _, err := postgres.Open(t.Context(), cfg); !errors.Is(err, store.ErrNoDatabase) {
			t.Errorf("open: %v", err)
		}
	})
	t.Run("many at a time", func(t *testing.T) {
		cfg := config(t, pg.NewDatabase(t))
		var made atomic.Int64
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				db, err := postgres.Create(context.Background(), cfg)
				switch {
				case err == nil:
					made.Add(1)
					closeDB(t, db)
				case !errors.Is(err, store.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("%d databases were made", made.Load())
		}
	})
	// The first table is goose's own. Power fails there: init may run again,
	// and serve does not start.
	t.Run("interrupted", func(t *testing.T) {
		cfg := config(t, pg.NewDatabase(t))
		db, err := postgres.Create(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		other := connect(t, cfg)
		if _, err := other.Exec(t.Context(), `DROP TABLE `+strings.Join(postgres.Tables(), ", ")+` CASCADE; DELETE FROM goose_db_version WHERE version_id > 0;
			DROP FUNCTION hallmark_kept, hallmark_log_grows, hallmark_tile_grows, hallmark_use_expired, hallmark_clock_forward, hallmark_used_once,
			hallmark_outline, hallmark_bundles, hallmark_receipt`); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(context.Context, postgres.Config) (*postgres.DB, error){postgres.Open, postgres.OpenReadOnly} {
			if _, err := open(t.Context(), cfg); !errors.Is(err, store.ErrNoDatabase) {
				t.Errorf("open: %v", err)
			}
		}
		if db, err = postgres.Create(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
	})
	t.Run("newer schema", func(t *testing.T) {
		_, cfg := create(t, pg)
		if _, err := connect(t, cfg).Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(context.Context, postgres.Config) (*postgres.DB, error){postgres.Open, postgres.OpenReadOnly} {
			if _, err := open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "newer") {
				t.Errorf("a newer schema: %v", err)
			}
		}
	})
	// A server that does not sync is refused: it would lose entries that were
	// acknowledged.
	t.Run("server that loses writes", func(t *testing.T) {
		_, cfg := create(t, pg)
		pg.Exec(t, `ALTER SYSTEM SET fsync = off`)
		pg.Restart(t)
		defer func() { pg.Exec(t, `ALTER SYSTEM RESET fsync`); pg.Restart(t) }()
		if _, err := postgres.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "fsync=off") {
			t.Errorf("fsync off: %v", err)
		}
	})
}

// A check may read while the service writes, and can do nothing else.
func TestOpenReadOnly(t *testing.T) {
	pg := pglab.Start(t)
	db, cfg := create(t, pg)
	w := newWorld(t, db)
	l := w.Load(db, w.Config)
	appendAll(t, w, l, "entry", 300)
	ro, err := postgres.OpenReadOnly(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	report, err := tlog.Fsck(t.Context(), ro, "v2", w.Config.Signer.Public())
	if err != nil || report.Err() != nil || report.Size != 300 {
		t.Errorf("%+v, %v", report, err)
	}
	for what, err := range map[string]error{
		"record": ro.Record(t.Context(), storetest.Event("refused", "")),
		"commit": ro.Commit(t.Context(), tlog.Batch{Log: "v2"}, nil),
		"freeze": ro.Freeze(t.Context(), "v2"),
		"sign":   ro.Sign(t.Context(), "x", storetest.Signed),
	} {
		if err == nil || !strings.Contains(err.Error(), "reading only") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := ro.Begin(t.Context(), storetest.Intent("a", "b"), storetest.Use("a token"), storetest.Event("granted", "a")); err == nil {
		t.Error("it begins")
	}
	if _, _, err := ro.Unfinished(t.Context(), 0); err == nil {
		t.Error("it recovers")
	}
	closeDB(t, ro)
	closeDB(t, ro) // again
}

func TestClosed(t *testing.T) {
	db, _ := create(t, pglab.Start(t))
	w := newWorld(t, db)
	l := w.Load(db, w.Config)
	closeDB(t, db)
	if err := db.Record(t.Context(), storetest.Event("refused", "")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("record: %v", err)
	}
	if err := w.Append(t.Context(), l, "x"); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if _, _, err := db.Unfinished(t.Context(), 0); err == nil {
		t.Error("it reads")
	}
}

// The settings that durability and progress rest on, as connections have them
// whatever the server's defaults are.
func TestSettings(t *testing.T) {
	pg := pglab.Start(t)
	pg.Exec(t, `ALTER ROLE `+pglab.User+` SET synchronous_commit = off`)
	pg.Exec(t, `ALTER ROLE `+pglab.User+` SET default_transaction_isolation = 'serializable'`)
	pg.Exec(t, `ALTER ROLE `+pglab.User+` SET statement_timeout = 0`)
	db, _ := create(t, pg)
	for name, want := range map[string]string{
		"synchronous_commit": "on", "transaction_isolation": "read committed", "lock_timeout": "3500ms", "statement_timeout": "20s",
		"idle_in_transaction_session_timeout": fmt.Sprintf("%dms", postgres.HoldTimeout.Milliseconds()), "tcp_user_timeout": "10000", "tcp_keepalives_idle": "5",
		"client_connection_check_interval": "1s", "application_name": "hallmark", "transaction_read_only": "off",
	} {
		if got, err := db.Show(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, want %q, %v", name, got, want, err)
		}
	}
}
