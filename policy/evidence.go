// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

// Document is one verified statement, read: an SBOM, a scan or another report, a VEX document, a test result, provenance, or the images of a
// chart. Whoever hands it in has proven who signed it, that it is about Digest, and when it was logged; the rest is what the statement says.
// The types below are what expressions see of it. docs/GATES.md explains each member to policy authors.
type Document struct {
	Kind          string    // one of the Evidence constants
	Also          []string  // the other kinds that a report of several is evidence of
	Format        string    // trivy, spdx, …: what was read; a label
	PredicateType string    // of the statement
	Digest        string    // of its subject: the artifact or, of an index, one of its platforms
	Signer        string    // the certificate's subject alternative name
	Issuer        string    // the certificate's issuer
	Author        string    // on whose behalf it was signed: the CI workflow, or Signer itself
	Run           string    // the CI run for which it was signed; "" if that is unknown
	At            time.Time // proven by log or timestamp authority
	LogIndex      int64
	LogID         string
	Bundle        string // "sha256:<hex>" of the bundle
	Statement     string // "sha256:<hex>" of the statement's bytes
	Original      string // "sha256:<hex>" of the document that the service has read, if the statement names it and does not hold it
	// Problem says why the document cannot be read; then it counts for nothing and everything below is nil.
	Problem string

	SBOM       *SBOM
	Scan       *Scan // of EvidenceScan, and of every kind of report
	VEX        []VEXStatement
	Test       *TestResult
	Provenance *Provenance

	ChartImages *ChartImages
}

// The kinds of evidence that a rule can require, with those of reports and EvidenceChartImages: evidenceKinds has all.
const (
	EvidenceSBOM       = "sbom"
	EvidenceScan       = "scan"
	EvidenceVEX        = "vex"
	EvidenceTest       = "test"
	EvidenceProvenance = "provenance"
)

// SBOM is an inventory.
type SBOM struct {
	Format   string // "SPDX" or "CycloneDX"
	Version  string
	Packages int
	Serial   string // "<uuid>/<version>" of a CycloneDX document, in lower case: what BOM-Links name; "" if it has none
}

// Scan is one run of a scanner, or of another program that reports findings.
type Scan struct {
	Tool, Version string
	Report        string // the kind of report that the tool always makes, or "": package attest knows the tools
	// FinishedAt and DatabaseAt are the report's own words; zero if it has none.
	FinishedAt, DatabaseAt time.Time
	Nothing                string   // why nothing was looked at; "" if something was
	Looked                 []string // the kinds of findings that were looked for, as far as the report says
	Findings               []Finding
}

// Finding is one vulnerability of one package, or what another program than a vulnerability scanner complains of.
type Finding struct {
	ID                     string
	Kind                   string // vulnerability, misconfiguration, secret, license, check; "" is the kind of its report
	Place                  string // file and line, if it has one
	Aliases                []string
	Package, Version, PURL string
	Fixed                  []string
	FixState               string // fixed, not_fixed, wont_fix, deferred, unknown
	Severity               string // critical, high, medium, low, negligible, none, unknown
	Said                   string // the severity as the scanner writes it
	Score                  float64
	Tool                   string
	Suppressed             bool // by the tool's own configuration: it counts all the same
}

// VEXStatement says what a vulnerability means for products.
type VEXStatement struct {
	Vulnerability string
	Aliases       []string
	Products      []VEXProduct
	Status        string
	Justification string
	At            time.Time
}

// VEXProduct is a product by its identifiers, and the parts and versions of it that are meant; none means all. A version is an exact one, or a
// range ("vers:npm/>=1|<2").
type VEXProduct struct {
	IDs           []string
	Subcomponents []string
	Versions      []string
}

// TestResult is the outcome of a test run.
type TestResult struct {
	Result                 string // PASSED, WARNED, FAILED
	Passed, Warned, Failed int
}

// Provenance is SLSA provenance that the service made itself.
type Provenance struct {
	Builder, BuildType, Source, Commit, Invocation string
}

// severities are all that are known, from none to the worst.
var severities = []string{"none", "negligible", "low", "medium", "high", "critical"}

// unknownRank is what every other word counts as: the worst that a rule names, and never low.
const unknownRank = 6 // len(severities)

// severityRank is the place of a severity in their order.
func severityRank(word string) int {
	for rank, name := range severities {
		if word == name {
			return rank
		}
	}
	return unknownRank
}
