// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package chartreader

// ways has no better one: services run on Linux, elsewhere this is for
// development.
var ways = []way{{without: "a network namespace, which only Linux has"}}
