// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
)

// fault is one thing that happens to a deployment, until it is mended.
type fault struct {
	name   string
	happen func(t testing.TB, w *world, random *rand.Rand)
}

// world is what faults happen to.
type world struct {
	servers  []*lab.Lab
	database *pglab.Server // nil for SQLite
	url      string        // of the database
}

// backends are the processes of the database that serve the servers; none
// while it recovers.
func (w *world) backends(t testing.TB) []int {
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close(t.Context()) }() // it was only asked
	rows, err := conn.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid() ORDER BY pid")
	if err != nil {
		return nil
	}
	pids, _ := pgx.CollectRows(rows, pgx.RowTo[int]) // none if it has just crashed
	return pids
}

const (
	// maxDown is how long a killed server stays down at most.
	maxDown = 400 * time.Millisecond
	// crashes and cuts are how often the faults that are quickly mended happen
	// in a row.
	crashes, cuts = 6, 20
)

// down lets the clients meet a dead server for a while.
func down(random *rand.Rand) { time.Sleep(time.Duration(random.Int64N(int64(maxDown)))) }

func (w *world) one(random *rand.Rand) *lab.Lab { return w.servers[random.IntN(len(w.servers))] }

func killServer(t testing.TB, w *world, random *rand.Rand) {
	victim := w.one(random)
	victim.Kill(t)
	down(random)
	victim.Serve(t)
}

// faults of a deployment with several servers and a database of its own.
// Servers are killed most often: theirs are the commits whose answers are lost.
func faults() []fault {
	return []fault{
		{"kill -9 of a server", killServer},
		{"kill -9 of a server", killServer},
		{"a server is stopped and started", func(t testing.TB, w *world, random *rand.Rand) {
			victim := w.one(random)
			victim.Stop(t)
			victim.Serve(t)
		}},
		{"kill -9 of the database", func(t testing.TB, w *world, random *rand.Rand) {
			w.database.Kill(t)
			down(random)
			w.database.Restart(t)
		}},
		{"the database crashes again and again", func(t testing.TB, w *world, random *rand.Rand) {
			for range crashes {
				// One process that dies takes the others with it; the server
				// recovers by itself, in less time than a start takes.
				if pids := w.backends(t); len(pids) > 0 {
					_ = syscall.Kill(pids[random.IntN(len(pids))], syscall.SIGKILL) // it may have ended
				}
				down(random)
			}
		}},
		{"connections to the database are cut", func(t testing.TB, w *world, random *rand.Rand) {
			for range cuts {
				w.database.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user AND backend_type = 'client backend'")
				time.Sleep(time.Duration(random.Int64N(int64(maxDown / 4))))
			}
		}},
		{"kill -9 of all servers but one", func(t testing.TB, w *world, random *rand.Rand) {
			spared := w.one(random)
			for _, s := range w.servers {
				if s != spared {
					s.Kill(t)
				}
			}
			down(random)
			for _, s := range w.servers {
				if s != spared {
					s.Serve(t)
				}
			}
		}},
		{"the database hangs, and a server is killed meanwhile", func(t testing.TB, w *world, random *rand.Rand) {
			resume := w.database.Pause(t)
			down(random)
			victim := w.one(random)
			victim.Kill(t)
			resume()
			victim.Serve(t)
		}},
		{"the database is restarted, and a server with it", func(t testing.TB, w *world, random *rand.Rand) {
			victim := w.one(random)
			w.database.Kill(t)
			victim.Kill(t)
			w.database.Restart(t)
			victim.Serve(t)
		}},
	}
}

// torment has faults happen, spread evenly over the clients' jobs, until the
// clients have ended: each once, then as the seed wants. Mending takes its
// time, so that the last ones may find nobody to torment.
func torment(t testing.TB, w *world, c *crowd, random *rand.Rand, list []fault, n int) {
	t.Helper()
	order := random.Perm(len(list))
	for i := range n {
		if !c.wait((i + 1) * len(c.jobs) / (n + 1)) {
			return
		}
		f := list[random.IntN(len(list))]
		if i < len(order) {
			f = list[order[i]]
		}
		began, before := time.Now(), c.answered.Load()
		f.happen(t, w, random)
		t.Logf("after %d answers: %s (mended after %v)", before, f.name, time.Since(began).Round(time.Millisecond))
	}
}
