// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/url"
	"path"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// config takes the password out of a URL of package pglab.
func config(t testing.TB, raw string) postgres.Config {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	return postgres.Config{URL: u.String(), Password: password}
}

// create makes a database that is closed at the end of the test.
func create(t testing.TB, pg *pglab.Server) (*postgres.DB, postgres.Config) {
	t.Helper()
	cfg := config(t, pg.NewDatabase(t))
	db, err := postgres.Create(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db, cfg
}

// copies makes databases for tests that need many: copying one that Create has
// made, and nobody uses, takes a fraction of the time.
type copies struct {
	pg   *pglab.Server
	once sync.Once
	from string
}

func (c *copies) create(t testing.TB) (*postgres.DB, postgres.Config) {
	t.Helper()
	c.once.Do(func() {
		from := c.pg.NewDatabase(t)
		db, err := postgres.Create(context.Background(), config(t, from))
		if err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
		c.from = from
	})
	cfg := config(t, c.pg.CopyDatabase(t, c.from))
	return open(t, cfg), cfg
}

func open(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t testing.TB, db *postgres.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// connect is another program's connection to the same database.
func connect(t testing.TB, cfg postgres.Config) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Password = cfg.Password
	conn, err := pgx.ConnectConfig(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

// crash breaks every connection to a database, as a crash of its processes
// would, and returns when the server has noticed.
func crash(t testing.TB, pg *pglab.Server, cfg postgres.Config) {
	t.Helper()
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	pg.Exec(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '"+path.Base(u.Path)+"'")
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// opened remembers how databases were opened, to open them again.
type opened map[*postgres.DB]postgres.Config

func (o opened) open(pg *pglab.Server) func(t *testing.T) tlog.Storage {
	many := copies{pg: pg}
	return func(t *testing.T) tlog.Storage {
		db, cfg := many.create(t)
		o[db] = cfg
		return db
	}
}

func (o opened) reopen(pg *pglab.Server) func(t *testing.T, st tlog.Storage) tlog.Storage {
	return func(t *testing.T, st tlog.Storage) tlog.Storage {
		db, ok := st.(*postgres.DB)
		if !ok {
			t.Fatalf("a storage of type %T", st)
		}
		cfg := o[db]
		crash(t, pg, cfg)
		closeDB(t, db)
		again := open(t, cfg)
		o[again] = cfg
		return again
	}
}

func TestStorage(t *testing.T) {
	t.Parallel() // a server of its own, which the disk keeps waiting
	pg, o := pglab.Start(t), opened{}
	storagetest.Run(t, o.open(pg), o.reopen(pg))
}

func TestEngine(t *testing.T) {
	t.Parallel() // a server of its own, which the disk keeps waiting
	pg, o := pglab.Start(t), opened{}
	storagetest.RunEngine(t, o.open(pg), o.reopen(pg))
}

func TestStore(t *testing.T) {
	t.Parallel() // a server of its own, which the disk keeps waiting
	pg := pglab.Start(t)
	many := copies{pg: pg}
	configs := map[store.Database]postgres.Config{}
	storetest.Run(t, storetest.Engine{
		Create: func(t testing.TB) store.Database {
			db, cfg := many.create(t)
			configs[db] = cfg
			return db
		},
		Reopen: func(t testing.TB, db store.Database) store.Database {
			crash(t, pg, configs[db])
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			return open(t, configs[db])
		},
		Restore: func(t testing.TB, backup string) (store.Database, error) {
			cfg := config(t, pg.NewDatabase(t))
			if err := postgres.Restore(context.Background(), backup, cfg); err != nil {
				return nil, err
			}
			return open(t, cfg), nil
		},
		TokenUses: func(t testing.TB, db store.Database) (n int) {
			t.Helper()
			if err := connect(t, configs[db]).QueryRow(t.Context(), `SELECT count(*) FROM token_uses`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		},
		OwnClock: true,
	})
}

func TestModel(t *testing.T) {
	t.Parallel() // a server of its own, which the disk keeps waiting
	pg, o := pglab.Start(t), opened{}
	storagetest.RunModel(t, o.open(pg), o.reopen(pg))
}
