// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The vulnerabilities of CycloneDX documents, as a scan and as VEX. They name
// what they affect by a reference: to a component of the document, to one of
// another document (BOM-Link), or, as tools do it, by a package URL.

// cyclonedxVulnerabilities are those of one document.
type cyclonedxVulnerabilities struct {
	top        members
	at         time.Time
	tool       string
	version    string
	target     string // bom-ref of what the document is about
	digests    []string
	components map[string]cyclonedxComponent // by bom-ref
	list       []cyclonedxVulnerability
	analysed   bool // all of them
}

type cyclonedxVulnerability struct {
	Ref    string `json:"bom-ref"`
	ID     string `json:"id"`
	Source struct {
		Name string `json:"name"`
	} `json:"source"`
	References []cyclonedxReference `json:"references"`
	Ratings    []cyclonedxRating    `json:"ratings"`
	Analysis   struct {
		State         string   `json:"state"`
		Justification string   `json:"justification"`
		Response      []string `json:"response"`
		LastUpdated   string   `json:"lastUpdated"`
		FirstIssued   string   `json:"firstIssued"`
	} `json:"analysis"`
	Affects []cyclonedxAffects `json:"affects"`
	place   string
}

type cyclonedxReference struct {
	ID string `json:"id"`
}

type cyclonedxRating struct {
	Source struct {
		Name string `json:"name"`
	} `json:"source"`
	Score    *float64 `json:"score"`
	Severity string   `json:"severity"`
	Method   string   `json:"method"`
	Vector   string   `json:"vector"`
}

type cyclonedxAffects struct {
	Ref      string             `json:"ref"`
	Versions []cyclonedxVersion `json:"versions"`
}

type cyclonedxVersion struct {
	Version string `json:"version"`
	Range   string `json:"range"`
	Status  string `json:"status"`
}

func (c *cyclonedxVulnerabilities) read() error {
	// What is around the list is read by the reader of SBOMs.
	s := &sbomReader{r: readChecked("$.metadata", c.top["metadata"])}
	if c.top.has("metadata") {
		if err := s.r.object(s.cyclonedxMetadata); err != nil {
			return err
		}
		var metadata struct {
			Component struct {
				Ref string `json:"bom-ref"`
			} `json:"component"`
		}
		if err := c.top.into("metadata", &metadata); err != nil {
			return err
		}
		c.target = metadata.Component.Ref
	}
	c.at, c.digests, c.tool, c.version = s.sbom.Created, s.sbom.Digests, s.maker, s.makerVersion
	if err := c.readComponents("$.components", c.top["components"]); err != nil {
		return err
	}
	there, err := each("$.vulnerabilities", c.top["vulnerabilities"], func(place string, v cyclonedxVulnerability) error {
		v.place = place
		return c.add(v)
	})
	if err != nil {
		return err
	}
	return c.check("$.vulnerabilities", there)
}

// add keeps a vulnerability.
func (c *cyclonedxVulnerabilities) add(v cyclonedxVulnerability) error {
	switch {
	case v.ID == "":
		return unreadable(v.place+".id", "missing")
	case len(c.list) == maxItems:
		return unreadable(v.place, "more than %d vulnerabilities", maxItems)
	}
	c.list = append(c.list, v)
	return nil
}

// check demands that somebody has looked; there: there is a list.
func (c *cyclonedxVulnerabilities) check(place string, there bool) error {
	if !there {
		return unreadable(place, "missing: an SBOM without that list is neither a scan nor VEX, and not clean")
	}
	if len(c.list) == 0 { // Trivy writes an empty list into every SBOM
		return unreadable(place, "empty, which does not say that anybody has looked (hint: the scanner's own report does)")
	}
	c.analysed = !slices.ContainsFunc(c.list, func(v cyclonedxVulnerability) bool { return v.Analysis.State == "" })
	return nil
}

func (c *cyclonedxVulnerabilities) readComponents(place string, raw json.RawMessage) error {
	if c.components == nil {
		c.components = make(map[string]cyclonedxComponent)
	}
	_, err := each(place, raw, func(place string, one struct {
		Ref        string          `json:"bom-ref"`
		Name       string          `json:"name"`
		Version    string          `json:"version"`
		PURL       string          `json:"purl"`
		Components json.RawMessage `json:"components"`
	},
	) error {
		if one.Ref != "" {
			if _, twice := c.components[one.Ref]; twice {
				return unreadable(place+".bom-ref", "%s appears twice", quote(one.Ref))
			}
			c.components[one.Ref] = cyclonedxComponent{name: keep(one.Name), version: keep(one.Version), purl: keep(one.PURL)}
		}
		return c.readComponents(place+".components", one.Components)
	})
	return err
}

// component is what a reference means: a component that is in the document, or
// what a package URL says. A BOM-Link means a component of another document.
func (c *cyclonedxVulnerabilities) component(ref string) (cyclonedxComponent, bool) {
	if known, ok := c.components[ref]; ok {
		known.ref = ref
		return known, true
	}
	if link, ok := strings.CutPrefix(ref, "urn:cdx:"); ok {
		_, fragment, _ := strings.Cut(link, "#")
		if inner, err := url.PathUnescape(fragment); err == nil && inner != "" {
			if known, ok := c.components[inner]; ok {
				known.ref = ref
				return known, true
			}
			if _, isPURL := parsePURL(fragment); isPURL {
				inner = fragment // a link to a purl as it is
			}
			ref = inner
		}
	}
	if p, ok := parsePURL(ref); ok {
		return cyclonedxComponent{ref: ref, name: p.name, version: p.version, purl: ref}, true
	}
	return cyclonedxComponent{ref: ref, name: ref}, false
}

