// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

const (
	// memoryLimit is what the Go runtime is told to stay below, by collecting
	// garbage more often: bytes. The database's caches (32 MiB) and the program's
	// own text come on top, so that a server with a thousand requests in flight
	// stays below 200 MB. What lives at a time is bounded elsewhere (signer/api);
	// this only keeps garbage from doubling it.
	memoryLimit = 110 << 20
	// garbagePercent lets garbage be twice what lives, while there is room below
	// the limit: little lives, and each collection looks through all of it.
	garbagePercent = 200
)

// boundMemory sets both, unless who starts the service knows better. It is
// called when the keys are open: opening one takes 16 MB (scrypt) that nobody
// needs again, and without giving them back the heap would stay that large until
// requests have filled it.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	debug.FreeOSMemory()
}
