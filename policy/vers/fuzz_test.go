// SPDX-License-Identifier: Apache-2.0

package vers_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy/vers"
)

var samples = []string{
	"vers:npm/1.2.3|>=2.0.0|<5.0.0", "vers:gem/>=2.2.0|!=2.2.1|<2.3.0.pre1", "vers:pypi/0.0.0|1%211.0|2!2.0pre1", "vers:maven/>=1.0.0-beta1|<=1.7.5|>=7.0.0-M1",
	"vers:deb/>=1:1.1.1k-1|<1:1.1.1n-0+deb11u4", "vers:rpm/>=1.1.1k-5.el8|<1.1.1k~12^3.el8", "vers:apk/>=1.1.1_alpha|<1.1.1t-r3", "vers:nuget/>=1.0.0-beta|<1.0.0.1",
	"vers:generic/>=2.9|<=4.1", "vers:datetime/>=2026-01-01T00:00:00Z", "vers:all/*", "vers:none/*", "vers:composer/<2|>3",
}

// FuzzRange: a range that is understood is the same read again; a version that
// it names is in it or not, as its comparator says; and two versions between
// which no signpost stands get the same answer.
func FuzzRange(f *testing.F) {
	for _, s := range samples {
		f.Add(s, "1.2.3", "2.0")
	}
	f.Add("vers:nuget/>=1", "8*0", "1.0.0-*")
	f.Fuzz(func(t *testing.T, text, a, b string) {
		r, err := vers.Parse(text)
		if err != nil {
			return
		}
		again, err := vers.Parse(r.String())
		if err != nil || again.String() != r.String() || again.Size() != r.Size() {
			t.Fatalf("%q is %s, read again %v, %v", text, r, again, err)
		}
		for _, v := range []string{a, b} {
			in, known := r.Contains(v)
			if in2, known2 := again.Contains(v); in != in2 || known != known2 {
				t.Fatalf("%s of %s: %v and %v", v, r, in, in2)
			}
		}
		_, list, _ := strings.Cut(r.String(), "/")
		if list == "*" {
			return
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(r.String(), "vers:"), "/")
		between := vers.Is(text)
		for one := range strings.SplitSeq(list, "|") {
			version := strings.TrimLeft(one, "<>=!")
			point, err := vers.Parse("vers:" + name + "/" + version)
			if err != nil {
				t.Fatalf("%s of %s: %v", version, r, err)
			}
			x, knownX := above(t, name, version, a)
			y, knownY := above(t, name, version, b)
			in, known := point.Contains(a)
			if known && in && x != 0 {
				t.Fatalf("%s is in %s and compares as %d", a, point, x)
			}
			if knownX && x == 0 { // named itself
				in, known := r.Contains(a)
				if want := strings.HasPrefix(one, "<=") || strings.HasPrefix(one, ">=") || one == version; !known || in != want {
					t.Fatalf("%s of %s: %v, %v", a, r, in, known)
				}
			}
			between = between && knownX && knownY && x == y && x != 0
		}
		if inA, knownA := r.Contains(a); between {
			if inB, knownB := r.Contains(b); inA != inB || knownA != knownB {
				t.Fatalf("nothing of %s is between %s (%v) and %s (%v)", r, a, inA, b, inB)
			}
		}
	})
}

// above tells on which side of a signpost a version is: 1 above, -1 below.
func above(t *testing.T, name, encoded, version string) (side int, known bool) {
	t.Helper()
	for comparator, side := range map[string]int{"": 0, ">": 1, "<": -1} {
		r, err := vers.Parse("vers:" + name + "/" + comparator + encoded)
		if err != nil {
			t.Fatal(err)
		}
		switch in, known := r.Contains(version); {
		case !known:
			return 0, false
		case in:
			return side, true
		}
	}
	t.Fatalf("%s is neither %s of %s nor above or below it", version, encoded, name)
	return 0, false
}

// FuzzCompare: every scheme has an order. Of three versions it is one order,
// however they are asked for.
func FuzzCompare(f *testing.F) {
	for _, kind := range []string{"npm", "golang", "pypi", "maven", "gem", "nuget", "composer", "deb", "rpm", "apk", "generic"} {
		f.Add(kind, "1.0.0", "1.0.0-alpha.1", "1.0~rc1-r1")
		f.Add(kind, "1.0_rc1", "1.0.ga-1", "1!2.0.post1")
	}
	f.Fuzz(func(t *testing.T, kind, a, b, c string) {
		ab, known := vers.Compare(kind, a, b)
		ba, knownBack := vers.Compare(kind, b, a)
		if known != knownBack || sign(ab) != -sign(ba) {
			t.Fatalf("%s: %q and %q: %d (%v), the other way around %d (%v)", kind, a, b, ab, known, ba, knownBack)
		}
		if same, ok := vers.Compare(kind, a, a); ok && same != 0 {
			t.Fatalf("%s: %q is not itself", kind, a)
		}
		bc, knownBC := vers.Compare(kind, b, c)
		ac, knownAC := vers.Compare(kind, a, c)
		if known && knownBC && knownAC && ab <= 0 && bc <= 0 && ac > 0 {
			t.Fatalf("%s: %q <= %q <= %q, and the first is greater than the last", kind, a, b, c)
		}
	})
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
