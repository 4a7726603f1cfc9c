// SPDX-License-Identifier: Apache-2.0

// Command bench measures a running Hallmark from outside, on this machine, and
// prints every figure beside a floor of the same run: what the disk, the
// processor and the registry cost without Hallmark. `make bench` runs it.
// Machines are noisy, so ratios count; docs/PERFORMANCE.md holds a run.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/hallmark-dev/hallmark/internal/devrun"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, "bin")
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string) (err error) {
	dev, err := devrun.Start(ctx, bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Stop()) }()
	_, _ = fmt.Printf("%d cores, %s, %s/%s; load generator, service and registry on the same cores\n\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b := &bench{dev: dev}
	for _, part := range []func(context.Context) error{b.floors, b.signatures, b.appends, b.memory} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}
