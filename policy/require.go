// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
)

// EvidenceRequirement says what must be proven about an artifact by statements about its digest. Signing rules and trust policies have
// it, with the same meaning and the same expressions.
type EvidenceRequirement struct {
	// Index says what evidence about an image index has to be about: "index" (the default) the index itself, "platforms" each of its
	// images, "either" one or the other.
	Index string `json:"index,omitempty"`
	// Platforms are those of an index that are asked about, "linux/amd64" or "linux/arm/v7"; without a variant all variants. Each image of
	// the index that is for one of them must have the evidence. Images for other platforms are not asked about, and an index need not have
	// all that are named, but one of them. With it, index is "platforms" if it says nothing. Empty: every image.
	Platforms []string `json:"platforms,omitempty"`
	// Signers are whose statements count, by the names of a trust policy. A signing rule has none: there it is this service.
	Signers []string `json:"signers,omitempty"`
	// SBOM asks for an inventory.
	SBOM bool `json:"sbom,omitempty"`
	// Scan asks for a vulnerability scan.
	Scan *ScanRequirement `json:"scan,omitempty"`
	// Reports ask for reports of other programs than vulnerability scanners.
	Reports []ReportRequirement `json:"reports,omitempty"`
	// Tests asks for a test result that is not FAILED.
	Tests bool `json:"tests,omitempty"`
	// Provenance asks for SLSA provenance made by the service. When the service signs, it makes it from the token's claims.
	Provenance bool `json:"provenance,omitempty"`
	// ChartImages asks of a chart that every image that it refers to is signed. Only a signing rule has it.
	ChartImages *ChartImagesRequirement `json:"chartImages,omitempty"`
	// Conditions must all hold, of evidence that passed the checks above.
	Conditions []Condition `json:"conditions,omitempty"`
}

// ScanRequirement says which scan will do.
type ScanRequirement struct {
	// MaxAge is how old the scan may be, "24h" or "7d": the time since it was logged, or since the report says that it was made,
	// whichever is longer. Compulsory, because an old clean scan must not pass for ever.
	MaxAge string `json:"maxAge"`
	// MaxDatabaseAge is how old the scanner's database may be. A report that does not say is refused then.
	MaxDatabaseAge string `json:"maxDatabaseAge,omitempty"`
	// Tools are names of scanners (trivy, grype) of which each must have scanned. Empty: any one scan.
	Tools []string `json:"tools,omitempty"`
	// VEX are those whose VEX statements excuse findings. Empty: nobody's do.
	VEX []VEXAuthor `json:"vex,omitempty"`
}

// ReportRequirement says which report of another kind will do.
type ReportRequirement struct {
	// Kind is lint, config, secrets, code or licenses; each once.
	Kind string `json:"kind"`
	// MaxAge is how old it may be, as for a scan. Empty: as old as the image. A report that does not say when it was made is refused then.
	MaxAge string `json:"maxAge,omitempty"`
	// Tools are names of programs (hadolint, gitleaks) of which each must have reported. Empty: any.
	Tools []string `json:"tools,omitempty"`
}

// VEXAuthor is the identity of the CI workflow for which a VEX document was attested. Exactly one of author and authorRegexp is set.
type VEXAuthor struct {
	Author       string `json:"author,omitempty"`
	AuthorRegexp string `json:"authorRegexp,omitempty"` // must match the whole identity
	// MaxAge is how long an excuse holds, "90d": since it was logged, or since the statement says that it was made, whichever is longer. A
	// statement that does not say when it was made excuses nothing then. Empty: until it is taken back.
	MaxAge string `json:"maxAge,omitempty"`
}

// Condition is one test: an expression that yields true or false, and what to do when it is false.
type Condition = signingCondition

// What Index says.
const (
	indexItself    = "index"
	indexPlatforms = "platforms"
	indexEither    = "either"
)

// maxAge bounds both ages: a scan of last year says nothing of today.
const maxAge = 366 * 24 * time.Hour

// gate is a compiled EvidenceRequirement. Nil requires nothing.
type gate struct {
	spec        EvidenceRequirement
	reports     map[string]*reportLimits // by kind, scans too
	authors     []vexAuthor
	platforms   []namedPlatform // empty: all
	expressions []*expression
}

// reportLimits say which reports of a kind will do.
type reportLimits struct {
	Tools                  []string
	MaxAge, MaxDatabaseAge string        // as the policy writes them
	maxAge, maxDatabase    time.Duration // 0: not asked for
}

// report returns what is asked of reports of a kind; nil if they are not.
func (g *gate) report(kind string) *reportLimits { return g.reports[kind] }

type vexAuthor struct {
	exact   string
	pattern *regexp.Regexp
	maxAge  time.Duration // 0: for ever
}

// vexAuthor returns the gate's entry for an author whose VEX documents excuse findings: the first that fits.
func (g *gate) vexAuthor(author string) (vexAuthor, bool) {
	for _, a := range g.authors {
		if author != "" && matchesText(author, a.exact, a.pattern) {
			return a, true
		}
	}
	return vexAuthor{}, false
}

// isTooOld reports whether a statement has been an excuse for longer than it may be.
func (a vexAuthor) isTooOld(d *Document, s *VEXStatement, now time.Time) bool {
	if a.maxAge == 0 {
		return false
	}
	at := d.At
	if s.At.Before(at) {
		at = s.At // zero, if it does not say
	}
	return now.Sub(at) > a.maxAge
}

