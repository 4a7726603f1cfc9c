// SPDX-License-Identifier: Apache-2.0

package attest

import "time"

// Evidence is a statement's predicate, read: what a gate can judge. Reading
// decides nothing: "nothing was found", "nothing was scanned" and "this cannot
// be read" are three different answers, and only a reader can tell them apart.
//
// A format is one file with one entry in formats (formats.go): how its
// documents are recognised, how they are read, and which predicate a plain file
// becomes. Everything is recognised by content; names of files and annotations
// decide nothing.

// EvidenceKind is what a document is evidence of.
type EvidenceKind string

const (
	// EvidenceSBOM lists what is in an artifact.
	EvidenceSBOM EvidenceKind = "sbom"
	// EvidenceScan lists what a scanner found.
	EvidenceScan EvidenceKind = "scan"
	// EvidenceVEX says which vulnerabilities matter.
	EvidenceVEX EvidenceKind = "vex"
	// EvidenceTest is the result of tests.
	EvidenceTest EvidenceKind = "test"
	// EvidenceCheck is what linters and code, configuration and secret scanners
	// found: not a scan of packages for vulnerabilities, and no test of the
	// program either.
	EvidenceCheck EvidenceKind = "check"
	// EvidenceProvenance says where an artifact comes from.
	EvidenceProvenance EvidenceKind = "provenance"
)

// Evidence is what one document says. Exactly the members of its Kind are set.
type Evidence struct {
	Kind EvidenceKind
	// Format is what the document is: trivy, grype, spdx, …
	Format     string
	SBOM       *SBOM
	Scan       *Scan
	VEX        *VEX
	Test       *TestResult
	Check      *Check
	Provenance *Provenance
	// Named is the document that was read, if the predicate names it and does not
	// hold it. Only the service makes such predicates.
	Named *Original
	// Within is where in a predicate the report was that has been read; "" if it is
	// the predicate.
	Within string
	// secret: the document says what a secret is, and not only where.
	secret bool
	// ChartImages are what a Helm chart refers to.
	ChartImages *ChartImages
}

// sbomFormats are what SBOM.Format can be.
var sbomFormats = []string{"SPDX", "CycloneDX", "syft"}

// SBOM is what a gate asks of a bill of materials.
type SBOM struct {
	Format   string // one of sbomFormats
	Version  string // of the format
	Packages int
	// PURLs is how many of the packages have a package URL.
	PURLs   int
	Created time.Time // as the document says; zero if it does not
	Tool    string    // made it, as it calls itself; or ""
	Target  string    // what it is about, by name: a label
	// Digest is what the document calls the digest of what it is about, or "": a
	// label. Digests are those that a registry knows it by for certain: the artifact
	// is one of them.
	Digest  string
	Digests []string
	// Serial is by what BOM-Links name a CycloneDX document: "<uuid>/<version>" in
	// lower case; "" if it has no serial number.
	Serial string
	// Vulnerabilities is how many a CycloneDX document lists beside the
	// components: they are read as a scan or VEX if somebody asks for that.
	Vulnerabilities int
}

// TestResult is what a gate asks of a test run.
type TestResult struct {
	Result                 string // PASSED, WARNED or FAILED
	Passed, Warned, Failed int
}

// Check is what a linter, or a scanner of code, configuration or secrets, says.
type Check struct {
	Scan
	// Result is as of a test: FAILED if a finding that is not suppressed is of
	// severity high or worse or unknown, WARNED for medium, else PASSED.
	Result string
	Passed int // checks that passed, if the report says
}

// Provenance is what a gate asks of SLSA provenance v1.
type Provenance struct {
	BuilderID, BuildType string
	// Source and Commit are the first resolved dependency's URI and gitCommit.
	Source, Commit string
	Invocation     string
}
