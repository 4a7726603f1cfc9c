// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
)

// maxSubjectsShown bounds the subjects that are printed.
const maxSubjectsShown = 16

// inspected is what `hallmark inspect -o json` says of one document. Members
// that say nothing are left out.
type inspected struct {
	File       string        `json:"file"`
	Kind       string        `json:"kind"` // "" for a statement of another kind
	Format     string        `json:"format"`
	MediaType  string        `json:"mediaType,omitempty"`
	Digest     attest.Digest `json:"digest"`
	Size       int64         `json:"size"`
	AttestedAs string        `json:"predicateType,omitempty"`
	// AskedAs is the type that a signing policy is asked about, if it is another.
	AskedAs string `json:"policyPredicateType,omitempty"`
	// Secret: the file shows secrets; only what was found is attested.
	Secret  bool              `json:"secret,omitempty"`
	Carried *inspectedCarried `json:"carried,omitempty"`

	Tool        string           `json:"tool,omitempty"`
	ToolVersion string           `json:"toolVersion,omitempty"`
	Target      string           `json:"target,omitempty"`
	Named       string           `json:"namedDigest,omitempty"`
	State       attest.ScanState `json:"state,omitempty"`
	Nothing     string           `json:"nothing,omitempty"`
	Result      string           `json:"result,omitempty"`
	Times       inspectedTimes   `json:"times"`
	Packages    int              `json:"packages,omitempty"`
	PURLs       int              `json:"purls,omitempty"`
	FormatIs    string           `json:"formatVersion,omitempty"`

	Findings   *inspectedFindings `json:"findings,omitempty"`
	Statuses   map[string]int     `json:"vexStatuses,omitempty"`
	Tests      *inspectedTests    `json:"tests,omitempty"`
	Provenance *inspectedBuild    `json:"provenance,omitempty"`
	Notes      []string           `json:"notes,omitempty"`
	Gate       []string           `json:"gate"`
}

type inspectedCarried struct {
	In            string             `json:"in"`
	Number        int                `json:"number,omitempty"`
	Verified      bool               `json:"verified"` // never
	Signatures    int                `json:"signatures"`
	Type          string             `json:"statementType"`
	PredicateType string             `json:"predicateType"`
	SubjectCount  int                `json:"subjectCount"`
	Subjects      []inspectedSubject `json:"subjects"`
	Problem       string             `json:"problem,omitempty"`

	handIn string
}

type inspectedSubject struct {
	Name    string            `json:"name,omitempty"`
	Digests map[string]string `json:"digest,omitempty"`
}

