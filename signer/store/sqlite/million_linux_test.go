// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// millionEntries and millionBody scale BenchmarkMillion: how many entries the
// grown log has, and the length of a body.
const (
	millionEntries = "HALLMARK_BENCH_ENTRIES"
	millionBody    = "HALLMARK_BENCH_BODY"
)

// million is a log that is measured while it grows.
type million struct {
	*testing.B
	db   *sqlite.DB
	log  *tlog.Log
	path string
	body int
	next atomic.Uint64
}

// BenchmarkMillion is a log of a million entries beside an empty one, in one
// process, load included (a few minutes, 2 GB of disk):
//
//	go test -run '^$' -bench Million -benchtime 1x -timeout 30m ./signer/store/sqlite
func BenchmarkMillion(b *testing.B) {
	entries, body := number(b, millionEntries, 1_000_000), number(b, millionBody, 800)
	db, path := create(b)
	m := &million{B: b, db: db, path: path, body: body}
	key := newKey(b)
	m.log = startLog(b, db, key)
	for range b.N {
		m.say("floor: fdatasync of 4 KiB %.3f ms, %.0f P-256 sign and verify pairs per second", fdatasync(b), signatures(b))
		empty, emptyIdle := m.closedLoop(20_000, 64), m.idle(400)
		began := time.Now()
		m.closedLoop(entries-int(m.next.Load()), 1024)
		m.say("filled: %.0f entries/s", float64(entries)/time.Since(began).Seconds())
		grown, grownIdle := m.closedLoop(20_000, 64), m.idle(400)
		m.say("closed loop: ratio %.2f; idle p50: ratio %.2f", grown/empty, grownIdle/emptyIdle)
		m.paced(150, 15*time.Second)
		m.searches()
		m.backup()
		m.say("memory: %d MiB", rss(b)>>20)
		m.reopen(key)
	}
}

// say prints a line at once: testing keeps ten of them.
func (m *million) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "\t"+format+"\n", args...) // who watches
}

func number(b *testing.B, env string, otherwise int) int {
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// leaf is a leaf that nothing can compress, with nine keys: five of its own and
// four that many share, one of them every hundredth.
func (m *million) leaf(n uint64) tlog.Leaf {
	body := make([]byte, m.body)
	for at := 0; at < len(body); at += 32 {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n<<8+uint64(at)/32))
		copy(body[at:], sum[:])
	}
	keys := []string{"issuer:https://issuer.example", fmt.Sprint("repository:", n%40), fmt.Sprint("workflow:", n%80), fmt.Sprint("hundredth:", n%100)}
	for i := range 5 {
		keys = append(keys, fmt.Sprintf("own:%d:%d", i, n))
	}
	return tlog.Leaf{Body: body, Keys: keys}
}

func (m *million) append(lat *latencies) {
	leaf := m.leaf(m.next.Add(1))
	began := time.Now()
	if _, err := m.log.Append(context.Background(), leaf); err != nil {
		m.Error(err)
		return
	}
	lat.add(time.Since(began))
}

func (m *million) report(name string, lat *latencies, took, cpu time.Duration) float64 {
	if len(lat.all) == 0 {
		m.Fatal("nothing was measured")
	}
	rate := float64(len(lat.all)) / took.Seconds()
	m.say("%s at %d: %.0f/s, p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, worst %.2f ms, %.3f CPU s per 1,000", name, m.log.Size(), rate,
		lat.percentile(50), lat.percentile(99), lat.percentile(99.9), lat.percentile(100), cpu.Seconds()/float64(len(lat.all))*1000)
	return rate
}

func (m *million) closedLoop(count, writers int) float64 {
	lat := &latencies{}
	var left atomic.Int64
	left.Store(int64(count))
	began, cpu := time.Now(), cpuTime(m)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				m.append(lat)
			}
		})
	}
	wg.Wait()
	return m.report(fmt.Sprintf("closed loop of %d", writers), lat, time.Since(began), cpuTime(m)-cpu)
}

// idle appends one by one and returns the median, milliseconds.
func (m *million) idle(count int) float64 {
	lat := &latencies{}
	began, cpu := time.Now(), cpuTime(m)
	for range count {
		m.append(lat)
	}
	m.report("one by one", lat, time.Since(began), cpuTime(m)-cpu)
	return lat.percentile(50)
}

// paced appends at a rate, whatever the answers take.
func (m *million) paced(rate int, length time.Duration) {
	lat := &latencies{}
	began, cpu := time.Now(), cpuTime(m)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var wg sync.WaitGroup
	for range rate * int(length.Seconds()) {
		<-tick.C
		wg.Go(func() { m.append(lat) })
	}
	wg.Wait()
	m.report(fmt.Sprintf("%d per second", rate), lat, time.Since(began), cpuTime(m)-cpu)
}

