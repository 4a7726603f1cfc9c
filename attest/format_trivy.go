// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"strings"
)

// Trivy's JSON report, SchemaVersion 2. A report without Results has scanned
// nothing; a result without Vulnerabilities is clean, since Trivy leaves empty
// lists out. The file does not say of when the database is.
// Source: github.com/aquasecurity/trivy/pkg/types/report.go

func trivyFormat() format {
	return format{
		name: "trivy", kind: EvidenceScan, types: []string{cosignVulnType},
		is:   func(top members) bool { return top.has("SchemaVersion") && has(top, "ArtifactName") },
		read: readTrivy, wrap: wrapScan,
	}
}

// has tells whether a member is there, even as null or empty.
func has(top members, name string) bool { _, ok := top[name]; return ok }

type trivyMetadata struct {
	OS          *struct{ Family string }
	RepoDigests []string
}

type trivyResult struct {
	Class           string
	Vulnerabilities json.RawMessage
	// ExperimentalModifiedFindings are what an ignore file or VEX took away, if
	// Trivy was told to show them. A tool's ignore file excuses nothing, so they
	// count.
	ExperimentalModifiedFindings json.RawMessage
}

type trivyModified struct {
	Type    string
	Finding trivyVulnerability
}

type trivyVulnerability struct {
	VulnerabilityID  string
	VendorIDs        []string
	PkgName          string
	PkgIdentifier    struct{ PURL string }
	InstalledVersion string
	FixedVersion     string
	Status           string
	Severity         string
	CVSS             map[string]struct{ V2Score, V3Score, V40Score float64 }
}

func readTrivy(top members) (Evidence, error) {
	var schema int
	var created string
	var metadata trivyMetadata
	var tool struct{ Version string }
	for name, v := range map[string]any{"SchemaVersion": &schema, "CreatedAt": &created, "Metadata": &metadata, "Trivy": &tool} {
		if err := top.into(name, v); err != nil {
			return Evidence{}, err
		}
	}
	if schema != 2 {
		return Evidence{}, unreadable("$.SchemaVersion", "%d, want 2", schema)
	}
	s := &Scan{Tool: "trivy", ToolVersion: keep(tool.Version), Digest: digestAmong(metadata.RepoDigests)}
	var err error
	if s.FinishedAt, err = timeAt("$.CreatedAt", created); err != nil {
		return Evidence{}, err
	}
	packages := false // some result is about packages
	there, err := each("$.Results", top["Results"], func(place string, r trivyResult) error {
		packages = packages || strings.HasSuffix(r.Class, "-pkgs") || r.Vulnerabilities != nil
		add := func(place string, v trivyVulnerability) error {
			f := v.finding()
			s.Findings = append(s.Findings, f)
			return f.check(place)
		}
		if _, err := each(place+".Vulnerabilities", r.Vulnerabilities, add); err != nil {
			return err
		}
		_, err := each(place+".ExperimentalModifiedFindings", r.ExperimentalModifiedFindings, func(place string, m trivyModified) error {
			if m.Type != "vulnerability" {
				return nil
			}
			return add(place+".Finding", m.Finding)
		})
		return err
	})
	switch {
	case err != nil:
		return Evidence{}, err
	case len(s.Findings) > maxItems:
		return Evidence{}, unreadable("$.Results", "more than %d findings", maxItems)
	case !there:
		s.Nothing = "the report has no Results"
	case !packages:
		s.Nothing = "no result of the report is about packages"
	}
	return Evidence{Scan: s}, nil
}

// trivyStates maps Status to our states; what is missing here is unknown.
var trivyStates = map[string]string{
	"fixed": FixFixed, "affected": FixNotFixed, "will_not_fix": FixWontFix, "end_of_life": FixWontFix, "fix_deferred": FixDeferred,
}

func (v trivyVulnerability) finding() Finding {
	f := Finding{
		ID: keep(v.VulnerabilityID), Aliases: keepAll(v.VendorIDs, v.VulnerabilityID), Package: keep(v.PkgName), Version: keep(v.InstalledVersion),
		PURL: keep(v.PkgIdentifier.PURL), FixedVersions: splitVersions(v.FixedVersion), FixState: trivyStates[v.Status],
		Severity: NormalSeverity(v.Severity), SaidSeverity: keep(v.Severity), Tool: "trivy",
	}
	for _, c := range v.CVSS {
		f.Score = max(f.Score, c.V2Score, c.V3Score, c.V40Score)
	}
	if f.FixState == "" {
		f.FixState = FixUnknown
	}
	f.preferCVE()
	return f
}

// digestAmong returns the one digest that references repository@sha256:… name.
// Several are those of an index and of an image: none of them is the one.
func digestAmong(references []string) string {
	found := ""
	for _, r := range references {
		if _, digest, ok := strings.Cut(r, "@"); ok && found != digest {
			if found != "" {
				return ""
			}
			found = digest
		}
	}
	return found
}
