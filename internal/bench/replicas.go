// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Targets of PostgreSQL, everything on the same cores.
const (
	replicas         = 3
	oneLeast         = 0.8  // closed loop, of SQLite
	threeLeast       = 0.8  // closed loop, of one
	threeSteadyMost  = 30.0 // ms, p99 at 150/s
	postgresDiskMost = 1000 // bytes per entry beyond its body
)

// sharedLog measures a log on PostgreSQL: one server beside SQLite, and three
// servers that append to the same log beside one.
func (b *bench) sharedLog() error {
	b.report.title("PostgreSQL")
	pg := pglab.Start(b.stage)
	for _, kind := range b.scale.kinds {
		if err := b.compareReplicas(pg, kind); err != nil {
			return err
		}
	}
	return nil
}

// onPostgres starts a deployment on a new database.
func (b *bench) onPostgres(pg *pglab.Server, name string, servers int) (*target, string, error) {
	database := pg.NewDatabase(b.stage)
	t, err := b.newTarget(name, lab.Options{Database: database})
	if err != nil {
		return nil, "", err
	}
	for len(t.servers) < servers {
		t.servers = append(t.servers, t.servers[0].Replica(b.stage))
	}
	t.postmaster, err = postmasterOf(b.ctx, database)
	return t, database, err
}

// postmasterOf finds PostgreSQL's first process: the parent of the one that
// serves a connection.
func postmasterOf(ctx context.Context, database string) (int, error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }() // it was only asked
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	s, err := readStat(backend)
	return s.parent, err
}

// postgresDisk fills databases in process and weighs them.
func (b *bench) postgresDisk() error {
	b.report.title("PostgreSQL's disk")
	pg := pglab.Start(b.stage)
	for _, kind := range b.scale.kinds {
		if err := b.weighPostgres(pg, kind); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) weighPostgres(pg *pglab.Server, kind load.Kind) error {
	t, database, err := b.onPostgres(pg, "postgresql", 1)
	if err != nil {
		return err
	}
	like, err := b.realBody(t, kind)
	if err != nil {
		return err
	}
	b.stop(t)
	before, err := weigh(b.ctx, database)
	if err != nil {
		return err
	}
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	open := func(ctx context.Context) (store.Database, error) {
		return postgres.Open(ctx, postgres.Config{URL: u.String(), Password: password})
	}
	var filled filling
	err = b.inProcess(t, open, func(_ store.Database, set *tlog.Set) (err error) {
		filled, err = b.fill(set, kind, b.scale.postgres, like)
		return err
	})
	if err != nil {
		return err
	}
	after, err := weigh(b.ctx, database)
	if err != nil {
		return err
	}
	b.report.say("filled in process: %d entries, %.0f/s, bodies of %d bytes", filled.entries, float64(filled.entries)/filled.took.Seconds(), len(like))
	b.judgeDisk(fmt.Sprintf("%s: disk per entry, PostgreSQL (WAL not counted)", kind), after-before, filled, postgresDiskMost)
	return b.sayRelations(database, filled.entries)
}

// sayRelations prints what the bytes are for: tables with what they keep
// beside (TOAST), and indexes.
func (b *bench) sayRelations(database string, entries int64) error {
	conn, err := pgx.Connect(b.ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(b.ctx) }() // it was only asked
	rows, err := conn.Query(b.ctx, `SELECT relname, CASE relkind WHEN 'r' THEN pg_table_size(oid) ELSE pg_relation_size(oid) END AS size
		FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace ORDER BY size DESC LIMIT 6`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var size int64
		if err := rows.Scan(&name, &size); err != nil {
			return err
		}
		b.report.say("  %-20s %6.0f B per entry", name, float64(size)/float64(entries))
	}
	return rows.Err()
}

// weigh is what a database takes on disk, without the WAL that all share.
func weigh(ctx context.Context, database string) (size int64, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }() // it was only asked
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
	return size, err
}

// compareReplicas has SQLite, one server and three servers take turns, each on
// a new log.
func (b *bench) compareReplicas(pg *pglab.Server, kind load.Kind) error {
	var one, three []float64
	var sqlite, single, several written
	for round := range b.scale.rounds {
		s, err := b.newTarget("sqlite", lab.Options{})
		if err != nil {
			return err
		}
		p, _, err := b.onPostgres(pg, "postgresql, 1 server", 1)
		if err != nil {
			return err
		}
		p3, _, err := b.onPostgres(pg, "postgresql, 3 servers", replicas)
		if err != nil {
			return err
		}
		for _, m := range []struct {
			t   *target
			out *written
		}{{s, &sqlite}, {p, &single}, {p3, &several}} {
			if *m.out, err = b.closed(m.t, kind, b.scale.loop); err != nil {
				return err
			}
		}
		one, three = append(one, single.share()/sqlite.share()), append(three, several.share()/single.share())
		if round == b.scale.rounds-1 {
			if err := b.judgePostgres(p, p3, kind, single, several); err != nil {
				return err
			}
		}
		b.stop(s)
		b.stop(p)
		b.stop(p3)
	}
	b.report.atLeast(fmt.Sprintf("%s: closed loop, one server to SQLite", kind), median(one), oneLeast, "x", fmt.Sprintf("last: %s; SQLite %s; all %.2f", single, sqlite, one))
	b.report.atLeast(fmt.Sprintf("%s: closed loop, three servers to one", kind), median(three), threeLeast, "x", fmt.Sprintf("last: %s; all %.2f", several, three))
	return nil
}

// judgePostgres prints what each number of servers reaches by itself.
func (b *bench) judgePostgres(one, three *target, kind load.Kind, single, several written) error {
	for _, m := range []struct {
		t    *target
		w    written
		most float64
	}{{one, single, steadyMost}, {three, several, threeSteadyMost}} {
		name := fmt.Sprintf("%s, %s: ", m.t.name, kind)
		idle, err := b.open(m.t, kind, idleRate, b.scale.loop)
		if err != nil {
			return err
		}
		b.report.atMost(name+"p50 at 20/s", ms(idle.Quantile(0.5)), idleMost, "ms", fmt.Sprintf("p99 %.1f ms", ms(idle.Quantile(0.99))))
		steady, err := b.open(m.t, kind, steadyRate, b.steadyFor())
		if err != nil {
			return err
		}
		b.report.atMost(name+"p99 at 150/s", ms(steady.Quantile(0.99)), m.most, "ms", fmt.Sprintf("p50 %.1f ms", ms(steady.Quantile(0.5))))
		b.judgeClosed(name, m.w)
		_, most := m.t.resident()
		b.report.atMost(name+"largest resident set of a server", mb(most), residentMax, "MB", "")
	}
	return nil
}