// cyclonedxMethods name the scale of a rating.
var cyclonedxMethods = map[string]string{"CVSSv2": "2.0", "CVSSv3": "3.0", "CVSSv31": "3.1", "CVSSv4": "4.0"}

// finding is what the vulnerability says of itself.
func (v *cyclonedxVulnerability) finding() Finding {
	f := Finding{ID: v.ID, Source: v.Source.Name}
	for _, r := range v.References {
		f.Aliases = append(f.Aliases, r.ID)
	}
	best := 0
	for _, r := range v.Ratings {
		severity := NormalSeverity(r.Severity)
		if r.Severity != "" {
			f.Ratings = append(f.Ratings, Rating{Source: keep(r.Source.Name), Said: keep(r.Severity), Severity: severity})
		}
		version := cyclonedxMethods[r.Method]
		if r.Vector != "" || r.Score != nil {
			one := CVSS{Version: version, Vector: keep(r.Vector), Source: keep(r.Source.Name)}
			if r.Score != nil {
				one.Score = *r.Score
			}
			f.CVSS = append(f.CVSS, one)
		}
		// A vendor's word comes before the NVD's, and that by the newest scale
		// before others.
		rank := 1 + cvssVersions[version]
		if severity == SeverityUnknown {
			rank = 0
		} else if !strings.EqualFold(r.Source.Name, "nvd") {
			rank += 10
		}
		if rank > best || f.SaidSeverity == "" {
			best, f.Severity, f.SaidSeverity = rank, severity, r.Severity
		}
	}
	for _, response := range v.Analysis.Response {
		if response == "will_not_fix" || response == "can_not_fix" {
			f.FixState = FixWontFix
		}
	}
	if status, ok := cyclonedxStates[v.Analysis.State]; ok && (status == VEXNotAffected || status == VEXFixed) {
		f.Suppressed = &Suppression{By: "analysis in the document", Reason: strings.TrimSuffix(v.Analysis.State+": "+keep(v.Analysis.Justification), ": ")}
	}
	return f
}

// scan makes a finding of each component that a vulnerability affects.
func (c *cyclonedxVulnerabilities) scan() (Evidence, error) {
	s := &Scan{Tool: toolName(c.tool), ToolVersion: c.version, FinishedAt: c.at, Packages: len(c.components)}
	s.named(c.digests)
	if s.Tool == "" {
		s.Tool = "cyclonedx"
	}
	for i := range c.list {
		v := &c.list[i]
		place := func() string { return v.place }
		said := v.finding()
		said.settle()
		if len(v.Affects) == 0 {
			if err := s.add(place, said); err != nil {
				return Evidence{}, err
			}
		}
		for _, a := range v.Affects {
			affected := len(a.Versions) == 0
			one, _ := c.component(a.Ref)
			for _, version := range a.Versions {
				if version.Status != "unaffected" {
					affected = true
				}
				if version.Status == "affected" && version.Version != "" && one.version == "" {
					one.version = version.Version
				}
			}
			if !affected {
				continue
			}
			if err := s.addOf(place, said, one.name, one.version, one.purl); err != nil {
				return Evidence{}, err
			}
		}
	}
	return Evidence{Scan: s, Kind: EvidenceScan}, nil
}

// cyclonedxStates are what an analysis means in the words of VEX.
var cyclonedxStates = map[string]string{
	"not_affected": VEXNotAffected, "false_positive": VEXNotAffected, "resolved": VEXFixed, "resolved_with_pedigree": VEXFixed,
	"exploitable": VEXAffected, "in_triage": VEXUnderInvestigation,
}

// vex makes a statement of each analysis.
func (c *cyclonedxVulnerabilities) vex() (Evidence, error) {
	out := &VEX{Author: cmp.Or(c.tool, "cyclonedx"), At: c.at}
	for i := range c.list {
		v := &c.list[i]
		status, ok := cyclonedxStates[v.Analysis.State]
		if !ok {
			return Evidence{}, unreadable(v.place+".analysis.state", "%s, want resolved, resolved_with_pedigree, exploitable, in_triage, false_positive or not_affected", quote(v.Analysis.State))
		}
		updated, err := timeAt(v.place+".analysis.lastUpdated", v.Analysis.LastUpdated)
		if err != nil {
			return Evidence{}, err
		}
		if updated.IsZero() {
			updated = c.at
		}
		f := v.finding()
		f.settle()
		s := VEXStatement{Vulnerability: f.ID, Aliases: f.Aliases, Status: status, Justification: keep(v.Analysis.Justification), At: updated}
		for _, a := range v.Affects {
			if a.Ref == "" {
				return Evidence{}, unreadable(v.place+".affects", "an affected product without ref")
			}
			p := VEXProduct{}
			switch one, known := c.component(a.Ref); {
			case len(a.Ref) > maxText: // what is kept of it would mean something else
				p.IDs, p.Unresolved = []string{keep(a.Ref)}, true
			case a.Ref == c.target && c.target != "":
				p.IDs = []string{keep(a.Ref)} // the whole of what the document is about
			case known && one.purl != "":
				p.IDs = []string{keep(one.purl)}
			default:
				p.IDs, p.Unresolved = []string{keep(a.Ref)}, true
			}
			p.addVersions(status, a.Versions)
			s.Products = append(s.Products, p)
		}
		if len(s.Products) == 0 {
			return Evidence{}, unreadable(v.place+".affects", "missing: the analysis does not say of what")
		}
		out.Statements = append(out.Statements, s)
	}
	return Evidence{VEX: out, Kind: EvidenceVEX}, nil
}
