// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// checkRooms returns a sentence for each import of ours that the table forbids.
func checkRooms(g graph, table []room) []string {
	var wrong []string
	for _, from := range g.ours() {
		row, ok := rowOf(table, from)
		if !ok {
			wrong = append(wrong, from+" is in no row of the import table (hint: internal/archtest/rules.go and docs/DESIGN.md)")
			continue
		}
		for _, to := range g[from] {
			if ours(to) && !covers(row.may, to) {
				wrong = append(wrong, fmt.Sprintf("%s must not import %s: %s; it may import %s", from, to, row.why, orNothing(row.may)))
			}
		}
	}
	return wrong
}

func orNothing(may []string) string {
	if len(may) == 0 {
		return "nothing of ours"
	}
	return strings.Join(may, ", ")
}

// rowOf returns the row with the longest pattern that covers path. A pattern
// x/... in the first column is about what is below x, and about x itself only
// if x has no row of its own.
func rowOf(table []room, path string) (room, bool) {
	var best room
	found := false
	for _, r := range table {
		if !covers([]string{r.pattern}, path) {
			continue
		}
		if r.pattern == path {
			return r, true
		}
		if !found || len(r.pattern) > len(best.pattern) {
			best, found = r, true
		}
	}
	return best, found
}

// checkBans returns a sentence, with the chain of imports, for each package
// that reaches what it must not.
func checkBans(g graph, rules []ban) []string {
	var wrong []string
	for _, from := range g.ours() {
		for _, b := range rules {
			if !covers(b.from, from) || covers(b.except, from) {
				continue
			}
			chain := g.chain(from, !b.linked, func(path string) bool {
				return covers(b.never, path) && !covers(b.but, path)
			})
			if chain != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %s", strings.Join(chain, " -> "), b.why))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}
