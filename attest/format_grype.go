// SPDX-License-Identifier: Apache-2.0

package attest

import "encoding/json"

// Grype's JSON report. Missing matches are a broken report, not a clean one.
// What Grype's own rules ignore stands apart, in ignoredMatches: a tool's
// ignore file excuses nothing, so these findings count.
// Source: github.com/anchore/grype/grype/presenter/models

func grypeFormat() format {
	return format{
		name: "grype", kind: EvidenceScan, types: []string{cosignVulnType},
		is: func(top members) bool {
			var d struct{ Name string }
			return json.Unmarshal(top["descriptor"], &d) == nil && d.Name == "grype"
		},
		read: readGrype, wrap: wrapScan,
	}
}

type grypeDescriptor struct {
	Version   string `json:"version"`
	Timestamp string `json:"timestamp"`
	DB        struct {
		Built  string `json:"built"` // schema up to 5
		Status struct{ Built string }
	}
}

type grypeMatch struct {
	Vulnerability struct {
		ID       string      `json:"id"`
		Severity string      `json:"severity"`
		CVSS     []grypeCVSS `json:"cvss"`
		Fix      struct {
			Versions []string `json:"versions"`
			State    string   `json:"state"`
		} `json:"fix"`
	} `json:"vulnerability"`
	RelatedVulnerabilities []struct{ ID string }                `json:"relatedVulnerabilities"`
	Artifact               struct{ Name, Version, PURL string } `json:"artifact"`
}

type grypeCVSS struct{ Metrics struct{ BaseScore float64 } }

func readGrype(top members) (Evidence, error) {
	var d grypeDescriptor
	if err := top.into("descriptor", &d); err != nil {
		return Evidence{}, err
	}
	s := &Scan{Tool: "grype", ToolVersion: keep(d.Version)}
	var err error
	if s.FinishedAt, err = timeAt("$.descriptor.timestamp", d.Timestamp); err != nil {
		return Evidence{}, err
	}
	built := d.DB.Built
	if built == "" {
		built = d.DB.Status.Built
	}
	if s.DatabaseAt, err = timeAt("$.descriptor.db.built", built); err != nil {
		return Evidence{}, err
	}
	var source struct {
		Target json.RawMessage // an object for images, a text for folders
	}
	if err := top.into("source", &source); err != nil {
		return Evidence{}, err
	}
	var target struct{ RepoDigests []string }
	_ = json.Unmarshal(source.Target, &target) // only an image has any
	s.Digest = digestAmong(target.RepoDigests)
	add := func(place string, m grypeMatch) error {
		f := m.finding()
		s.Findings = append(s.Findings, f)
		return f.check(place)
	}
	there, err := each("$.matches", top["matches"], add)
	if err == nil && !there {
		err = unreadable("$.matches", "missing: the report has no result")
	}
	if err == nil {
		_, err = each("$.ignoredMatches", top["ignoredMatches"], add)
	}
	return Evidence{Scan: s}, err
}

var grypeStates = map[string]string{"fixed": FixFixed, "not-fixed": FixNotFixed, "wont-fix": FixWontFix}

func (m grypeMatch) finding() Finding {
	v := m.Vulnerability
	f := Finding{
		ID: keep(v.ID), Package: keep(m.Artifact.Name), Version: keep(m.Artifact.Version), PURL: keep(m.Artifact.PURL),
		FixState: grypeStates[v.Fix.State], Severity: NormalSeverity(v.Severity), SaidSeverity: keep(v.Severity), Tool: "grype",
	}
	if f.FixState == FixFixed {
		f.FixedVersions = keepAll(v.Fix.Versions, "")
	}
	if f.FixState == "" {
		f.FixState = FixUnknown
	}
	for _, related := range m.RelatedVulnerabilities {
		f.Aliases = append(f.Aliases, keepAll([]string{related.ID}, f.ID)...)
	}
	for _, c := range v.CVSS {
		f.Score = max(f.Score, c.Metrics.BaseScore)
	}
	f.preferCVE()
	return f
}
