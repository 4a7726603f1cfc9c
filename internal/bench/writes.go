// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
)

const (
	// idleRate leaves the log alone between entries; steadyRate is the issue's
	// busy company: 13 million entries a day.
	idleRate, steadyRate = 20, 150
	// crowd is the closed loop's number of clients.
	crowd = 64
	// openClients is how many connections an open loop may need at most: what
	// arrives while a server stalls for a good fraction of a second.
	openClients = 64
	// closedMost is more than a closed loop sends in a second.
	closedMost = 4000
)

// written is what a closed loop found, beside the floor around it.
type written struct {
	rate, floor float64
	p50, p99    time.Duration
	cpu         time.Duration // per entry, servers and database
	pair        time.Duration // processor time of a P-256 sign+verify pair
}

func (w written) share() float64 { return w.rate / w.floor }

// closed lets the crowd loose on a target, with the floor measured before and
// after.
func (b *bench) closed(t *target, kind load.Kind, d time.Duration) (written, error) {
	reqs, err := b.requests(int(d.Seconds()*b.expected(t, kind)), kind)
	if err != nil {
		return written{}, err
	}
	before, pair, err := pairs(b.scale.floor)
	if err != nil {
		return written{}, err
	}
	used := t.cpu()
	r, err := load.Closed(b.ctx, t.urls(), crowd, reqs, d)
	if err != nil {
		return written{}, fmt.Errorf("%s, %s: %w", t.name, kind, err)
	}
	used = t.cpu() - used
	after, pairAfter, err := pairs(b.scale.floor)
	if err != nil {
		return written{}, err
	}
	b.noteRate(t, kind, r.PerSecond())
	return written{
		rate: r.PerSecond(), floor: (before + after) / 2, p50: r.Quantile(0.50), p99: r.Quantile(0.99),
		cpu: used / time.Duration(max(1, len(r.Latencies))), pair: (pair + pairAfter) / 2,
	}, t.trust.VerifySamples(r.Samples)
}

// open sends at a rate that does not depend on the answers.
func (b *bench) open(t *target, kind load.Kind, rate float64, d time.Duration) (load.Result, error) {
	reqs, err := b.requests(int(d.Seconds()*rate), kind)
	if err != nil {
		return load.Result{}, err
	}
	r, err := load.Open(b.ctx, t.urls(), openClients, reqs, rate)
	if err != nil {
		return load.Result{}, fmt.Errorf("%s, %s, %v/s: %w", t.name, kind, rate, err)
	}
	return r, t.trust.VerifySamples(r.Samples)
}

// requests makes n requests that were not made before.
func (b *bench) requests(n int, kind load.Kind) ([]load.Request, error) {
	first := b.made
	b.made += n
	return b.maker.MakeAll(b.ctx, first, n, kind)
}

// expected is how many requests a second to prepare for a closed loop: half
// more than the last one took.
func (b *bench) expected(t *target, kind load.Kind) float64 {
	if rate := b.rates[t.name+string(kind)]; rate > 0 {
		return rate * 1.5
	}
	return closedMost
}

func (b *bench) noteRate(t *target, kind load.Kind, rate float64) {
	b.rates[t.name+string(kind)] = rate
}
