// SPDX-License-Identifier: Apache-2.0

// Command demo plays Hallmark's story on this machine, with the real programs
// of bin/: a CI job gets an image signed, anybody can verify it, and the same
// image from a workstation gets nowhere. `make demo` runs it. It exits with 0
// only if every step ended as the story says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, "bin")
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run plays the story with the programs in bin.
func run(ctx context.Context, bin string) (err error) {
	s, err := openStage(ctx, bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	for _, scene := range []func(context.Context) error{s.buildAndPush, s.signInCI, s.showLog, s.verify, s.workstation, s.pullRequest} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	s.say("Everything happened as it should: what CI signed verifies, what a workstation made does not.")
	return nil
}