type inspectedTimes struct {
	Created  *time.Time `json:"created,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
	Database *time.Time `json:"database,omitempty"`
}

// inspectedFindings are counts: the findings themselves are in the file.
type inspectedFindings struct {
	Total int `json:"total"`
	// Distinct counts a vulnerability of a package once, whatever it is called.
	Distinct   int            `json:"distinct"`
	Kinds      map[string]int `json:"kinds,omitempty"`
	Severities map[string]int `json:"severities,omitempty"`
	// Said are the severities as the tool writes them.
	Said       map[string]int `json:"severitiesAsSaid,omitempty"`
	Fixes      map[string]int `json:"fixStates,omitempty"`
	Suppressed int            `json:"suppressed,omitempty"`
	BadPURLs   int            `json:"unreadablePurls,omitempty"`
	Passed     int            `json:"passed,omitempty"`
	// Computed is how many have the severity of a score that nobody has written:
	// it was computed from a vector.
	Computed int `json:"severitiesComputed,omitempty"`
}

type inspectedTests struct {
	Passed int `json:"passed"`
	Warned int `json:"warned"`
	Failed int `json:"failed"`
}

type inspectedBuild struct {
	Builder   string `json:"builder"`
	BuildType string `json:"buildType,omitempty"`
	Source    string `json:"source,omitempty"`
	Commit    string `json:"commit,omitempty"`
}

// known is a time that a document says.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// fill sets what was read.
func (i *inspected) fill(ev attest.Evidence) {
	i.Kind = string(ev.Kind)
	switch {
	case ev.SBOM != nil:
		s := ev.SBOM
		i.FormatIs, i.Packages, i.PURLs, i.Tool, i.Target, i.Named = s.Version, s.Packages, s.PURLs, s.Tool, s.Target, s.Digest
		i.Times.Created = known(s.Created)
		if s.Vulnerabilities > 0 {
			i.Notes = append(i.Notes, fmt.Sprintf("also lists %d vulnerabilities: attest it as scan or vex (--type), too, to have them judged", s.Vulnerabilities))
		}
	case ev.Scan != nil:
		i.scan(ev.Scan)
	case ev.Check != nil:
		i.scan(&ev.Check.Scan)
		i.Result, i.Findings.Passed = ev.Check.Result, ev.Check.Passed
	case ev.VEX != nil:
		i.Statuses = make(map[string]int)
		for _, s := range ev.VEX.Statements {
			i.Statuses[s.Status]++
		}
		i.Notes = append(i.Notes, vexNotes(ev.VEX)...)
	case ev.Test != nil:
		i.Result, i.Tests = ev.Test.Result, &inspectedTests{ev.Test.Passed, ev.Test.Warned, ev.Test.Failed}
	case ev.Provenance != nil:
		p := ev.Provenance
		i.Provenance = &inspectedBuild{p.BuilderID, p.BuildType, p.Source, p.Commit}
	}
	i.Gate = i.gate(ev)
}

func (i *inspected) scan(s *attest.Scan) {
	i.Tool, i.ToolVersion, i.Target, i.Named, i.State, i.Nothing = s.Tool, s.ToolVersion, s.Target, strings.Join(s.Digests, " or "), s.State(), s.Nothing
	i.Times = inspectedTimes{Started: known(s.StartedAt), Finished: known(s.FinishedAt), Database: known(s.DatabaseAt)}
	i.Packages, i.Notes = s.Packages, append(i.Notes, s.Notes...)
	f := &inspectedFindings{
		Total: len(s.Findings), Distinct: attest.Distinct(s.Findings),
		Kinds: map[string]int{}, Severities: map[string]int{}, Said: map[string]int{}, Fixes: map[string]int{},
	}
	for _, one := range s.Findings {
		f.Kinds[string(one.Kind)]++
		f.Severities[string(one.Severity)]++
		f.Said[one.SaidSeverity]++
		if one.Kind == attest.FindingVulnerability {
			f.Fixes[one.FixState]++
		}
		if one.Suppressed != nil {
			f.Suppressed++
		}
		if isComputed(&one) {
			f.Computed++
		}
		if one.PURL != "" && !attest.ValidPURL(one.PURL) {
			f.BadPURLs++
		}
	}
	if f.BadPURLs > 0 {
		i.Notes = append(i.Notes, fmt.Sprintf("%d package URLs do not parse: no VEX statement is about these packages by their URL", f.BadPURLs))
	}
	i.Findings = f
}

// gate says what a gate would see, whatever the policy is.
func (i *inspected) gate(ev attest.Evidence) []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if i.Carried != nil {
		say("nothing is verified here; only statements of the service's attestor count")
		say("cannot be handed in like this: it %s", i.Carried.handIn)
		if i.Carried.Problem != "" {
			say("the statement would be refused: %s", i.Carried.Problem)
		}
	}
	switch {
	case ev.SBOM != nil && ev.SBOM.Packages == 0:
		say("an SBOM that lists no package: refused where one is required")
	case ev.SBOM != nil:
		say("an SBOM with %s", plural(ev.SBOM.Packages, "package"))
	case ev.Scan != nil && ev.Scan.Nothing != "":
		say("nothing was scanned: refused where a scan is required, and never clean")
	case ev.Scan != nil:
		say("a scan by %s, %s", ev.Scan.Tool, counted(i.Findings))
		if ev.Scan.FinishedAt.IsZero() {
			say("no time of the scan: refused where a scan is required, since its age is unknown")
		}
		if also := reportKinds(ev); len(also) > 0 {
			say("a report of: %s, too", strings.Join(also, ", "))
		}
		if ev.Scan.DatabaseAt.IsZero() {
			say("no date of the scanner's database: refused where maxDatabaseAge is set")
		}
	case ev.Check != nil:
		if ev.Check.Nothing != "" {
			say("nothing was checked: refused where a report is required")
		}
		say("a check by %s: %s, %s; it is neither a scan of packages nor a test result", ev.Check.Tool, ev.Check.Result, counted(i.Findings))
		say("a report of: %s", strings.Join(reportKinds(ev), ", "))
		if ev.Check.FinishedAt.IsZero() {
			say("no time of the run: refused where reports[].maxAge is set")
		}
	case ev.VEX != nil:
		if all, left := len(ev.VEX.Statements), vexStatements(ev); left < all {
			say("VEX statements: %d of %d; %s", left, all, vexDropped(all-left))
		} else {
			say("VEX statements: %d", all)
		}
		say("not_affected and fixed excuse findings if the policy accepts who attested them")
	case ev.Test != nil && ev.Test.Passed+ev.Test.Warned+ev.Test.Failed == 0:
		say("tests %s: no test passed", ev.Test.Result)
	case ev.Test != nil:
		say("tests %s", ev.Test.Result)
	case ev.Provenance != nil:
		say("provenance by %s; gates look at what the service makes itself", i.Provenance.Builder)
	case ev.ChartImages != nil:
		say("%s; chartImages looks at what the service has found itself", chartImages(ev.ChartImages))
	default:
		say("no evidence: no gate looks at statements of this type")
	}
	if names, _ := ev.Names(); len(names) > 0 { // what the service holds against the artifact
		say("about %s only", strings.Join(names, " or "))
	}
	return said
}

// counted says findings in one line, the worst first.
func counted(f *inspectedFindings) string {
	if f.Total == 0 {
		return "no findings"
	}
	var parts []string
	for _, s := range attest.Severities() {
		if n := f.Severities[string(s)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	noun := "findings"
	if f.Total == 1 {
		noun = "finding"
	}
	return fmt.Sprintf("%d %s: %s", f.Total, noun, strings.Join(parts, ", "))
}

// print says it in words.
func (i *inspected) print(w io.Writer) {
	line := func(label, format string, args ...any) {
		if text := program.Printable(oneLine(fmt.Sprintf(format, args...))); text != "" { // some of it is the file's
			_, _ = fmt.Fprintf(w, "%s\t%s\n", label, text)
		}
	}
	line("file", "%s", i.File)
	if c := i.Carried; c != nil {
		number := ""
		if c.Number > 0 {
			number = fmt.Sprintf(" %d", c.Number)
		}
		line("carried in", "%s%s, %s, not verified", c.In, number, plural(c.Signatures, "signature"))
		line("statement", "%s", c.Type)
		line("predicate", "%s", c.PredicateType)
		line("subjects", "%d", c.SubjectCount)
		for _, s := range c.Subjects[:min(len(c.Subjects), 3)] {
			line("subject", "%s %s", s.Name, digestsOf(s.Digests))
		}
	}
	kind := i.Kind
	if kind == "" {
		kind = "statement"
	}
	line("kind", "%s", kind)
	line("format", "%s", strings.TrimSpace(i.Format+" "+i.FormatIs))
	line("tool", "%s", strings.TrimSpace(i.Tool+" "+i.ToolVersion))
	line("about", "%s", i.Target)
	line("digest named", "%s", i.Named)
	if i.State != "" {
		line("state", "%s", strings.TrimSuffix(string(i.State)+": "+i.Nothing, ": "))
	}
	line("result", "%s", i.Result)
	if f := i.Findings; f != nil {
		line("findings", "%d, %d distinct", f.Total, f.Distinct)
		line("kinds", "%s", tally(f.Kinds))
		line("severities", "%s", tally(f.Severities))
		line("as said", "%s", tally(f.Said))
		if f.Computed > 0 {
			line("computed", "%d severities, from CVSS vectors", f.Computed)
		}
		line("fixes", "%s", tally(f.Fixes))
		if f.Suppressed > 0 {
			line("suppressed", "%d", f.Suppressed)
		}
		if f.Passed > 0 {
			line("passed", "%d", f.Passed)
		}
	}
	if i.Packages > 0 || i.Kind == string(attest.EvidenceSBOM) {
		line("packages", "%d", i.Packages)
	}
	if i.Kind == string(attest.EvidenceSBOM) {
		line("purls", "%d", i.PURLs)
	}
	line("statuses", "%s", tally(i.Statuses))
	if t := i.Tests; t != nil {
		line("tests", "%d passed, %d warned, %d failed", t.Passed, t.Warned, t.Failed)
	}
	if p := i.Provenance; p != nil {
		line("builder", "%s", p.Builder)
		line("build type", "%s", p.BuildType)
		line("source", "%s", strings.TrimSpace(p.Source+" "+p.Commit))
	}
	for _, t := range []struct {
		label string
		at    *time.Time
	}{{"created", i.Times.Created}, {"started", i.Times.Started}, {"finished", i.Times.Finished}, {"database of", i.Times.Database}} {
		if t.at != nil {
			line(t.label, "%s", t.at.Format(time.RFC3339))
		}
	}
	line("original", "%s, %d bytes", i.Digest, i.Size)
	if i.Carried == nil {
		line("attested as", "%s", i.AttestedAs)
		if i.AskedAs != "" {
			line("policy asked for", "%s", i.AskedAs)
		}
	}
	if i.Secret {
		line("note", "the file shows secrets: only what was found, and where, is attested and kept")
	}
	for _, n := range i.Notes {
		line("note", "%s", n)
	}
	for _, g := range i.Gate {
		line("gate", "%s", g)
	}
}

// rank puts severities in the order in which gates say them; all other words
// are of one rank.
func rank(name string) int {
	return slices.Index(attest.Severities(), attest.Severity(strings.ToLower(name)))
}

// tally says counts: of severities the worst first, of other words by name.
func tally(counts map[string]int) string {
	var parts []string
	byRank := func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(counts), byRank) {
		label := name
		if label == "" {
			label = "(nothing)"
		}
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], label))
	}
	return strings.Join(parts, ", ")
}

func digestsOf(digests map[string]string) string {
	var parts []string
	for _, algorithm := range slices.Sorted(maps.Keys(digests)) {
		parts = append(parts, algorithm+":"+digests[algorithm])
	}
	if parts == nil {
		return "(no digest)"
	}
	return strings.Join(parts, " ")
}
