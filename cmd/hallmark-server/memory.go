// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// memoryLimit is what the Go runtime is told to stay below, by collecting
// garbage more often: bytes. The database's caches (32 MiB) and the program's
// own text come on top, so that a server with a thousand requests in flight
// stays below 200 MB. What lives at a time is bounded elsewhere (signer/api);
// this only keeps garbage from doubling it.
const memoryLimit = 110 << 20

// boundMemory sets the limit, unless who starts the service knows better.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
