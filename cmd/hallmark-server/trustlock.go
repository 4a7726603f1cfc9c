// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockTrust keeps other processes on this folder from writing trust/ and tuf/ at
// the same time: servers and commands. The lock ends with the process.
func lockTrust(ctx context.Context, cfg *Config) (unlock func(), err error) {
	f, err := os.OpenFile(cfg.path("trust", ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock trust material: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock trust material: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock trust material: another process has it: %w", ctx.Err()), f.Close())
		case <-time.After(lockRetry):
		}
	}
}

// lockRetry is how often the lock is tried: it is held for milliseconds.
const lockRetry = 20 * time.Millisecond
