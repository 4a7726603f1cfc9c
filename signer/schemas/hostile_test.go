// SPDX-License-Identifier: Apache-2.0

package schemas_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/schemas"
)

// numbers has the keywords for which the library calculates.
const numbers = `{"properties": {
	"minimum": {"minimum": 0}, "maximum": {"maximum": 10}, "multiple": {"multipleOf": 3}, "integer": {"type": "integer"}, "const": {"const": 1}, "enum": {"enum": [1, 2]},
	"unique": {"type": "array", "uniqueItems": true}, "list": {"items": {"minimum": 100, "multipleOf": 0.01}}}}`

func newSet(t testing.TB, schema string) *schemas.Set {
	t.Helper()
	set, err := schemas.New(map[string][]byte{reviewType: []byte(schema)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestLargeNumbers: a number that is short to write and long to calculate with is refused before anybody calculates. Of the first of these
// the library makes no number, and panics.
func TestLargeNumbers(t *testing.T) {
	set := newSet(t, numbers)
	for _, number := range []string{"1e2000000", "1e999999", "-1E-999999", "1e401", "1e+401", "0e500", "1e99999999999999999999", "1e-00000000000000401", strings.Repeat("9", 65)} {
		for _, keyword := range []string{"minimum", "maximum", "multiple", "integer", "const", "enum", "other", "unique"} {
			predicate := `{"` + keyword + `": ` + number + `}`
			if keyword == "unique" {
				predicate = `{"unique": [` + strings.Repeat(number+",", 30) + number + `]}`
			}
			n := allocated(func() {
				if err := set.Check(reviewType, []byte(predicate)); !errors.Is(err, schemas.ErrNumber) || !strings.Contains(err.Error(), "$."+keyword) {
					t.Errorf("%s: %v", predicate, err)
				}
			})
			if n > 64<<10 {
				t.Errorf("%s: %d bytes allocated", predicate, n)
			}
		}
	}
	for number, fits := range map[string]bool{"3e300": false, "9": true, "9.0": true, "0.9e1": true, "900e-2": true, "-3": false, "3E-300": false} {
		predicate := `{"minimum": ` + number + `, "maximum": ` + number + `, "multiple": ` + number + `}`
		if err := set.Check(reviewType, []byte(predicate)); (err == nil) != fits || errors.Is(err, schemas.ErrNumber) {
			t.Errorf("%s: %v", predicate, err)
		}
	}
}

// TestManyValues: what is wrong with each of many values takes memory, so that there are not as many as there is room for in a predicate.
func TestManyValues(t *testing.T) {
	set := newSet(t, numbers)
	list := func(n int) []byte {
		return []byte(`{"list": [` + strings.Repeat("1,", n) + `1]}`)
	}
	var err error
	if n := allocated(func() { err = set.Check(reviewType, list(500_000)) }); !errors.Is(err, attest.ErrTooLarge) || n > 64<<20 {
		t.Errorf("half a million values: %v, %d bytes allocated", err, n)
	}
	if n := allocated(func() { err = set.Check(reviewType, list(40_000)) }); err == nil || errors.Is(err, attest.ErrTooLarge) || n > 96<<20 {
		t.Errorf("forty thousand values: %v, %d bytes allocated", err, n)
	}
}

// allocated returns the bytes that f takes from the heap, whether they are given back or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzCheck: the library ends with an answer, whatever the predicate is, and with the same one again.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"minimum": 1e2000000}`, `{"unique": [1, 1.0, 1e0, "a", null, {}, []]}`, `{"multiple": 0.1, "const": 1, "enum": 2}`, `{"list": [100, 0.1e3]}`, `[{"a": 1}]`} {
		f.Add([]byte(seed))
	}
	set := newSet(f, numbers)
	f.Fuzz(func(t *testing.T, predicate []byte) {
		err := set.Check(reviewType, predicate)
		if errors.Is(err, schemas.ErrLibrary) {
			t.Fatal(err)
		}
		if err != nil && len(err.Error()) > 4000 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
		if again := set.Check(reviewType, predicate); (again == nil) != (err == nil) {
			t.Fatalf("%v, and again %v", err, again)
		}
	})
}
