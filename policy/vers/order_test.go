// SPDX-License-Identifier: Apache-2.0

package vers_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy/vers"
)

// pieces are what versions of an ecosystem are made of, with what is special
// to it.
var pieces = map[string]string{
	"npm": "0 1 2 10 . . . - - alpha rc 01 +b", "golang": "v 0 1 2 10 . . . - rc +incompatible", "pypi": "0 1 2 10 . . ! rc a b dev post +l c",
	"maven": "0 1 2 10 . . - - alpha a b m beta rc cr SNAPSHOT sp ga final foo 00 x", "gem": "0 1 2 10 . . . a b rc pre -", "nuget": "0 1 2 10 . . . - Alpha beta RC",
	"composer": "0 1 2 10 . . v", "deb": "0 1 2 10 . . - ~ + : rc a", "rpm": "0 1 2 10 . . - ~ ^ : rc a _", "apk": "0 1 2 10 . . _alpha _rc _p a b -r1 -r10 00",
	"generic": "0 1 2 10 . . 00",
}

// TestOrder: of any three versions that a scheme knows it has one order. The
// libraries behind it are others' work: this is what is asked of them.
func TestOrder(t *testing.T) {
	for kind, list := range pieces {
		random := rand.New(rand.NewPCG(1, 2))
		tokens := strings.Fields(list)
		var versions []string
		for len(versions) < 120 {
			v := ""
			for range 1 + random.IntN(7) {
				v += tokens[random.IntN(len(tokens))]
			}
			if _, known := vers.Compare(kind, v, v); known {
				versions = append(versions, v)
			}
		}
		order := make([][]int, len(versions))
		for i, a := range versions {
			order[i] = make([]int, len(versions))
			for j, b := range versions {
				n, known := vers.Compare(kind, a, b)
				if order[i][j] = sign(n); !known {
					order[i][j] = unknown
				}
			}
		}
		for i := range versions {
			for j := range versions {
				if order[i][j] != unknown && order[i][j] != -order[j][i] {
					t.Fatalf("%s: %s and %s: %d and %d", kind, versions[i], versions[j], order[i][j], order[j][i])
				}
				for k := range versions {
					if order[i][j] <= 0 && order[j][k] <= 0 && order[i][k] == 1 {
						t.Fatalf("%s: %s <= %s <= %s, and the first is later than the last", kind, versions[i], versions[j], versions[k])
					}
				}
			}
		}
	}
}

// unknown is an order that nobody can say.
const unknown = 2
