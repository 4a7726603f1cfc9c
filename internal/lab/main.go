// SPDX-License-Identifier: Apache-2.0

package lab

import "testing"

// Main is TestMain of packages whose tests start programs: it removes those that
// were built for them.
func Main(m *testing.M) {
	m.Run() // package testing keeps the exit code
	cleanup()
}
