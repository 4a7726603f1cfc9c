// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0 s", -time.Hour: "0 s", time.Second - 1: "0 s", time.Second: "1 s", 59*time.Second + 999*time.Millisecond: "59 s",
		time.Minute: "1 min", 12 * time.Minute: "12 min", 20*time.Minute + time.Second: "20 min 1 s", time.Hour - 1: "59 min 59 s",
		time.Hour: "1 h", 3*time.Hour + 5*time.Minute + 7*time.Second: "3 h 5 min", time.Hour + 7*time.Second: "1 h", day - 1: "23 h 59 min",
		day: "1 day", day + time.Hour: "1 day 1 h", 3*day + 4*time.Hour + 59*time.Minute: "3 days 4 h", 31 * day: "31 days", 365*day - 1: "364 days 23 h",
		365 * day: "1 year", 366 * day: "1 year 1 day", 365*day + time.Hour: "1 year", 46168*time.Hour + 47*time.Minute + 17*time.Second: "5 years 98 days",
		math.MaxInt64: "292 years 171 days",
	} {
		if got := policy.Age(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