func (m *million) searches() {
	own := func(n uint64) string { return fmt.Sprintf("own:3:%d", n) }
	size := m.next.Load()
	for name, query := range map[string]func(i uint64) tlog.Query{
		"one hit": func(i uint64) tlog.Query { return tlog.Query{Keys: []string{own(1 + i*7919%size)}, Limit: 10} },
		"no hit":  func(i uint64) tlog.Query { return tlog.Query{Keys: []string{own(i + size*2)}, Limit: 10} },
		"the last hits of all": func(uint64) tlog.Query {
			return tlog.Query{Keys: []string{"issuer:https://issuer.example"}, Newest: true, Limit: 100}
		},
		"a page of a hundredth": func(i uint64) tlog.Query {
			return tlog.Query{Keys: []string{fmt.Sprint("hundredth:", i%100)}, After: &tlog.Position{Log: "v2", Index: int64(i * 7919 % size)}, Limit: 100}
		},
		"two keys, one hit": func(i uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{"issuer:https://issuer.example", own(1 + i*7919%size)}, Limit: 10}
		},
		"two keys of many, both rare": func(i uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{fmt.Sprint("repository:", i%40), fmt.Sprint("hundredth:", i%100)}, Limit: 100}
		},
		"two keys of many, none of both": func(uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{"repository:0", "workflow:1"}, Limit: 100}
		},
	} {
		lat := &latencies{}
		hits := 0
		began, cpu := time.Now(), cpuTime(m)
		for i := range uint64(300) {
			began := time.Now()
			found, err := m.db.Search(context.Background(), query(i))
			if err != nil {
				m.Fatal(err)
			}
			hits += len(found)
			lat.add(time.Since(began))
		}
		m.report(fmt.Sprintf("search, %s (%.1f hits)", name, float64(hits)/300), lat, time.Since(began), cpuTime(m)-cpu)
	}
}

// backup copies the file, here and as another process would, at 150 per second.
func (m *million) backup() {
	reader, err := sqlite.OpenReadOnly(context.Background(), m.path)
	if err != nil {
		m.Fatal(err)
	}
	defer closeDB(m, reader)
	for name, from := range map[string]*sqlite.DB{"this process": m.db, "another process": reader} {
		file := filepath.Join(m.TempDir(), "backup")
		took := make(chan time.Duration, 1)
		go func() {
			began := time.Now()
			if err := from.Backup(context.Background(), file); err != nil {
				m.Error(err)
			}
			took <- time.Since(began)
		}()
		m.paced(150, 10*time.Second)
		backup, err := os.Stat(file)
		if err != nil {
			m.say("backup by %s takes longer than 10 s", name)
		}
		length := <-took
		wal, err := os.Stat(m.path + "-wal")
		if err != nil {
			m.Fatal(err)
		}
		if backup == nil {
			if backup, err = os.Stat(file); err != nil {
				m.Fatal(err)
			}
		}
		m.say("backup by %s: %d MiB in %.1f s, then a WAL of %d MiB", name, backup.Size()>>20, length.Seconds(), wal.Size()>>20)
	}
}

// reopen measures opening, after a stop and from what a killed process leaves:
// the file with its WAL.
func (m *million) reopen(key crypto.Signer) {
	killed := filepath.Join(filepath.Dir(m.path), "killed.db")
	wal := copyFile(m, m.path+"-wal", killed+"-wal")
	copyFile(m, m.path, killed)
	if err := m.log.Close(context.Background()); err != nil {
		m.Error(err)
	}
	closeDB(m, m.db)
	info, err := os.Stat(m.path)
	if err != nil {
		m.Fatal(err)
	}
	m.say("disk: %.0f bytes per entry, body and %.0f", float64(info.Size())/float64(m.log.Size()), float64(info.Size())/float64(m.log.Size())-float64(m.body))
	for name, path := range map[string]string{"after a stop": m.path, fmt.Sprintf("killed with a WAL of %d MiB", wal>>20): killed} {
		began := time.Now()
		db, err := sqlite.Open(context.Background(), path)
		if err != nil {
			m.Fatal(err)
		}
		opened := time.Since(began)
		l, err := tlog.Load(context.Background(), db, logConfig(key))
		if err != nil {
			m.Fatal(err)
		}
		m.say("open %s: %.1f ms, with the log %.1f ms", name, opened.Seconds()*1000, time.Since(began).Seconds()*1000)
		if err := l.Close(context.Background()); err != nil {
			m.Error(err)
		}
		closeDB(m, db)
	}
}

func copyFile(m *million, from, to string) int64 {
	in, err := os.Open(from)
	if err != nil {
		m.Fatal(err)
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		m.Fatal(err)
	}
	n, err := io.Copy(out, in)
	if err != nil || out.Close() != nil {
		m.Fatal(err)
	}
	return n
}

func cpuTime(m *million) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		m.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// rss is the resident memory of this process, bytes.
func rss(b *testing.B) int64 {
	var total, resident int64
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &total, &resident)
	}
	if err != nil {
		b.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// fdatasync is the median of a durable write of 4 KiB, milliseconds.
func fdatasync(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }() // a floor is not kept
	lat := &latencies{}
	for i := range int64(300) {
		began := time.Now()
		if _, err := f.WriteAt(make([]byte, 4<<10), i<<12); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		lat.add(time.Since(began))
	}
	return lat.percentile(50)
}

// signatures is how many P-256 sign and verify pairs all cores do in a second.
func signatures(b *testing.B) float64 {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	var pairs atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Since(began) < time.Second {
				sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
				if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
					b.Error("a signature that does not verify")
					return
				}
				pairs.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(pairs.Load()) / time.Since(began).Seconds()
}
