// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync is what SQLite does to its WAL at synchronous=FULL.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
