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
	cut := maxProblem
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
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
