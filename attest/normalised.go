// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"fmt"
	"strconv"
	"time"
)

// NormalisedScan is the in-toto vulns v0.2 predicate with a scan's findings in
// the terms of all scanners: what a statement holds of a report that is kept
// elsewhere. The first severity of a result is ours, normalised; what its package
// is stands in one annotation. A scan of nothing has no such form: an empty list
// would say that it is clean.
func NormalisedScan(s Scan) (predicateType string, predicate []byte, err error) {
	if s.Nothing != "" {
		return "", nil, fmt.Errorf("%w: a scan of nothing has no findings to list", ErrEvidence)
	}
	type rating struct {
		Method string `json:"method"`
		Score  string `json:"score"`
	}
	type about struct {
		PURL     string   `json:"purl,omitempty"`
		Package  string   `json:"package,omitempty"`
		Version  string   `json:"version,omitempty"`
		Fixed    []string `json:"fixedVersions,omitempty"`
		FixState string   `json:"fixState,omitempty"`
		Aliases  []string `json:"aliases,omitempty"`
		Said     string   `json:"severityAsSaid,omitempty"`
	}
	type result struct {
		ID          string   `json:"id"`
		Severity    []rating `json:"severity"`
		Annotations []about  `json:"annotations"`
	}
	results := make([]result, len(s.Findings))
	for i, f := range s.Findings {
		results[i] = result{
			ID: f.ID, Severity: []rating{{"hallmark", string(f.Severity)}},
			Annotations: []about{{f.PURL, f.Package, f.Version, f.FixedVersions, f.FixState, f.Aliases, f.SaidSeverity}},
		}
		if f.Score > 0 {
			results[i].Severity = append(results[i].Severity, rating{"cvss", strconv.FormatFloat(f.Score, 'f', 1, 64)})
		}
	}
	uri := scannerURIs[s.Tool]
	if uri == "" {
		uri = s.Tool
	}
	type db struct {
		LastUpdate string `json:"lastUpdate,omitempty"`
	}
	type scanner struct {
		URI     string   `json:"uri"`
		Version string   `json:"version,omitempty"`
		DB      db       `json:"db"`
		Result  []result `json:"result"`
	}
	type metadata struct {
		Started  string `json:"scanStartedOn,omitempty"`
		Finished string `json:"scanFinishedOn,omitempty"`
	}
	predicate, err = marshal(struct {
		Scanner  scanner  `json:"scanner"`
		Metadata metadata `json:"metadata"`
	}{
		scanner{uri, s.ToolVersion, db{stamp(s.DatabaseAt)}, results}, metadata{stamp(s.FinishedAt), stamp(s.FinishedAt)},
	})
	return vulnsType, predicate, err
}

// stamp writes a time that is known.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// readNormalised reads what NormalisedScan says of a finding besides its package.
func (f *Finding) readNormalised(annotation map[string]any) {
	texts := func(name string) (kept []string) {
		list, _ := annotation[name].([]any)
		for _, v := range list {
			if text, ok := v.(string); ok {
				kept = append(kept, keep(text))
			}
		}
		return kept
	}
	if said, ours := annotation["severityAsSaid"].(string); ours {
		f.SaidSeverity = keep(said)
	}
	if f.Aliases == nil {
		f.Aliases = texts("aliases")
	}
	if f.FixedVersions == nil {
		f.FixedVersions = texts("fixedVersions")
	}
	if state, ok := annotation["fixState"].(string); ok && f.FixState == FixUnknown {
		switch state {
		case FixFixed, FixNotFixed, FixWontFix, FixDeferred:
			f.FixState = state
		}
	}
}
