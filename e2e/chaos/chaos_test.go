// SPDX-License-Identifier: Apache-2.0

// Package chaos takes the ground from under running logs while many clients
// write to them, and then counts.
//
// Clients send entries of every kind, over both APIs, through all servers of a
// deployment; some are sent twice at once, to two servers, and some again later.
// Whoever gets no answer, or 503, asks another server until there is a 201.
// Meanwhile servers and database are killed and started again, and readers
// collect every checkpoint they are shown.
//
// Afterwards the database is read as it is, by no code of the service: every
// 201 must be in its log once, at its index, with its time; indexes have no
// gaps; every checkpoint anybody ever saw must be the root of the first entries
// of that one log, so that no two contradict each other.
//
// The order of everything follows from a seed, which is printed. Kills come
// after so many answers, not after so many seconds, so that a slow machine sees
// the same test. HALLMARK_CHAOS_ENTRIES, HALLMARK_CHAOS_OUTAGE (seconds without a
// database) and HALLMARK_CHAOS_SEED change size, patience and seed; `make chaos`
// runs the full size.
package chaos

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// defaultEntries keeps the tests of this folder within a minute on two cores.
const defaultEntries = 4000

// entries is how many different entries the test on PostgreSQL writes.
func entries(t *testing.T) int { return number(t, "HALLMARK_CHAOS_ENTRIES", defaultEntries) }

// seed of all that is random but keys.
func seed(t *testing.T) uint64 {
	s := number(t, "HALLMARK_CHAOS_SEED", 1)
	t.Logf("HALLMARK_CHAOS_SEED=%d", s)
	return uint64(s)
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatal(fmt.Errorf("%s=%s is not a number above zero", variable, value))
	}
	return n
}
