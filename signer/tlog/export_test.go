// SPDX-License-Identifier: Apache-2.0

package tlog

// Waiting returns how many appends are in the pool.
func Waiting(l *Log) int {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return len(l.pool.waiting)
}
