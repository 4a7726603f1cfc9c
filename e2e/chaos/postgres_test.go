// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
)

// replicas is how many servers share the database.
const replicas = 3

// someFaults is how many faults happen in the default size; the full size has
// as many more as it has more entries, up to a point.
const someFaults = 10

// startPostgres starts a deployment on PostgreSQL.
func startPostgres(t *testing.T) (*world, *load.Trust, string) {
	t.Helper()
	pg := pglab.Start(t)
	database := pg.NewDatabase(t)
	first := lab.Start(t, lab.Options{Database: database, Writers: "open"})
	w := &world{servers: []*lab.Lab{first}, database: pg, url: database}
	for len(w.servers) < replicas {
		w.servers = append(w.servers, first.Replica(t))
	}
	return w, trustOf(t, first), database
}

func trustOf(t *testing.T, l *lab.Lab) *load.Trust {
	t.Helper()
	trust, err := load.ReadTrust(l.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func (w *world) urls() []string {
	var urls []string
	for _, s := range w.servers {
		urls = append(urls, s.URL)
	}
	return urls
}

func openPostgres(t *testing.T, database string) *postgres.DB {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	db, err := postgres.OpenReadOnly(t.Context(), postgres.Config{URL: u.String(), Password: password})
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

// TestPostgres is the big one: three servers, one database, everything killed
// in turn.
func TestPostgres(t *testing.T) {
	n, s := entries(t), seed(t)
	w, trust, database := startPostgres(t)
	began := time.Now()
	readers := readAlong(t, trust, w.urls())
	c := start(t, w.urls(), trust, s, requests(t, s, n))
	torment(t, w, c, rand.New(rand.NewPCG(s, 0)), faults(), someFaults*max(1, min(3, n/defaultEntries)))
	c.end()
	seen := readers.stop()
	t.Logf("%.0f entries a second, faults included", float64(n)/time.Since(began).Seconds())
	for _, server := range w.servers {
		server.Stop(t)
	}
	began = time.Now()
	judge(t, openPostgres(t, database), c, seen)
	t.Logf("judged in %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	t.Log(strings.ReplaceAll(w.servers[0].Fsck(t), "\n", ", "))
	t.Logf("fsck took %v", time.Since(began).Round(time.Millisecond))
}

// defaultOutage is how long the database is gone, seconds: longer than any wait
// of the service.
const defaultOutage = 10

// TestDatabaseGone takes the database away. The service says 503, to writers
// at least, and goes on by itself when it is back.
func TestDatabaseGone(t *testing.T) {
	w, trust, database := startPostgres(t)
	before := start(t, w.urls(), trust, 1, requests(t, 1, 100))
	before.end()
	w.database.Stop(t)
	outage := time.Duration(number(t, "HALLMARK_CHAOS_OUTAGE", defaultOutage)) * time.Second
	reqs := requests(t, 2, 300)
	for i, back := 0, time.Now().Add(outage); time.Now().Before(back); i++ {
		req := &reqs[i%len(reqs)]
		conn := load.NewConn(w.servers[i%replicas].URL)
		status, body, err := conn.Post(t.Context(), req)
		conn.Close()
		if err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("%s without a database: status %d, %v, %.300s", req.Kind, status, err, body)
		}
	}
	for _, server := range w.servers {
		for _, path := range checkpointPaths { // another server may know a newer one
			conn := load.NewConn(server.URL)
			status, body, err := conn.Do(t.Context(), path, nil)
			conn.Close()
			if err != nil || status != http.StatusServiceUnavailable {
				t.Errorf("%s without a database: status %d, %v, %.300s", path, status, err, body)
			}
		}
	}
	w.database.Restart(t)
	readers := readAlong(t, trust, w.urls())
	after := start(t, w.urls(), trust, 2, reqs) // those that were refused among them
	after.end()
	seen := readers.stop()
	for _, server := range w.servers {
		server.Stop(t)
	}
	w.servers[0].Fsck(t)
	judge(t, openPostgres(t, database), after.with(before), seen)
}
