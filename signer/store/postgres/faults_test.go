// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// newWorld makes the log of a test.
func newWorld(t testing.TB, db *postgres.DB) *storagetest.World {
	t.Helper()
	w := storagetest.NewWorld(t, tlog.Config{Name: "v2", Origin: "log.example", Signer: newKey(t), Shared: true})
	if err := tlog.Create(context.Background(), db, w.Config, tlog.Birth{Kind: tlog.V2, TreeID: 7, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	return w
}

// appendAll appends n entries from eight goroutines.
func appendAll(t testing.TB, w *storagetest.World, l *tlog.Log, name string, n int) {
	t.Helper()
	const goroutines = 8
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n; i += goroutines {
				if err := w.Append(context.Background(), l, fmt.Sprintf("%s %d", name, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// insist appends until it is acknowledged, as a client that retries. It returns
// how often it was refused.
func insist(t testing.TB, w *storagetest.World, l *tlog.Log, body string) (refused int) {
	t.Helper()
	const patience, pause = time.Minute, 10 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); refused++ {
		err := w.Append(context.Background(), l, body)
		if err == nil {
			return refused
		}
		if !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("append %q: %v", body, err)
			return refused
		}
		<-time.After(pause)
	}
	t.Errorf("append %q: not available for %v", body, patience)
	return refused
}

// finished writes a finished intent.
func finished(t testing.TB, db *postgres.DB) {
	t.Helper()
	storetest.To(t, db, storetest.Intent("finished", "finished"), "finished")
}

// The server is killed and started again, twice, while three replicas append.
func TestServerKilled(t *testing.T) {
	pg := pglab.Start(t)
	db, cfg := create(t, pg)
	w := newWorld(t, db)
	logs := []*tlog.Log{w.Load(db, w.Config), w.Load(open(t, cfg), w.Config), w.Load(open(t, cfg), w.Config)}
	const writers = 12
	var refused atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					body := fmt.Sprintf("entry %d of %d", n, i/(1+n%2)) // half of them twice
					refused.Add(int64(insist(t, w, logs[i%len(logs)], body)))
				}
			}
		})
	}
	grow := func(by int) {
		for want := w.Acknowledged() + by; w.Acknowledged() < want; {
			<-time.After(time.Millisecond)
		}
	}
	for range 2 {
		grow(100)
		pg.Kill(t)
		pg.Restart(t)
	}
	grow(100)
	close(stop)
	wg.Wait()
	if refused.Load() == 0 {
		t.Error("no append was refused while the server was dead")
	}
	for _, l := range logs {
		if err := w.Append(t.Context(), l, "last"); err != nil {
			t.Error(err)
		}
		w.Check(db, l)
	}
}

// Three processes append to one log while all their connections are broken
// again and again.
func TestReplicas(t *testing.T) {
	pg := pglab.Start(t)
	db, cfg := create(t, pg)
	w := newWorld(t, db)
	logs := []*tlog.Log{w.Load(db, w.Config), w.Load(open(t, cfg), w.Config), w.Load(open(t, cfg), w.Config)}
	const writers, entries = 12, 60
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range entries {
				insist(t, w, logs[i%len(logs)], fmt.Sprintf("entry %d of %d", n, i/(1+2*(n%2)))) // half of them are sent to all
				if i == 0 && n%20 == 10 {
					crash(t, pg, cfg)
				}
			}
		})
	}
	wg.Wait()
	want := writers*entries/2 + writers/3*entries/2
	for _, l := range logs {
		insist(t, w, l, "last")
		if l.Size() != int64(want+1) || w.Acknowledged() != want+1 {
			t.Errorf("%d entries, %d acknowledged, want %d", l.Size(), w.Acknowledged(), want+1)
		}
	}
	// By a process whose connections nobody broke.
	fresh := open(t, cfg)
	w.Check(fresh, w.Load(fresh, w.Config))
}

