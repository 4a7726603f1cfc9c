// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
)

// Limits that the kernel holds this process to.
const (
	// maxSeconds of processor time: a large umbrella chart takes one. The server
	// has a clock of its own; this one works also when the server has died.
	maxSeconds = 20
	// maxData bounds the memory that is written to, bytes: an archive of 100 MiB,
	// its files and templates, and what they render. Address space alone is no
	// measure, Go reserves more than it uses.
	maxData = 1 << 30
	// maxFiles: stdin, stdout, stderr and what the runtime opens. With no
	// descriptor left there is no connection and no file to write.
	maxFiles = 16
)

func limitProcess() error {
	for _, limit := range []struct {
		resource int
		name     string
		value    uint64
	}{
		{syscall.RLIMIT_CPU, "processor time", maxSeconds}, {syscall.RLIMIT_DATA, "memory", maxData},
		{syscall.RLIMIT_NOFILE, "files", maxFiles}, {syscall.RLIMIT_CORE, "core dumps", 0}, {syscall.RLIMIT_FSIZE, "file size", 0},
	} {
		if err := syscall.Setrlimit(limit.resource, &syscall.Rlimit{Cur: limit.value, Max: limit.value}); err != nil {
			return fmt.Errorf("limit %s: %w", limit.name, err)
		}
	}
	return nil
}
