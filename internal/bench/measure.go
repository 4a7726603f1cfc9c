// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// result is a closed loop's outcome.
type result struct {
	took time.Duration
	each []time.Duration // sorted
}

// loop runs n calls of f with some clients at a time and times each.
func loop(ctx context.Context, clients, n int, f func(ctx context.Context, i int) error) (result, error) {
	each := make([]time.Duration, n)
	work := make(chan int)
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	for range clients {
		wg.Go(func() {
			for i := range work {
				t := time.Now()
				if err := f(ctx, i); err != nil {
					once.Do(func() { first = err; cancel() })
				}
				each[i] = time.Since(t)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	wg.Wait()
	if first != nil {
		return result{}, first
	}
	took := time.Since(start)
	slices.Sort(each)
	return result{took: took, each: each}, ctx.Err()
}

func (r result) perSecond() float64 { return float64(len(r.each)) / r.took.Seconds() }

// quantile returns the q-th of the sorted times, for example 0.99.
func (r result) quantile(q float64) time.Duration {
	return r.each[min(int(q*float64(len(r.each))), len(r.each)-1)]
}

func (r result) p50() time.Duration { return r.quantile(0.50) }
func (r result) p99() time.Duration { return r.quantile(0.99) }

// row is a line of a closed loop without a target.
func row(what string, r result, note string) string {
	return fmt.Sprintf("%-50s %6.0f/s   p50 %6.1f ms   p99 %6.1f ms   %s", what, r.perSecond(), ms(r.p50()), ms(r.p99()), note)
}
