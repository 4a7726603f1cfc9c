// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// Targets of the log on SQLite. They are a little beyond what a plain prototype
// of the same design reached.
const (
	idleMost    = 4.0  // ms
	steadyMost  = 25.0 // ms, p99
	shareLeast  = 0.20 // of the floor, in a closed loop
	cpuMost     = 0.5  // seconds per 1,000 entries
	residentMax = 100.0
)

// floors prints what the machine can do without Hallmark.
func (b *bench) floors() error {
	b.report.title("floors")
	rate, each, err := pairs(b.scale.floor)
	if err != nil {
		return err
	}
	commits, err := durableCommit(b.TempDir())
	if err != nil {
		return err
	}
	b.report.say("P-256 sign+verify pairs, all cores   %.0f/s, %.0f us of processor time each", rate, us(each))
	b.report.say("one durable commit (%d bytes)      p50 %.2f ms, p99 %.2f ms", commitBytes, ms(commits[len(commits)/2]), ms(commits[len(commits)*99/100]))
	return nil
}

// writes measures proved writes to a new log on SQLite: from the request to the
// 201 with inclusion proof and signed checkpoint, the client's signature
// verified, everything durable.
func (b *bench) writes() error {
	b.report.title("proved writes over HTTP, SQLite, empty log")
	t, err := b.newTarget("sqlite", lab.Options{})
	if err != nil {
		return err
	}
	for _, kind := range b.scale.kinds {
		if err := b.judgeWrites(t, kind); err != nil {
			return err
		}
	}
	now, most := t.resident()
	b.report.atMost("largest resident set of the server, MB", mb(most), residentMax, "MB", fmt.Sprintf("now %.0f MB", mb(now)))
	b.stop(t)
	return nil
}

// judgeWrites runs the three loads of the issue on a target.
func (b *bench) judgeWrites(t *target, kind load.Kind) error {
	commits, err := durableCommit(t.servers[0].Dir)
	if err != nil {
		return err
	}
	commit := commits[len(commits)/2]
	idle, err := b.open(t, kind, idleRate, b.scale.loop)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s, %s: ", t.name, kind)
	b.report.atMost(name+"p50 at 20/s", ms(idle.Quantile(0.5)), idleMost, "ms",
		fmt.Sprintf("%.1f durable commits of %.2f ms; p99 %.1f ms", float64(idle.Quantile(0.5))/float64(commit), ms(commit), ms(idle.Quantile(0.99))))
	steady, err := b.open(t, kind, steadyRate, b.steadyFor())
	if err != nil {
		return err
	}
	b.report.atMost(name+"p99 at 150/s", ms(steady.Quantile(0.99)), steadyMost, "ms", fmt.Sprintf("p50 %.1f ms", ms(steady.Quantile(0.5))))
	w, err := b.closed(t, kind, b.scale.loop)
	if err != nil {
		return err
	}
	b.judgeClosed(name, w)
	return nil
}

func (b *bench) judgeClosed(name string, w written) {
	b.report.atLeast(name+"64 clients, share of the floor", w.share(), shareLeast, "", w.String())
	b.report.atMost(name+"CPU seconds per 1,000 entries", w.cpu.Seconds()*1000, cpuMost, "s",
		fmt.Sprintf("as much as %.1f P-256 pairs an entry", float64(w.cpu)/float64(w.pair)))
}

func (w written) String() string {
	return fmt.Sprintf("%.0f/s of %.0f/s, p50 %.0f ms, p99 %.0f ms", w.rate, w.floor, ms(w.p50), ms(w.p99))
}

// steadyFor is long enough at 150/s that a p99 is more than one outlier.
func (b *bench) steadyFor() time.Duration { return b.scale.loop * 3 / 2 }
