// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"
)

// Age says a duration as a person does, in its two largest units: "5 years 98 days", "3 days 4 h", "12 min". A year has 365 days. It is for
// refusals and terminals; programs get times. What is not yet a second, or negative, is "0 s".
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	units := []struct {
		length time.Duration
		one    string
		many   string
	}{
		{365 * day, "year", "years"}, {day, "day", "days"}, {time.Hour, "h", "h"}, {time.Minute, "min", "min"}, {time.Second, "s", "s"},
	}
	say := func(i int, d time.Duration) (string, time.Duration) {
		n := d / units[i].length
		name := units[i].many
		if n == 1 {
			name = units[i].one
		}
		return fmt.Sprintf("%d %s", n, name), d % units[i].length
	}
	for i := range units {
		if d < units[i].length {
			continue
		}
		said, rest := say(i, d)
		if i+1 < len(units) && rest >= units[i+1].length {
			second, _ := say(i+1, rest)
			said += " " + second
		}
		return said
	}
	return "0 s"
}
