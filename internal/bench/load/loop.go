// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sampleEvery is how many answers of a loop share one that is kept, to be
// verified completely when the clock has stopped.
const sampleEvery = 50

// Result is what a loop measured.
type Result struct {
	Took time.Duration
	// Latencies are sorted.
	Latencies []time.Duration
	// Samples are answers to be verified.
	Samples []Sample
}

// Sample is a request and its answer.
type Sample struct {
	Request *Request
	Answer  []byte
}

// PerSecond is the rate of accepted entries.
func (r Result) PerSecond() float64 { return float64(len(r.Latencies)) / r.Took.Seconds() }

// Quantile returns the q-th of the latencies, for example 0.99.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(q*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// Closed has clients send requests one after the other for some time, or until
// there are none left. Clients are spread over the servers. Every answer must
// be a 201.
func Closed(ctx context.Context, urls []string, clients int, reqs []Request, d time.Duration) (Result, error) {
	l := newLoop(ctx, urls, clients)
	var next atomic.Int64
	end := l.start.Add(d)
	return l.run(func(w *worker) error {
		for {
			i := int(next.Add(1)) - 1
			now := time.Now()
			if i >= len(reqs) || now.After(end) {
				return nil
			}
			if err := w.send(l.ctx, &reqs[i], now, i%sampleEvery == 0); err != nil {
				return err
			}
		}
	})
}

// Open sends each request at its moment, rate a second, over as many
// connections as are needed but no more than clients. Latencies count from the
// planned moment.
func Open(ctx context.Context, urls []string, clients int, reqs []Request, rate float64) (Result, error) {
	l := newLoop(ctx, urls, clients)
	var next atomic.Int64
	return l.run(func(w *worker) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(reqs) {
				return nil
			}
			planned := l.start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			select {
			case <-time.After(time.Until(planned)):
			case <-l.ctx.Done():
				return l.ctx.Err()
			}
			if err := w.send(l.ctx, &reqs[i], planned, i%sampleEvery == 0); err != nil {
				return err
			}
		}
	})
}

// loop is clients at work.
type loop struct {
	ctx     context.Context //nolint:containedctx // of one run
	cancel  context.CancelFunc
	start   time.Time
	workers []*worker
}

// worker is one client and what it has seen.
type worker struct {
	conn      *Conn
	latencies []time.Duration
	samples   []Sample
}

func newLoop(ctx context.Context, urls []string, clients int) *loop {
	l := &loop{}
	l.ctx, l.cancel = context.WithCancel(ctx)
	for i := range clients {
		l.workers = append(l.workers, &worker{conn: NewConn(urls[i%len(urls)])})
	}
	l.start = time.Now()
	return l
}

// run runs f for every worker and puts together what they saw.
func (l *loop) run(f func(*worker) error) (Result, error) {
	defer l.cancel()
	var wg sync.WaitGroup
	var once sync.Once
	var first error // those after it are of its making
	for _, w := range l.workers {
		wg.Go(func() {
			defer w.conn.Close()
			if err := f(w); err != nil {
				once.Do(func() { first = err })
				l.cancel()
			}
		})
	}
	wg.Wait()
	r := Result{Took: time.Since(l.start)}
	for _, w := range l.workers {
		r.Latencies = append(r.Latencies, w.latencies...)
		r.Samples = append(r.Samples, w.samples...)
	}
	slices.Sort(r.Latencies)
	return r, first
}

// send sends one request; its latency counts from since.
func (w *worker) send(ctx context.Context, r *Request, since time.Time, keep bool) error {
	status, body, err := w.conn.Post(ctx, r)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("POST %s: status %d: %.500s", r.Kind, status, body)
	}
	w.latencies = append(w.latencies, time.Since(since))
	if keep {
		w.samples = append(w.samples, Sample{Request: r, Answer: slices.Clone(body)})
	}
	return nil
}
