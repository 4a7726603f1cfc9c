// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/policy"
)

// printTree draws the answer. All of it may be others' words.
func printTree(w io.Writer, answer evidenceAnswer, now time.Time) {
	verdict := "not verified"
	switch {
	case answer.Allowed && answer.Decision != nil:
		verdict = "verified"
	case answer.Allowed:
		verdict = "all of it verifies"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\n", verdict, program.Printable(answer.Artifact))
	answer.subjectTree.print(w, "", now)
}

func (t *subjectTree) print(w io.Writer, indent string, now time.Time) {
	last := len(t.Attached) + len(t.Platforms) - 1
	if last < 0 {
		_, _ = fmt.Fprintf(w, "%s└─ nothing is attached\n", indent)
	}
	for i := range t.Attached {
		branch, below := "├─ ", "│  "
		if i == last {
			branch, below = "└─ ", "   "
		}
		lines := t.Attached[i].lines(now)
		_, _ = fmt.Fprintf(w, "%s%s%s\n", indent, branch, program.Printable(lines[0]))
		for _, line := range lines[1:] {
			_, _ = fmt.Fprintf(w, "%s%s   %s\n", indent, below, program.Printable(line))
		}
	}
	for i := range t.Platforms {
		branch, below := "├─ ", "│  "
		if len(t.Attached)+i == last {
			branch, below = "└─ ", "   "
		}
		_, _ = fmt.Fprintf(w, "%s%splatform %s %s\n", indent, branch, program.Printable(t.Platforms[i].Platform), t.Platforms[i].Digest)
		t.Platforms[i].print(w, indent+below, now)
	}
}

// lines say one thing: what it is, then who and when, then why it does not
// count.
func (a *attached) lines(now time.Time) []string {
	head := a.What
	if a.Kind != "" {
		head += " " + a.Kind
	} else if a.What == isAttestation {
		head += " " + a.PredicateType
	}
	var facts []string
	for _, f := range []string{a.Format, a.Tool} {
		if f != "" && f != a.Kind && !slices.Contains(facts, f) && !strings.HasPrefix(a.Tool, f+" ") {
			facts = append(facts, f)
		}
	}
	if strings.HasPrefix(a.Problem, nothingScanned) {
		facts = append(facts, "NOTHING WAS SCANNED")
	}
	facts = append(facts, a.counts()...)
	if a.Superseded {
		facts = append(facts, "superseded by a newer one")
	}
	if a.ArtifactType != "" {
		facts = append(facts, a.ArtifactType)
	}
	if len(facts) > 0 {
		head += ": " + strings.Join(facts, ", ")
	}
	lines := []string{head}
	switch {
	case a.Revoked:
		lines[0] = "REVOKED " + head
	case !a.Verified && a.claims():
		lines[0] = "NOT VERIFIED " + head
	}
	if a.Verified || a.Revoked {
		lines = append(lines, "by "+a.who(), "at "+a.when(now))
	}
	for _, d := range a.Documents {
		switch {
		case d.Saved != "":
			lines = append(lines, "saved as "+d.Saved)
		case d.Secret:
			lines = append(lines, fmt.Sprintf("document %s, %d bytes, %s, which holds secrets and is not kept", d.Digest, d.Size, d.MediaType))
		case !d.Held:
			lines = append(lines, fmt.Sprintf("document %s, %d bytes, %s", d.Digest, d.Size, d.MediaType))
		}
	}
	if a.What == isDocument {
		for _, l := range a.layers {
			lines = append(lines, fmt.Sprintf("%s, which a verified statement names", l.Digest))
		}
	}
	if a.Problem != "" {
		lines = append(lines, a.Problem)
	}
	return append(lines, a.Origin)
}

// countOrder is the order in which counts are said.
var countOrder = slices.Concat(
	[]string{"packages", "passed", "warned", "failed", "findings"}, severityNames(),
	[]string{"not_affected", "fixed", "affected", "under_investigation", "images", "signed"},
)

func severityNames() []string {
	var names []string
	for _, s := range attest.Severities() {
		names = append(names, string(s))
	}
	return names
}

func (a *attached) counts() []string {
	var said []string
	for _, name := range countOrder {
		if n, ok := a.Counts[name]; ok && (n > 0 || name == "findings" || name == "packages") {
			if n == 1 {
				name = strings.TrimSuffix(name, "s")
			}
			said = append(said, fmt.Sprintf("%d %s", n, name))
		}
	}
	return said
}

func (a *attached) who() string {
	said := a.Signer
	if a.Issuer != "" {
		said += " of " + a.Issuer
	}
	if a.Author != "" {
		said += ", for " + a.Author
	}
	return said
}

func (a *attached) when(now time.Time) string {
	said := "an unproven time"
	if !a.SignedAt.IsZero() {
		said = a.SignedAt.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + policy.Age(now.Sub(a.SignedAt)) + " old)"
	}
	if a.LogIndex != nil {
		said += fmt.Sprintf(", log entry %d", *a.LogIndex)
	}
	if !a.MadeAt.IsZero() && a.SignedAt.Sub(a.MadeAt) > time.Minute {
		said += ", the report is of " + a.MadeAt.UTC().Format(time.RFC3339)
	}
	if !a.DatabaseAt.IsZero() {
		said += ", the database of " + a.DatabaseAt.UTC().Format(time.RFC3339)
	}
	return said
}
