// SPDX-License-Identifier: Apache-2.0

// Command install builds the pinned stock programs whose groups or names are
// given and prints their paths, one a line, on stdout; progress goes to
// stderr. `make tools` and `make lint` run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/hallmark-dev/hallmark/e2e/tools"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

func run(wanted []string) error {
	if len(wanted) == 0 {
		return errors.New("usage: install GROUP|NAME…, see e2e/tools/tools.txt")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	all, err := tools.Pins()
	if err != nil {
		return err
	}
	pins, err := tools.Select(all, wanted)
	if err != nil {
		return err
	}
	cache, err := tools.Open()
	if err != nil {
		return err
	}
	paths, err := cache.Ensure(ctx, pins, os.Stderr)
	if err != nil {
		return err
	}
	for _, path := range paths {
		fmt.Println(path)
	}
	return nil
}
