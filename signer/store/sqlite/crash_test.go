// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// crashEnv makes the test binary a process that is killed while it appends.
const crashEnv = "HALLMARK_TEST_CRASH"

// crashPlan says how the child dies.
type crashPlan struct {
	Path  string
	Key   []byte // PKCS #8
	Round int
	Point tlog.Point
	Visit int64 // it dies at the Visit-th time the point is reached
}

// ack is a line that the child writes for every acknowledged entry.
type ack struct {
	Body string
	In   tlog.Inclusion
}

func TestMain(m *testing.M) {
	if plan := os.Getenv(crashEnv); plan != "" {
		err := crashChild(plan)
		fmt.Fprintln(os.Stderr, "the child did not die:", err)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func logConfig(key crypto.Signer) tlog.Config {
	return tlog.Config{Name: "v2", Origin: "log.example", Signer: key}
}

// crashChild appends from many goroutines until it is killed at a named point.
func crashChild(encoded string) error {
	var plan crashPlan
	if err := json.Unmarshal([]byte(encoded), &plan); err != nil {
		return err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plan.Key)
	if err != nil {
		return err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return fmt.Errorf("%T cannot sign", parsed)
	}
	ctx := context.Background()
	db, err := sqlite.Open(ctx, plan.Path)
	if err != nil {
		return err
	}
	var visits atomic.Int64
	cfg := logConfig(key)
	cfg.Fault = func(p tlog.Point) error {
		if p == plan.Point && visits.Add(1) == plan.Visit {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	l, err := tlog.Load(ctx, db, cfg)
	if err != nil {
		return err
	}
	const writers, entries = 8, 200
	var wg sync.WaitGroup
	var out sync.Mutex // one line at a time
	for i := range writers {
		wg.Go(func() {
			for n := range entries {
				// Half of the entries are sent by two writers.
				body := fmt.Sprintf("round %d, entry %d of %d", plan.Round, n, i/(1+n%2))
				in, err := l.Append(ctx, tlog.Leaf{Body: []byte(body), Keys: crashKeys([]byte(body))})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				line, err := json.Marshal(ack{body, in})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				out.Lock()
				_, err = os.Stdout.Write(append(line, '\n'))
				out.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// crashKeys are what an entry of these tests is found by.
func crashKeys(body []byte) []string { return []string{"all", "body:" + string(body)} }

// TestKill kills a writing process at every point of a batch, early and late,
// and looks at what it left: no acknowledged entry may be missing, every entry
// is found by its keys, and the log must be whole and go on. The last round has
// entries enough for runs of the index.
func TestKill(t *testing.T) {
	for _, point := range tlog.Points() {
		t.Run(string(point), func(t *testing.T) {
			db, path := create(t)
			key := newKey(t)
			if err := tlog.Create(t.Context(), db, logConfig(key), tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}); err != nil {
				t.Fatal(err)
			}
			closeDB(t, db)
			w := storagetest.NewWorld(t, logConfig(key))
			for round, visit := range []int64{1, 3, 60} {
				plan := crashPlan{Path: path, Round: round, Point: point, Visit: visit}
				acks := runChild(t, plan, key)
				// Before the 60th batch, eight writers must have had answers.
				if visit == 60 && len(acks) == 0 {
					t.Errorf("round %d: nothing was acknowledged before the crash", round)
				}
				for _, a := range acks {
					if err := w.Remember(a.Body, a.In); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				}
				inspect(t, w, path)
			}
		})
	}
}

// inspect opens what a crash left, checks everything, and appends.
func inspect(t *testing.T, w *storagetest.World, path string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	l, err := tlog.Load(t.Context(), db, w.Config)
	if err != nil {
		t.Fatal(err)
	}
	w.Check(db, l)
	checkKeys(t, db)
	if err := appendWithKeys(w, l, fmt.Sprintf("after the crash: %d", l.Size())); err != nil {
		t.Error(err)
	}
	w.Check(db, l)
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// checkKeys finds every entry by its keys.
func checkKeys(t *testing.T, db *sqlite.DB) {
	t.Helper()
	reports, err := tlog.FsckAll(t.Context(), db, tlog.FsckConfig{
		Keys: func(_ tlog.LogRow, body []byte) ([]string, error) { return crashKeys(body), nil },
	})
	if err != nil || len(reports) != 1 || reports[0].Err() != nil {
		t.Errorf("fsck with keys: %v, %v", reports, err)
	}
	if problems, err := db.Damage(t.Context()); err != nil || problems != nil {
		t.Errorf("damage: %v, %v", problems, err)
	}
}

// runChild runs a child to its death and returns what it acknowledged.
func runChild(t *testing.T, plan crashPlan, key crypto.Signer) []ack {
	t.Helper()
	var err error
	if plan.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), crashEnv+"="+string(encoded))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v, %s", err, stderr.String())
	}
	var acks []ack
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a ack
		if json.Unmarshal(lines.Bytes(), &a) == nil { // the last line may be cut
			acks = append(acks, a)
		}
	}
	return acks
}

// TestPowerCut plays a power cut that loses every write that was not flushed:
// the WAL is cut at every length that it can have had after the last
// acknowledgement, and torn in the middle of a page.
func TestPowerCut(t *testing.T) {
	db, path := create(t)
	key := newKey(t)
	w := storagetest.NewWorld(t, logConfig(key))
	if err := tlog.Create(t.Context(), db, w.Config, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	l := w.Load(db, w.Config)
	const entries = 12
	var flushed [entries]int64 // length of the WAL when entry i was acknowledged
	for i := range entries {
		if err := w.Append(t.Context(), l, fmt.Sprintf("entry %d", i)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		flushed[i] = info.Size()
	}
	image := readFile(t, path)
	wal := readFile(t, path+"-wal")
	for i, length := range flushed {
		end := int64(len(wal))
		if i+1 < entries {
			end = flushed[i+1]
		}
		for _, cut := range []int64{length, length + 1, (length + end) / 2, end - 1} {
			if cut < length || cut > int64(len(wal)) {
				continue
			}
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "db"), image)
			writeFile(t, filepath.Join(dir, "db-wal"), wal[:cut])
			checkCut(t, filepath.Join(dir, "db"), key, int64(i+1), cut)
		}
	}
}

func checkCut(t *testing.T, path string, key crypto.Signer, acknowledged, cut int64) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("WAL cut at %d: %v", cut, err)
	}
	defer closeDB(t, db)
	report, err := tlog.Fsck(t.Context(), db, "v2", key.Public())
	if err != nil || report.Err() != nil || report.Size != acknowledged {
		t.Errorf("WAL cut at %d: %d entries, %d were acknowledged; %v %v", cut, report.Size, acknowledged, err, report.Err())
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
