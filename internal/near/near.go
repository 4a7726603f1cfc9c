// SPDX-License-Identifier: Apache-2.0

// Package near finds the word that somebody who mistyped may have meant.
package near

// maxWord bounds the words that are compared, bytes: the work grows with the
// square of it.
const maxWord = 64

// What a slip costs. Letters that changed places are the same letters, so such a
// word is nearer than one with another letter: amr64 is arm64 and not amd64.
const (
	letter = 3 // too many, missing or another
	swap   = 2
	// most is how far a word may be from what was meant, two letters: with more,
	// short words are near to anything.
	most = 2 * letter
)

// Word returns the word of the list that is nearest to one that is not in it; ""
// if none is near (optimal string alignment).
func Word(mistyped string, words []string) string {
	best, nearest := most+1, ""
	for _, word := range words {
		if d := distance(mistyped, word); d < best && d < letter*len(word) {
			best, nearest = d, word
		}
	}
	return nearest
}

func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return most + 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i * letter
	}
	for j := range rows[0] {
		rows[0][j] = j * letter
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			other := letter
			if a[i-1] == b[j-1] {
				other = 0
			}
			d := min(rows[i-1][j]+letter, rows[i][j-1]+letter, rows[i-1][j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+swap)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