// newGate checks and compiles a requirement. Paths in errors begin with path; others are variables that expressions may read besides
// evidence.
func newGate(path string, spec *EvidenceRequirement, others []cel.EnvOption) (*gate, error) {
	if spec == nil {
		return nil, nil //nolint:nilnil // nothing is required
	}
	g := &gate{spec: *spec, reports: make(map[string]*reportLimits)}
	if len(g.kinds()) == 0 && len(spec.Reports) == 0 {
		return nil, fieldErrorf(path, "requires nothing (hint: sbom, scan, reports, tests, provenance or chartImages)")
	}
	if !oneOf("", indexItself, indexPlatforms, indexEither)(spec.Index) {
		return nil, fieldErrorf(path+".index", "must be %s, %s or %s", indexItself, indexPlatforms, indexEither)
	}
	if err := g.checkPlatforms(path+".platforms", spec); err != nil {
		return nil, err
	}
	if err := g.checkScan(path+".scan", spec.Scan); err != nil {
		return nil, err
	}
	if err := g.checkReports(path+".reports", spec.Reports); err != nil {
		return nil, err
	}
	if err := spec.ChartImages.check(path + ".chartImages"); err != nil {
		return nil, err
	}
	if len(spec.Conditions) == 0 {
		return g, nil
	}
	if err := checkConditions(path+".conditions", spec.Conditions); err != nil {
		return nil, err
	}
	language, err := evidenceLanguage(spec, others)
	if err != nil {
		return nil, fmt.Errorf("prepare expression language: %w", err)
	}
	for i, condition := range spec.Conditions {
		compiled, err := compileWithin(language, condition.Expression, evidenceLimits)
		if err != nil {
			return nil, fieldErrorf(fmt.Sprintf("%s.conditions[%d].expression", path, i), "condition %q: %v%s", condition.Name, err, evidenceHint(err))
		}
		g.expressions = append(g.expressions, compiled)
	}
	return g, nil
}

// evidenceHint explains the error that reading evidence which is not required gives.
func evidenceHint(err error) string {
	if strings.Contains(err.Error(), "undeclared reference to 'evidence'") {
		return " (hint: an expression reads only evidence that the same require asks for)"
	}
	return ""
}

func (g *gate) checkScan(path string, spec *ScanRequirement) (err error) {
	if spec == nil {
		return nil
	}
	if spec.MaxAge == "" {
		return fieldErrorf(path+".maxAge", "is compulsory: an old clean scan must not pass for ever (hint: maxAge: 24h)")
	}
	limits := &reportLimits{Tools: spec.Tools, MaxAge: spec.MaxAge, MaxDatabaseAge: spec.MaxDatabaseAge}
	if err := limits.check(path); err != nil {
		return err
	}
	g.reports[EvidenceScan] = limits
	if len(spec.VEX) > maxEntries {
		return fieldErrorf(path+".vex", "has %d entries, more than %d", len(spec.VEX), maxEntries)
	}
	for i, author := range spec.VEX {
		at := fmt.Sprintf("%s.vex[%d]", path, i)
		pattern, err := checkIdentityPair(at, "author", author.Author, author.AuthorRegexp)
		if err != nil {
			return err
		}
		if isEverybody(pattern) {
			return fieldErrorf(at, "stands for everybody; name those who may excuse findings")
		}
		if err := checkScheme(at, author); err != nil {
			return err
		}
		known := vexAuthor{exact: author.Author, pattern: pattern}
		if author.MaxAge != "" {
			if known.maxAge, err = parseAge(at+".maxAge", author.MaxAge); err != nil {
				return err
			}
		}
		g.authors = append(g.authors, known)
	}
	return nil
}

// check reads the ages and looks at the tools.
func (l *reportLimits) check(path string) error {
	for _, age := range []struct {
		field, text string
		to          *time.Duration
	}{{".maxAge", l.MaxAge, &l.maxAge}, {".maxDatabaseAge", l.MaxDatabaseAge, &l.maxDatabase}} {
		if age.text == "" {
			continue
		}
		var err error
		if *age.to, err = parseAge(path+age.field, age.text); err != nil {
			return err
		}
	}
	if len(l.Tools) == 0 {
		return nil
	}
	return checkEntries(path+".tools", l.Tools, isName, "the name of a scanner, such as trivy")
}

func (g *gate) checkReports(path string, specs []ReportRequirement) error {
	for i, spec := range specs {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !reportKind(spec.Kind):
			return fieldErrorf(at+".kind", "must be one of %s", reportNames())
		case g.reports[spec.Kind] != nil:
			return fieldErrorf(at+".kind", "%s is asked for already", spec.Kind)
		}
		limits := &reportLimits{Tools: spec.Tools, MaxAge: spec.MaxAge}
		if err := limits.check(at); err != nil {
			return err
		}
		g.reports[spec.Kind] = limits
	}
	return nil
}

// parseAge reads a duration as Go writes it, or a number of days.
func parseAge(path, text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		age = time.Duration(min(max(n, 0), 1000)) * 24 * time.Hour
	}
	if err != nil || age <= 0 || age > maxAge {
		return 0, fieldErrorf(path, "must be a duration such as 24h or 7d, at most 366d")
	}
	return age, nil
}

// kinds are the kinds of evidence that are required, in the order in which they are checked.
func (g *gate) kinds() []string {
	var kinds []string
	for _, v := range evidenceVariables {
		if v.asked(&g.spec) {
			kinds = append(kinds, v.kind)
		}
	}
	return kinds
}
