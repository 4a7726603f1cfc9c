// SPDX-License-Identifier: Apache-2.0

package attest

import "errors"

// What is said of Helm charts. A chart is read and rendered in a process of
// its own (package helm, cmd/hallmark-chart); these are the words in which that
// process answers, and the predicate that is made of them.

// PredicateChartImages is the predicate type of statements about the images
// that a chart refers to: docs/CHARTS.md describes it.
const PredicateChartImages = "https://hallmark.dev/attestation/chart-images/v1"

// ErrChart says that an archive is no chart that can be accepted. Its message
// says what is wrong with it.
var ErrChart = errors.New("not an acceptable chart")

// ChartReaderProbe is the argument by which the program that reads charts is
// asked, without a chart, for its ChartConfinement.
const ChartReaderProbe = "confinement"

// ChartConfinement says how far that program is confined.
type ChartConfinement struct {
	// Missing is what the machine does not allow; empty if nothing is missing.
	Missing []string `json:"missing,omitempty"`
}

// ChartQuestion is what is asked about a chart besides its archive.
type ChartQuestion struct {
	// FileName is the archive's, "app-1.2.3.tgz"; "" if it has none, as in a
	// registry.
	FileName string `json:"fileName,omitempty"`
	// Render has the chart rendered: with its defaults and, if there are any,
	// with the values below.
	Render bool `json:"render,omitempty"`
	// Values are YAML documents, later ones over earlier ones; Set are
	// helm's --set, over all of them.
	Values []string `json:"values,omitempty"`
	Set    []string `json:"set,omitempty"`
	// Anyway has a chart that cannot be rendered with its defaults reported, and
	// not refused: values that somebody gave earlier may do.
	Anyway bool `json:"anyway,omitempty"`
	// Release and Namespace are what the chart is told of where it will run.
	Release   string `json:"release,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Tenant is whose question it is, to share out turns; the reader's process is
	// not told. "": nobody's.
	Tenant string `json:"-"`
}

// HasValues tells whether values were given.
func (q ChartQuestion) HasValues() bool { return len(q.Values)+len(q.Set) > 0 }

// ChartReport is what a chart is.
type ChartReport struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Message is what a provenance file signs, without its last line, which
	// names the archive and its digest.
	Message string `json:"message"`
	// Renders say what was rendered; Images what was found in it.
	Renders []ChartRender `json:"renders,omitempty"`
	Images  []ChartImage  `json:"images,omitempty"`
}

// ChartRender is one time that a chart was rendered.
type ChartRender struct {
	// Values is "defaults" or "given".
	Values string `json:"values"`
	// Digest is that of the given values, as they came.
	Digest Digest `json:"digest,omitempty"`
	// Operation is "install" or "upgrade", and Kubernetes the version that the
	// chart was told: it may render something else for each. APIs says which it
	// was told that the cluster has: "usual" are those of that version, "asked"
	// besides all that its templates ask for, "few" hardly any.
	Operation  string `json:"operation,omitempty"`
	Kubernetes string `json:"kubernetes,omitempty"`
	APIs       string `json:"apis,omitempty"`
	Manifests  int    `json:"manifests"`
	// Failed says that it could not be rendered; Problem, why, or what could not
	// be read.
	Failed  bool   `json:"failed,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Unread says what was rendered and could not be read: images may be in it.
	Unread string `json:"unread,omitempty"`
}

// ChartImage is an image that a chart refers to.
type ChartImage struct {
	// Reference is what the chart says; Canonical spells the host and the tag
	// out, as a container runtime would.
	Reference string `json:"reference"`
	Canonical string `json:"canonical,omitempty"`
	// Places are where: "Deployment/app spec.template.spec.containers[0].image".
	Places []string `json:"places"`
	// Guessed says that it was found by its form, in a resource of a kind that
	// is not known here.
	Guessed bool `json:"guessed,omitempty"`

	// What the service found out about it.
	//
	// Digest is what it stands for: written in the chart, or resolved in the
	// central registry when the statement was made.
	Digest Digest `json:"digest,omitempty"`
	// Pinned says that the chart itself names the digest.
	Pinned bool `json:"pinned"`
	// Signed says that this deployment has signed the digest, by a signature
	// that was verified with its trusted root; Signers are who asked for it.
	Signed  bool     `json:"signed"`
	Signers []string `json:"signers,omitempty"`
	// Revoked says that the digest, or all who signed it, were revoked: when and
	// why. Then it is not signed.
	Revoked string `json:"revoked,omitempty"`
	// Problem says why not.
	Problem string `json:"problem,omitempty"`
}

// What a ChartRender says of its values and its operation.
const (
	ChartValuesDefaults = "defaults"
	ChartValuesGiven    = "given"
	ChartInstall        = "install"
	ChartUpgrade        = "upgrade"
)

// ChartImages is the predicate: what was found when the chart was rendered.
type ChartImages struct {
	Chart struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		// Archive is the digest of the chart's archive.
		Archive Digest `json:"archive"`
	} `json:"chart"`
	Renders []ChartRender `json:"renders"`
	Images  []ChartImage  `json:"images"`
}
