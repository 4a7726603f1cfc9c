// SPDX-License-Identifier: Apache-2.0

// Package chartreader reads and renders Helm charts in processes of their own.
//
// A chart is a program of whoever wrote it: its templates can loop for ever,
// recurse, and fill the memory, and Helm's engine cannot be stopped once it
// runs. So each chart is given to a new process of hallmark-chart, which has no
// key, no environment, no network and no file but its pipes, is held to limits
// by the kernel, and is killed when its time is over. The process that signs never
// parses a chart. (A goroutine could be given up, but not ended: it would go on
// taking a core and memory of the process that holds the keys. A process costs
// about 20 ms.)
package chartreader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// DefaultTimeout bounds one chart. Large umbrella charts take a second.
	DefaultTimeout = 15 * time.Second
	// maxReading is how many charts are read at a time: each may take a core and
	// hundreds of MiB.
	maxReading = 2
	// maxWaiting is how many others wait. Each has a turn of the service, and
	// charts that never end must not take them all.
	maxWaiting = 24
	// readingOfOne and hereOfOne are how many of one tenant are read, and are read
	// or wait: charts that never end must not take all turns of other tenants.
	readingOfOne = maxReading / 2
	hereOfOne    = (maxReading + maxWaiting) / 2
	// maxReport bounds an answer, bytes: 256 images with 16 places each.
	maxReport = 4 << 20
	// maxRefusal bounds the words of a refusal.
	maxRefusal = 4 << 10
	// maxComplaint bounds what is kept of stderr: a crash is long.
	maxComplaint = 2 << 10
	// exitNo is the exit code of a chart that is not acceptable.
	exitNo = 1
	// killDelay is what a killed process has to let go of its pipes.
	killDelay = 2 * time.Second
)

// Reader implements signer.ChartReader. It is safe for concurrent use.
type Reader struct {
	program string
	timeout time.Duration
	way     way
	missing []string
	turns   *semaphore.Weighted
	here    atomic.Int64 // charts that are read or wait
	tenants tenants
}

// New returns a Reader that runs the program at this path; a timeout of 0 is
// DefaultTimeout. It runs the program once, to find out how far this machine
// lets it be confined.
func New(ctx context.Context, program string, timeout time.Duration) (*Reader, error) {
	r, err := newReader(program, timeout)
	if err != nil {
		return nil, err
	}
	return r, r.probe(ctx)
}

// Missing is what the machine does not allow of the confinement; empty is good.
func (r *Reader) Missing() []string { return slices.Clone(r.missing) }

func newReader(program string, timeout time.Duration) (*Reader, error) {
	info, err := os.Stat(program) //nolint:gosec // the configuration names it
	if err != nil {
		return nil, fmt.Errorf("chart reader: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("chart reader: %s is no program", program)
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Reader{program: program, timeout: timeout, turns: semaphore.NewWeighted(maxReading)}, nil
}

// Read implements signer.ChartReader.
func (r *Reader) Read(ctx context.Context, archive []byte, q attest.ChartQuestion) (attest.ChartReport, error) {
	defer r.here.Add(-1)
	if r.here.Add(1) > maxReading+maxWaiting {
		return attest.ChartReport{}, fmt.Errorf("%w with %d other charts", signer.ErrBusy, maxReading+maxWaiting)
	}
	done, err := r.tenants.take(ctx, q.Tenant)
	if err != nil {
		return attest.ChartReport{}, err
	}
	defer done()
	if err := r.turns.Acquire(ctx, 1); err != nil {
		return attest.ChartReport{}, fmt.Errorf("%w with other charts: %w", signer.ErrBusy, err)
	}
	defer r.turns.Release(1)
	question, err := json.Marshal(q)
	if err != nil {
		return attest.ChartReport{}, fmt.Errorf("read chart: %w", err)
	}
	timed, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, complaint := &bounded{limit: maxReport}, &bounded{limit: maxComplaint}
	cmd := r.command(timed, r.way)
	cmd.Stdin = io.MultiReader(bytes.NewReader(question), strings.NewReader("\n"), bytes.NewReader(archive))
	cmd.Stdout, cmd.Stderr = answer, complaint
	err = run(cmd)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return attest.ChartReport{}, ctx.Err()
	case timed.Err() != nil:
		return attest.ChartReport{}, fmt.Errorf("%w: reading and rendering it did not end within %s (hint: does a template loop?)", attest.ErrChart, r.timeout)
	case err == nil && answer.over:
		return attest.ChartReport{}, fmt.Errorf("%w: what is to be said of it has more than %d bytes", attest.ErrChart, maxReport)
	case err == nil:
		return parse(answer.kept.Bytes())
	case errors.As(err, &exit) && exit.ExitCode() == exitNo:
		return attest.ChartReport{}, refusal(answer)
	case errors.As(err, &exit) && endedByLimit(exit, complaint.kept.String()):
		return attest.ChartReport{}, fmt.Errorf("%w: reading and rendering it takes more memory or time than a chart gets (hint: does a template loop or recurse?)", attest.ErrChart)
	}
	return attest.ChartReport{}, fmt.Errorf("read chart: %w: %s", err, strings.TrimSpace(complaint.kept.String()))
}

// endedByLimit tells a process that the kernel or Go's runtime has ended for
// what it took: by a signal, or with the runtime's exit code and words.
func endedByLimit(exit *exec.ExitError, complaint string) bool {
	const runtimeGaveUp = 2
	if exit.ExitCode() < 0 {
		return true
	}
	for _, words := range []string{"out of memory", "cannot allocate memory", "stack overflow", "stack exceeds"} {
		if exit.ExitCode() == runtimeGaveUp && strings.Contains(complaint, words) {
			return true
		}
	}
	return false
}

func parse(raw []byte) (attest.ChartReport, error) {
	var report attest.ChartReport
	if err := json.Unmarshal(raw, &report); err != nil {
		return attest.ChartReport{}, fmt.Errorf("read chart: its reader's answer: %w", err)
	}
	return report, nil
}

// refusal repeats the words of a refusal.
func refusal(answer *bounded) error {
	words := strings.ToValidUTF8(answer.kept.String(), "�")
	words = strings.TrimPrefix(words, attest.ErrChart.Error()+": ")
	if len(words) > maxRefusal {
		words = words[:maxRefusal] + "…"
	}
	return fmt.Errorf("%w: %s", attest.ErrChart, strings.ToValidUTF8(words, ""))
}

// bounded keeps the beginning of what is written. It embeds no buffer: io.Copy
// would find the buffer's ReadFrom, and read without a limit.
type bounded struct {
	kept  bytes.Buffer
	limit int
	over  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.kept.Len(); len(p) > room {
		b.over = true
		_, _ = b.kept.Write(p[:max(room, 0)]) // never fails
		return len(p), nil
	}
	return b.kept.Write(p)
}
