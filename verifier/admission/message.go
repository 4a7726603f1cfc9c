// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a person reads, in bytes and lines.
const (
	maxLine    = 600 // one image with its policy, the reason and what to do about it
	maxLines   = 12  // then "and N more": a pod with a hundred bad images has one problem
	maxWarning = 240 // the API server cuts a warning at 256
	maxName    = 256 // an image reference in a message; real ones are shorter
)

// Message explains a denial: a headline, then one line for each refusal of a policy.
func (v Verdict) Message() string {
	denied, lines := v.lines(Cell.Denied, Finding.line)
	head := fmt.Sprintf("%d of %d images of %s may not run in namespace %q:", denied, len(v.Findings), v.Object, v.Namespace)
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	return head + "\n" + strings.Join(lines, "\n")
}

// Warnings lists the refusals of policies in mode Warn, one each.
func (v Verdict) Warnings() []string {
	_, lines := v.lines(Cell.Warned, Finding.warning)
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("hallmark: and %d more", len(lines)-maxLines))
	}
	return lines
}

// lines makes a line for each cell that is wanted and counts the positions they belong to. A position without cells is denied too.
func (v Verdict) lines(wanted func(Cell) bool, write func(Finding, Cell) string) (positions int, lines []string) {
	for _, f := range v.Findings {
		before := len(lines)
		for _, c := range f.Cells {
			if wanted(c) {
				lines = append(lines, write(f, c))
			}
		}
		if len(f.Cells) == 0 && wanted(Cell{}) {
			lines = append(lines, write(f, Cell{}))
		}
		if len(lines) > before {
			positions++
		}
	}
	return positions, lines
}

// line says which image, what is wrong and what to do.
func (f Finding) line(c Cell) string {
	return oneLine(fmt.Sprintf("%s: image %q: %s", f.Position, cut(f.Position.Reference, maxName), f.reasons(c)), maxLine)
}

// warning says the same in fewer words: the reference is in the object that was sent, the reason is not.
func (f Finding) warning(c Cell) string {
	return oneLine(fmt.Sprintf("hallmark: %s would be denied: %s", f.Position, f.reasons(c)), maxWarning)
}

// reasons joins what a policy says, without the image's long name in every sentence.
func (f Finding) reasons(c Cell) string {
	reasons := strings.Join(c.Reasons, "; ")
	if f.image != "" {
		reasons = strings.ReplaceAll(reasons, f.image, "it")
	}
	if reasons == "" {
		return "nothing was proven about it"
	}
	return reasons
}

// oneLine makes text safe to show on one line of a terminal or log: control characters, line breaks and invisible runes are replaced by
// spaces, invalid UTF-8 by the replacement character, and what is longer than limit bytes is cut.
func oneLine(text string, limit int) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return cut(printable, limit)
}

const ellipsis = "…"

// cut shortens text to limit bytes at a rune boundary and shows that it did.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
