// SPDX-License-Identifier: Apache-2.0

// Command bench measures a running Hallmark from outside, on this machine, and
// prints every figure beside a floor of the same run: what the disk, the
// processor and the registry cost without Hallmark. `make bench` runs it.
// Machines are noisy, so ratios count; docs/PERFORMANCE.md holds a run.
package main

import (
	"context"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	parts := flags.String("parts", "all", "what to measure, comma-separated: "+strings.Join(partNames(), ", "))
	profile := flags.String("profile", "", "instead: write CPU profiles of hallmark-server under 64 clients to this folder")
	scale := full()
	flags.Int64Var(&scale.million, "entries", scale.million, "how large the large log is")
	flags.Int64Var(&scale.postgres, "postgres-entries", scale.postgres, "how many entries PostgreSQL's disk use is taken from")
	bundleLog := flags.String("bundle-log", "", "signing.bundleLog of the part signing: v1, v2 or both; default that of the service")
	flags.IntVar(&scale.images, "images", scale.images, "how many images the part signing signs")
	kind := flags.String("kind", "", "one kind of entry only: "+string(load.V2)+", "+string(load.V1DSSE)+" or "+string(load.V1Hashed))
	flags.DurationVar(&scale.loop, "loop", scale.loop, "how long one loop runs")
	flags.IntVar(&scale.rounds, "rounds", scale.rounds, "how often a comparison is repeated; the median counts")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if os.Getenv("HALLMARK_BIN") == "" {
		if err := os.Setenv("HALLMARK_BIN", "bin"); err != nil { // `make build` leaves them there
			return err
		}
	}
	_, _ = fmt.Printf("%d cores, %s, %s/%s; load generator, servers and databases on the same cores\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if *kind != "" {
		scale.kinds = []load.Kind{load.Kind(*kind)}
	}
	chosen, err := choose(*parts)
	if err != nil {
		return err
	}
	return play(ctx, func(s *stage) error {
		b, err := newBench(s, scale)
		if err != nil {
			return err
		}
		b.bundleLog = *bundleLog
		if *profile != "" {
			return b.profiles(*profile)
		}
		for _, p := range chosen {
			if err := p.run(b); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		return b.report.summary()
	})
}

// part is a piece of the measurement that can be run alone.
type part struct {
	name string
	run  func(*bench) error
}

func parts() []part {
	return []part{
		{"floors", (*bench).floors},
		{"signatures", (*bench).signatures},
		{"signing", (*bench).signing},
		{"documents", (*bench).documents},
		{"log", (*bench).writes},
		{"million", (*bench).large},
		{"postgres-disk", (*bench).postgresDisk},
		{"postgres", (*bench).sharedLog},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// choose returns the parts of a comma-separated list.
func choose(list string) ([]part, error) {
	if list == "" || list == "all" {
		return parts(), nil
	}
	var chosen []part
	for name := range strings.SplitSeq(list, ",") {
		i := slices.Index(partNames(), name)
		if i < 0 {
			return nil, fmt.Errorf("no part %q (hint: %s)", name, strings.Join(partNames(), ", "))
		}
		chosen = append(chosen, parts()[i])
	}
	return chosen, nil
}

// bench is what the parts share.
type bench struct {
	*stage
	scale  scale
	report report
	maker  *load.Maker
	made   int
	rates  map[string]float64
	keys   map[string]crypto.Signer // of logs, by file
	// bundleLog is that of the part signing.
	bundleLog string
}

func newBench(s *stage, sc scale) (*bench, error) {
	maker, err := load.NewMaker(1)
	return &bench{stage: s, scale: sc, maker: maker, rates: map[string]float64{}, keys: map[string]crypto.Signer{}}, err
}
