// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxProblem bounds what of somebody's template is repeated, bytes.
const maxProblem = 600

func clip(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�")
	if len(s) <= maxProblem {
		return s
	}
	// Where it began and how it ended: between them is the way of a template
	// through others.
	const head = maxProblem / 3
	start, end := head, len(s)-(maxProblem-head)
	for !utf8.RuneStart(s[start]) {
		start--
	}
	for !utf8.RuneStart(s[end]) {
		end++
	}
	return s[:start] + " … " + s[end:]
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// merged are the places of both, each once.
func merged(a, b []string) []string {
	for _, place := range b {
		if !slices.Contains(a, place) {
			a = append(a, place)
		}
	}
	return a
}

func sorted(all map[string]attest.ChartImage) []attest.ChartImage {
	out := make([]attest.ChartImage, 0, len(all))
	for _, image := range all {
		out = append(out, image)
	}
	slices.SortFunc(out, func(a, b attest.ChartImage) int { return cmp.Compare(a.Reference, b.Reference) })
	return out
}
