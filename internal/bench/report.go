// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// report prints figures as they are made, and in the end those that have a
// target.
type report struct {
	judged []figure
	met    int
}

// figure is a measured number that has a target: at most it, or at least.
type figure struct {
	what       string
	got, want  float64
	unit       string
	least, met bool
	note       string
}

func (f figure) String() string {
	bound, mark := "at most", "met"
	if f.least {
		bound = "at least"
	}
	if !f.met {
		mark = "MISSED"
	}
	return fmt.Sprintf("%-66s %9.3g %-3s %s %-7s %-6s  %s", f.what, f.got, f.unit, bound, fmt.Sprintf("%.3g", f.want), mark, f.note)
}

// atMost judges a figure that should be small, atLeast one that should be
// large. The note has the absolute numbers behind it.
func (r *report) atMost(what string, got, want float64, unit, note string) {
	r.judge(figure{what: what, got: got, want: want, unit: unit, met: got <= want, note: note})
}

func (r *report) atLeast(what string, got, want float64, unit, note string) {
	r.judge(figure{what: what, got: got, want: want, unit: unit, least: true, met: got >= want, note: note})
}

func (r *report) judge(f figure) {
	r.judged = append(r.judged, f)
	if f.met {
		r.met++
	}
	_, _ = fmt.Println(f)
}

// say prints what has no target.
func (r *report) say(format string, args ...any) { _, _ = fmt.Printf(format+"\n", args...) }

func (r *report) title(text string) {
	_, _ = fmt.Printf("\n%s\n%s\n", text, strings.Repeat("-", len(text)))
}

// summary repeats what was judged.
func (r *report) summary() error {
	if len(r.judged) == 0 {
		return nil
	}
	r.title(fmt.Sprintf("%d of %d targets met", r.met, len(r.judged)))
	for _, f := range r.judged {
		if !f.met {
			r.say("%s", f)
		}
	}
	return nil
}

// ms and us are a duration as a number of that unit.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// mb is a number of bytes in MB, as the targets count.
func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// median returns the middle of a few numbers.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
