// SPDX-License-Identifier: Apache-2.0

package identity

// BackgroundRefresh and MaxStale for tests that move the clock.
const (
	BackgroundRefresh = backgroundRefresh
	MaxStale          = maxStale
)
