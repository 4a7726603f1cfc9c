// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
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
	// Values says with which values the chart must be rendered: "defaults" (the default), its own, which everybody gets who gives none;
	// or "any", those that a job has given will do if it cannot be rendered without. Its images are those of all renderings either way.
	Values string `json:"values,omitempty"`
	// WithoutGuesses leaves out what is only taken for an image by its form, in resources of kinds that nobody here knows.
	WithoutGuesses bool `json:"withoutGuesses,omitempty"`
}

// What Values says.
const (
	valuesDefaults = "defaults"
	valuesAny      = "any"
)

// ChartImages is what a chart refers to.
type ChartImages struct {
	Renders []ChartRender
	Images  []ChartImage
}

// ChartRender is one time that a chart was rendered.
type ChartRender struct {
	Values     string // defaults or given
	Digest     string // of the given values
	Operation  string // install or upgrade
	Kubernetes string // the version that the chart was told
	APIs       string // usual, asked or few
	Manifests  int
	Failed     bool   // it could not be rendered
	Problem    string // what could not be rendered or read
	Unread     string // of it, what was rendered: images may be in it
}

// ChartImage is one image of a chart.
type ChartImage struct {
	Reference, Canonical string
	Places               []string
	Digest               string
	Pinned               bool // by its digest, in the chart
	Signed               bool
	Signers              []string // who had it signed
	Guessed              bool
	Revoked              string // when and why it was; "" if it was not
	Problem              string // why it is not signed
}

// Given reports whether the chart was rendered with values that a job has given, too.
func (c *ChartImages) Given() bool {
	return slices.ContainsFunc(c.Renders, func(r ChartRender) bool { return r.Digest != "" })
}

// unrendered returns why the chart could not be rendered with its defaults, or "". What it does for an upgrade, or in an unusual cluster,
// is looked at as far as it can be.
func (c *ChartImages) unrendered() string {
	for _, r := range c.Renders {
		if r.Values == valuesDefaults { // the first is the usual installation
			if r.Failed {
				return cmp.Or(r.Problem, "it does not say why")
			}
			return ""
		}
	}
	return "it was not tried"
}

// unread returns what was rendered and could not be read, or "".
func (c *ChartImages) unread() string {
	for _, r := range c.Renders {
		if r.Unread != "" {
			return r.Unread
		}
	}
	return ""
}

// makesItself reports whether statements of this type are the service's own.
func makesItself(predicateType string) bool {
	return predicateType == PredicateProvenance || predicateType == PredicateSummary || predicateType == PredicateChartImages
}

// check holds a requirement to what there is.
func (r *ChartImagesRequirement) check(path string) error {
	if r != nil && !oneOf("", valuesDefaults, valuesAny)(r.Values) {
		return fieldErrorf(path+".values", "must be %s or %s", valuesDefaults, valuesAny)
	}
	return nil
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
	if why := c.tooLarge(); why != "" {
		return why
	}
	if unread := c.unread(); unread != "" {
		return "it renders what cannot be read, and images may be in that: " + told(unread) + " (hint: helm lint)"
	}
	if why := c.unrendered(); why != "" && g.spec.ChartImages.Values != valuesAny {
		return "it cannot be rendered with its default values: " + told(why) +
			" (hint: defaults that can be installed; or chartImages: {values: any} in the policy)"
	}
	var bad []string
	var unsigned, revoked, unpinned bool
	for _, image := range c.Images {
		if image.Guessed && g.spec.ChartImages.WithoutGuesses {
			continue
		}
		switch {
		case image.Revoked != "":
			bad = append(bad, shownBare(image.Reference)+" is revoked"+why(image.Revoked)+image.place())
			revoked = true
		case !image.Signed:
			bad = append(bad, shownBare(image.Reference)+" is not signed"+why(image.Problem)+image.place())
			unsigned = true
		case g.spec.ChartImages.Pinned && !image.Pinned:
			bad = append(bad, shownBare(image.Reference)+" is not named by its digest"+image.place())
			unpinned = true
		}
	}
	if len(bad) == 0 {
		return ""
	}
	var advice []string
	if revoked {
		advice = append(advice, "have the chart refer to others, and sign them before the chart")
	} else if unsigned {
		advice = append(advice, "sign the images before the chart")
	}
	if unpinned {
		advice = append(advice, "name images by digest in the chart, such as registry.example/app:1@sha256:…")
	}
	slices.Sort(bad)
	return listed(bad, ", ") + "; " + strings.Join(advice, "; ")
}

// place says where in the chart the image is, or nothing: what a template of a test or a hook refers to is not easily found.
func (i ChartImage) place() string {
	switch len(i.Places) {
	case 0:
		return ""
	case 1:
		return " at " + told(i.Places[0])
	}
	return fmt.Sprintf(" at %s and %s", told(i.Places[0]), count(len(i.Places)-1, "other place"))
}

// told repeats what somebody's template says: how it began and how it ended.
func told(s string) string {
	const head, tail = maxShown / 3, maxShown / 2
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:head], "") + " … " + strings.ToValidUTF8(s[len(s)-tail:], "")
	}
	return strings.Trim(shown(s), `"`)
}

func why(problem string) string {
	if problem == "" {
		return ""
	}
	return " (" + told(problem) + ")"
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
	var problems []string
	for _, r := range c.Renders {
		if r.Problem == "" {
			continue
		}
		word := "with " + r.Values + " values"
		if r.Operation != "" && (r.Operation != "install" || r.APIs != "usual") {
			word += ", " + r.Operation + " on Kubernetes " + r.Kubernetes
		}
		problems = append(problems, word+": "+told(r.Problem))
	}
	if len(problems) > 0 {
		said += "; " + listed(problems, "; ")
	}
	return said
}