// The connection breaks between COMMIT and its answer: on the way there, so
// that nothing is written, and on the way back, so that all of it is. The
// engine looks before it answers, and an entry is in the log once.
func TestLostCommit(t *testing.T) {
	pg := pglab.Start(t)
	for name, lose := range map[string]func(*proxy){"request": (*proxy).loseRequest, "answer": (*proxy).loseAnswer} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t)
			cfg := config(t, pg.NewDatabase(t))
			cfg.URL = p.before(t, cfg.URL)
			db, err := postgres.Create(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDB(t, db)
			w := newWorld(t, db)
			var commits atomic.Int64
			faulty := w.Config
			faulty.Fault = func(point tlog.Point) error {
				if point == tlog.BeforeCommit && commits.Add(1)%4 == 0 {
					lose(p)
				}
				return nil
			}
			l := w.Load(db, faulty)
			const entries = 80
			existing := 0
			for n := range entries {
				in, err := l.Append(t.Context(), tlog.Leaf{Body: fmt.Appendf(nil, "entry %d", n)})
				if err == nil {
					err = w.Remember(fmt.Sprintf("entry %d", n), in)
				}
				if err != nil {
					t.Errorf("entry %d: %v", n, err)
				}
				if in.Existing {
					existing++
				}
			}
			lost := int(p.lost.Load())
			if lost < entries/8 || name == "answer" && existing != lost || name == "request" && existing != 0 {
				t.Errorf("%d commits were cut, %d entries were found to exist", lost, existing)
			}
			if l.Size() != entries {
				t.Errorf("%d entries, want %d", l.Size(), entries)
			}
			w.Check(db, l)
		})
	}
}

// A replica stops inside its transaction, as a paused machine does. The others
// go on after a while, and its batch is not written when it wakes.
func TestPausedReplica(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	w := newWorld(t, db)
	other := w.Load(open(t, cfg), w.Config)
	if err := w.Append(t.Context(), other, "before"); err != nil {
		t.Fatal(err)
	}
	holds, wake, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.Commit(context.Background(), tlog.Batch{Log: "v2"}, func(locked tlog.Locked) (tlog.Write, error) {
			close(holds)
			<-wake
			return tlog.Write{Entries: []tlog.Entry{madeUp("v2", locked.Head.Size)}, Head: tlog.Head{Size: locked.Head.Size + 1, Time: locked.Head.Time}}, nil
		})
	}()
	<-holds
	began := time.Now()
	if err := w.Append(t.Context(), other, "meanwhile"); err != nil {
		t.Errorf("append while a replica holds the row: %v", err)
	}
	t.Logf("the row was free after %v", time.Since(began))
	close(wake)
	if err := <-ended; err == nil {
		t.Error("a batch was written after its lock was lost")
	}
	if err := w.Append(t.Context(), w.Load(db, w.Config), "after"); err != nil {
		t.Error(err)
	}
	w.Check(db, other)
}

// While the server's disk is full every write fails and says so, reads go on,
// and nothing half-written is seen. When there is space, writes resume.
func TestDiskFull(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	w := newWorld(t, db)
	l := w.Load(db, w.Config)
	appendAll(t, w, l, "before", 20)
	storetest.To(t, db, storetest.Intent("before", "before"), "signed")
	other := connect(t, cfg)
	for _, sql := range []string{
		`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`,
		`CREATE TRIGGER full_disk AFTER INSERT ON tiles EXECUTE FUNCTION full_disk()`, // behind the entries
		`CREATE TRIGGER full_disk AFTER INSERT ON audit EXECUTE FUNCTION full_disk()`,
		`CREATE TRIGGER full_disk AFTER UPDATE ON logs EXECUTE FUNCTION full_disk()`,
	} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		err := w.Append(t.Context(), l, fmt.Sprintf("during %d", n))
		if !errors.Is(err, tlog.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("append: %v", err)
		}
	}
	if _, _, err := db.Begin(t.Context(), storetest.Intent("during", "during"), storetest.Use("a token"), storetest.Event(signer.DecisionGranted, "during")); err == nil {
		t.Error("an intent was recorded without its event")
	}
	if err := db.Finish(t.Context(), "before", storetest.Receipt(storetest.Intent("before", "")), storetest.Event(signer.DecisionSigned, "before")); err == nil {
		t.Error("an intent was finished without its event")
	}
	if _, err := l.Prove(t.Context(), 7); err != nil {
		t.Errorf("read: %v", err)
	}
	for _, table := range []string{"tiles", "audit", "logs"} {
		if _, err := other.Exec(t.Context(), `DROP TRIGGER full_disk ON `+table); err != nil {
			t.Fatal(err)
		}
	}
	appendAll(t, w, l, "during", 10)
	if got, err := db.Intent(t.Context(), "before"); err != nil || got.Signed == nil || got.Receipt != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := db.Intent(t.Context(), "during"); !errors.Is(err, signer.ErrNoIntent) {
		t.Errorf("half an intent: %v", err)
	}
	w.Check(db, l)
}
