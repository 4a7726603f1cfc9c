// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"slices"
	"strings"
)

// Clair's report, version 4: packages, vulnerabilities, and which has which,
// each in an object by id. The manifest's hash is the digest that was scanned.
// The report says neither when, nor with what knowledge.
// Source: github.com/quay/claircore, VulnerabilityReport

func clairFormat() format {
	return format{
		name: "clair", kind: EvidenceScan, media: "application/vnd.clair.vulnerability_report.v1+json",
		is: func(d *document) bool {
			return !d.list && d.has("manifest_hash") && mentions(d.members, "package_vulnerabilities")
		},
		read: readClair, wrap: wrapVulns,
	}
}

type clairPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type clairDistribution struct {
	DID string `json:"did"`
}

type clairVulnerability struct {
	ID, Name, Severity string
	Normalized         string `json:"normalized_severity"`
	Aliases            []clairAlias
	Distribution       clairDistribution
	Repository         struct{ Name string }
	FixedIn            string `json:"fixed_in_version"`
	Updater            string
}

type clairAlias struct{ Space, Name string }

type clairEnvironment struct {
	IntroducedIn   string `json:"introduced_in"`
	PackageDB      string `json:"package_db"`
	DistributionID string `json:"distribution_id"`
}

// clairKinds are the types of package URLs by distribution.
var clairKinds = map[string]string{
	"debian": "deb", "ubuntu": "deb", "alpine": "apk", "rhel": "rpm", "centos": "rpm", "fedora": "rpm", "amzn": "rpm", "ol": "rpm", "sles": "rpm", "photon": "rpm",
}

func readClair(d *document) (Evidence, error) {
	s := &Scan{Tool: "clair"}
	digest, err := ParseDigest(d.text("manifest_hash"))
	if err != nil {
		return Evidence{}, unreadable("$.manifest_hash", "%v", err)
	}
	s.named([]string{string(digest)})
	packages := make(map[string]clairPackage)
	vulnerabilities := make(map[string]clairVulnerability)
	var environments map[string][]clairEnvironment
	var distributions map[string]clairDistribution
	affected := make(map[string][]string)
	for _, m := range []struct {
		name string
		to   any
	}{
		{"packages", &packages}, {"vulnerabilities", &vulnerabilities}, {"environments", &environments}, {"distributions", &distributions},
		{"package_vulnerabilities", &affected},
	} {
		if err := d.into(m.name, m.to); err != nil {
			return Evidence{}, err
		}
	}
	switch s.Packages = len(packages); {
	case !d.has("package_vulnerabilities"):
		return Evidence{}, unreadable("$.package_vulnerabilities", "missing: the report has no result")
	case len(packages) == 0:
		s.Nothing = "the report lists no package"
	}
	scores, settled := clairScores(d), make(map[string]Finding)
	for _, id := range sortedKeys(affected) {
		p, ok := packages[id]
		if !ok {
			return Evidence{}, unreadable("$.package_vulnerabilities", "package %s is not in packages", quote(id))
		}
		var env clairEnvironment
		if all := environments[id]; len(all) > 0 {
			env = all[0]
		}
		for _, vid := range affected[id] {
			v, ok := vulnerabilities[vid]
			if !ok {
				return Evidence{}, unreadable("$.package_vulnerabilities["+quote(id)+"]", "vulnerability %s is not in vulnerabilities", quote(vid))
			}
			f, known := settled[vid]
			if !known {
				f = v.finding()
				f.CVSS = slices.Clone(scores[vid])
				f.settle()
				settled[vid] = f
			}
			did := v.Distribution.DID
			if did == "" {
				did = distributions[env.DistributionID].DID
			}
			purl := makePURL(clairKinds[did], did+"/"+p.Name, p.Version)
			f.Derived = purl != ""
			f.Locations = keepUnique([]string{env.PackageDB, env.IntroducedIn}, "", maxLocations)
			place := func() string { return "$.vulnerabilities[" + quote(vid) + "]" }
			if v.Name == "" { // nobody could say anything of it
				return Evidence{}, unreadable(place(), "a finding without an id")
			}
			if err := s.addOf(place, f, p.Name, p.Version, purl); err != nil {
				return Evidence{}, err
			}
		}
	}
	return Evidence{Scan: s}, nil
}

// finding is what a vulnerability says of itself. Names are prose at times:
// "CVE-2024-1 on Ubuntu 22.04".
func (v *clairVulnerability) finding() Finding {
	f := Finding{ID: v.Name, Source: v.Updater, SaidSeverity: v.Normalized, Severity: NormalSeverity(v.Normalized)}
	if first, rest, ok := strings.Cut(v.Name, " "); ok && rest != "" && sarifID.MatchString(strings.TrimSuffix(first, ":")) {
		f.ID = strings.TrimSuffix(first, ":")
		f.Title = v.Name
	}
	for _, a := range v.Aliases {
		name := a.Name
		if a.Space == "CVE" && !hasPrefixFold(name, "CVE-") {
			name = "CVE-" + name
		}
		f.Aliases = append(f.Aliases, name)
	}
	if v.Severity != "" && v.Severity != v.Normalized {
		f.Ratings = append(f.Ratings, Rating{Source: keep(v.Updater), Said: keep(v.Severity), Severity: NormalSeverity(v.Severity)})
	}
	if v.FixedIn != "" {
		f.FixedVersions, f.FixState = []string{v.FixedIn}, FixFixed
	}
	return f
}

// clairScores are the CVSS ratings by vulnerability, if Clair was told to add
// them.
func clairScores(d *document) map[string][]CVSS {
	out := make(map[string][]CVSS)
	var enrichments map[string][]map[string][]struct {
		BaseScore    float64 `json:"baseScore"`
		VectorString string  `json:"vectorString"`
		Version      string  `json:"version"`
	}
	if d.into("enrichments", &enrichments) != nil {
		return out // of another kind, which is nothing to us
	}
	for _, name := range sortedKeys(enrichments) {
		if !strings.Contains(name, "enricher=clair.cvss") {
			continue
		}
		for _, byID := range enrichments[name] {
			for id, ratings := range byID {
				for _, r := range ratings {
					if len(out[id]) < maxRatings {
						out[id] = append(out[id], CVSS{Version: keep(r.Version), Vector: keep(r.VectorString), Score: r.BaseScore, Source: "nvd"})
					}
				}
			}
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
