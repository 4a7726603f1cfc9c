// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ActionChartProvenance asks for the provenance file of a Helm chart, which `helm verify` reads. It is made of the archive before that
// is pushed, because it is pushed along: Digest is the archive's, Repository is where the chart is going to be, Kind is chart.
const ActionChartProvenance = "chart-provenance"

// PredicateChartImages is the predicate type of statements about the images that a chart refers to. The service makes them itself.
const PredicateChartImages = "https://hallmark.dev/attestation/chart-images/v1"

// EvidenceChartImages is evidence of which images a chart refers to, and whether they are signed.
const EvidenceChartImages = "chart-images"

// ChartImagesRequirement asks of a chart that every image that it refers to is signed by this service. Of what is no chart it asks
// nothing.
type ChartImagesRequirement struct {
	// Pinned asks that the chart names every image by its digest. A tag may lead to another image tomorrow.
	Pinned bool `json:"pinned,omitempty"`
	// WithoutGuesses leaves out what is only taken for an image by its form, in resources of kinds that nobody here knows.
	WithoutGuesses bool `json:"withoutGuesses,omitempty"`
}

// ChartImages is what a chart refers to.
type ChartImages struct {
	Images   []ChartImage
	Given    bool     // rendered with values that a job has given
	Problems []string // what could not be rendered or read
	Unread   []string // of it, what was rendered: images may be in it
}

// ChartImage is one image of a chart.
type ChartImage struct {
	Reference string
	Pinned    bool // by its digest, in the chart
	Signed    bool
	Guessed   bool
	Problem   string // why it is not signed
}

// makesItself reports whether statements of this type are the service's own.
func makesItself(predicateType string) bool {
	return predicateType == PredicateProvenance || predicateType == PredicateSummary || predicateType == PredicateChartImages
}

// checkProvenanceRule holds a rule for provenance files to what can be decided about an archive that is in no registry yet.
func checkProvenanceRule(path string, rule signingRule) error {
	if !slices.Contains(rule.Actions, ActionChartProvenance) {
		return nil
	}
	if !slices.Contains(rule.Kinds, KindChart) {
		return fieldErrorf(path+".kinds", "a rule with the action %s is for charts (hint: kinds: [chart])", ActionChartProvenance)
	}
	if r := rule.Require; r != nil && (r.SBOM || r.Scan != nil || r.Tests || r.Provenance || len(r.Conditions) > 0) {
		return fieldErrorf(path+".require", "a rule with the action %s can require nothing but chartImages: the chart is in no registry yet that could have evidence "+
			"(hint: two rules, one for this action and one to sign)", ActionChartProvenance)
	}
	return nil
}

// gated reports whether an action waits for the rule's evidence.
func gated(action string) bool { return action == ActionSign || action == ActionChartProvenance }

// checkChartInput holds a request for a provenance file to a chart whose name is that of its repository: rules say who may sign in which
// repository, and a provenance file itself names none.
func checkChartInput(in Input) error {
	if in.Action == ActionChartProvenance && in.Kind != KindChart {
		return errors.New("a provenance file is of a chart")
	}
	return nil
}

// insufficientImages returns what a chart's images lack, or "".
func (g *gate) insufficientImages(c *ChartImages) string {
	if len(c.Unread) > 0 {
		return "it renders what cannot be read, and images may be in that: " + strings.Trim(shown(c.Unread[0]), `"`) + " (hint: helm lint)"
	}
	var bad []string
	for _, image := range c.Images {
		if image.Guessed && g.spec.ChartImages.WithoutGuesses {
			continue
		}
		switch {
		case !image.Signed:
			bad = append(bad, shownBare(image.Reference)+" is not signed"+why(image.Problem))
		case g.spec.ChartImages.Pinned && !image.Pinned:
			bad = append(bad, shownBare(image.Reference)+" is not named by its digest")
		}
	}
	if len(bad) == 0 {
		return ""
	}
	slices.Sort(bad)
	return listed(bad, ", ") + "; sign the images before the chart"
}

func why(problem string) string {
	if problem == "" {
		return ""
	}
	return " (" + strings.Trim(shown(problem), `"`) + ")"
}

// summary says what a chart refers to.
func (c *ChartImages) summary() string {
	signed := 0
	for _, image := range c.Images {
		if image.Signed {
			signed++
		}
	}
	said := fmt.Sprintf("%s, %d signed", count(len(c.Images), "image"), signed)
	if len(c.Problems) > 0 {
		said += "; " + listed(c.Problems, "; ")
	}
	return said
}
