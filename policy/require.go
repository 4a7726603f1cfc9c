// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"slices"
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
	// Signers are whose statements count, by the names of a trust policy. A signing rule has none: there it is this service.
	Signers []string `json:"signers,omitempty"`
	// SBOM asks for an inventory.
	SBOM bool `json:"sbom,omitempty"`
	// Scan asks for a vulnerability scan.
	Scan *ScanRequirement `json:"scan,omitempty"`
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

// VEXAuthor is the identity of the CI workflow for which a VEX document was attested. Exactly one of its members is set.
type VEXAuthor struct {
	Author       string `json:"author,omitempty"`
	AuthorRegexp string `json:"authorRegexp,omitempty"` // must match the whole identity
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
	maxAge      time.Duration
	maxDatabase time.Duration // 0: not asked for
	authors     []vexAuthor
	expressions []*expression
}

type vexAuthor struct {
	exact   string
	pattern *regexp.Regexp
}

// allows reports whether a VEX document of this author excuses findings.
func (g *gate) allows(author string) bool {
	return author != "" && slices.ContainsFunc(g.authors, func(a vexAuthor) bool { return matchesText(author, a.exact, a.pattern) })
}

// newGate checks and compiles a requirement. Paths in errors begin with path; others are variables that expressions may read besides
// evidence.
func newGate(path string, spec *EvidenceRequirement, others []cel.EnvOption) (*gate, error) {
	if spec == nil {
		return nil, nil //nolint:nilnil // nothing is required
	}
	g := &gate{spec: *spec}
	if !spec.SBOM && spec.Scan == nil && !spec.Tests && !spec.Provenance && spec.ChartImages == nil {
		return nil, fieldErrorf(path, "requires nothing (hint: sbom, scan, tests, provenance or chartImages)")
	}
	if !oneOf("", indexItself, indexPlatforms, indexEither)(spec.Index) {
		return nil, fieldErrorf(path+".index", "must be %s, %s or %s", indexItself, indexPlatforms, indexEither)
	}
	if err := g.checkScan(path+".scan", spec.Scan); err != nil {
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
	if g.maxAge, err = parseAge(path+".maxAge", spec.MaxAge); err != nil {
		return err
	}
	if spec.MaxDatabaseAge != "" {
		if g.maxDatabase, err = parseAge(path+".maxDatabaseAge", spec.MaxDatabaseAge); err != nil {
			return err
		}
	}
	if len(spec.Tools) > 0 {
		if err := checkEntries(path+".tools", spec.Tools, isName, "the name of a scanner, such as trivy"); err != nil {
			return err
		}
	}
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
		g.authors = append(g.authors, vexAuthor{author.Author, pattern})
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
	for _, k := range []struct {
		kind     string
		required bool
	}{
		{EvidenceSBOM, g.spec.SBOM}, {EvidenceScan, g.spec.Scan != nil}, {EvidenceTest, g.spec.Tests}, {EvidenceProvenance, g.spec.Provenance}, {EvidenceChartImages, g.spec.ChartImages != nil},
	} {
		if k.required {
			kinds = append(kinds, k.kind)
		}
	}
	return kinds
}
