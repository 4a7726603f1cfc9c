// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// The vulnerabilities of CycloneDX in XML, which are those of the JSON in other
// clothes: they are collected into the same, and judged by the same code.

// cyclonedxXMLVulns collects what a scan or VEX is made of.
type cyclonedxXMLVulns struct {
	x    *xmlReader
	text []byte // of the innermost element
	c    cyclonedxVulnerabilities
	open []cyclonedxComponent // whose end has not come
	// one is the vulnerability that is open, with its place.
	one        *cyclonedxVulnerability
	components bool // there are some
	listed     bool // there is a list of vulnerabilities
	tools      int  // in the metadata, so far
	property   string
	elements   int // of lists in vulnerabilities
}

// readCycloneDXXMLAs reads a document in memory as what is wanted, or what it
// is: see readCycloneDX.
func readCycloneDXXMLAs(want string, file []byte) (Document, error) {
	if want == "" || want == string(EvidenceScan) || want == string(EvidenceVEX) {
		v := &cyclonedxXMLVulns{x: readXMLTokens(bytes.NewReader(file))}
		v.c.components = make(map[string]cyclonedxComponent)
		if err := v.x.walk(v.start, v.take, v.end); err != nil {
			return Document{}, err
		}
		if want != "" || v.listed && !v.components {
			return v.document(EvidenceKind(want), file)
		}
	}
	sbom, err := readCycloneDXXML(bytes.NewReader(file))
	return streamed(cyclonedxXMLName, sbom), err
}

// document makes the predicate: it is no JSON, so it cannot be one itself.
func (v *cyclonedxXMLVulns) document(kind EvidenceKind, file []byte) (Document, error) {
	if err := v.c.check("vulnerabilities", v.listed); err != nil {
		return Document{}, err
	}
	f, read := formatNamed(cyclonedxXMLName), v.c.scan
	f.wrap = wrapVulns
	if kind == EvidenceVEX || kind == "" && v.c.analysed {
		f.wrap, read = wrapVEX, v.c.vex
	}
	ev, err := read()
	if err != nil {
		return Document{}, err
	}
	ev.Format = cyclonedxXMLName
	return f.document(file, ev)
}

func (v *cyclonedxXMLVulns) take(text []byte) error {
	if room := maxRange + 1 - len(v.text); room > 0 {
		v.text = append(v.text, text[:min(room, len(text))]...)
	}
	return nil
}

func (v *cyclonedxXMLVulns) start(e xml.StartElement) error {
	v.text = v.text[:0]
	switch path := v.path(); {
	case len(v.x.names) == 1:
		return checkCycloneDXRoot(e)
	case path == "vulnerabilities":
		if v.listed {
			return fmt.Errorf("vulnerabilities appears twice")
		}
		v.listed = true
	case path == "vulnerabilities/vulnerability":
		v.one = &cyclonedxVulnerability{Ref: attribute(e, "bom-ref"), place: "vulnerabilities.vulnerability[" + strconv.Itoa(len(v.c.list)) + "]"}
	case v.one != nil:
		return v.startOf(strings.TrimPrefix(path, "vulnerabilities/vulnerability/"))
	case isCycloneDXComponent(v.x.names):
		v.components = v.components || v.x.names[1] == "components"
		v.open = append(v.open, cyclonedxComponent{ref: attribute(e, "bom-ref")})
	case path == "metadata/component/properties/property":
		v.property = attribute(e, "name")
	}
	return nil
}

// startOf makes room in a vulnerability for an element of a list.
func (v *cyclonedxXMLVulns) startOf(path string) error {
	one := v.one
	switch path {
	case "references/reference":
		one.References = append(one.References, cyclonedxReference{})
	case "ratings/rating":
		one.Ratings = append(one.Ratings, cyclonedxRating{})
	case "affects/target":
		one.Affects = append(one.Affects, cyclonedxAffects{})
	case "affects/target/versions/version":
		last := &one.Affects[len(one.Affects)-1]
		last.Versions = append(last.Versions, cyclonedxVersion{})
	default:
		return nil
	}
	if v.elements++; v.elements > maxItems {
		return fmt.Errorf("more than %d references, ratings, products and versions", maxItems)
	}
	return nil
}

// maxCycloneDXPath is how deep the elements are that are known by their path.
const maxCycloneDXPath = 8

// path is where the innermost element is, below the document; "" if it is deeper
// than any that is known by it.
func (v *cyclonedxXMLVulns) path() string {
	if len(v.x.names) < 2 || len(v.x.names) > maxCycloneDXPath {
		return ""
	}
	return strings.Join(v.x.names[1:], "/")
}

func (v *cyclonedxXMLVulns) end(name string) error {
	text := strings.ToValidUTF8(strings.TrimSpace(string(v.text)), "")
	v.text = v.text[:0]
	path := v.path()
	switch {
	case path == "metadata/timestamp":
		var err error
		v.c.at, err = timeAt("metadata.timestamp", text)
		return err
	case path == "metadata/component/properties/property" && v.property == "aquasecurity:trivy:RepoDigest":
		v.about(text)
	case strings.HasPrefix(path, "metadata/tools/"):
		v.tool(path, text)
	case path == "vulnerabilities/vulnerability":
		return v.close()
	case v.one != nil:
		return v.set(strings.TrimPrefix(path, "vulnerabilities/vulnerability/"), text)
	case len(v.open) > 0 && isCycloneDXComponent(v.x.names):
		return v.closeComponent()
	case len(v.open) > 0 && isCycloneDXComponent(v.x.names[:len(v.x.names)-1]):
		one := &v.open[len(v.open)-1]
		switch name {
		case "name":
			one.name = keep(text)
		case "version":
			one.version = keep(text)
		case "purl":
			one.purl = keep(text)
		}
	}
	return nil
}

// tool takes the first tool's name and version.
func (v *cyclonedxXMLVulns) tool(path, text string) {
	if v.tools > 0 {
		return
	}
	switch path {
	case "metadata/tools/tool", "metadata/tools/components/component":
		v.tools++
	case "metadata/tools/tool/name", "metadata/tools/components/component/name":
		v.c.tool = keep(text)
	case "metadata/tools/tool/version", "metadata/tools/components/component/version":
		v.c.version = keep(text)
	}
}

func (v *cyclonedxXMLVulns) about(names ...string) {
	for _, name := range names {
		if digest := digestIn(name); digest != "" && len(v.c.digests) < maxDigests {
			v.c.digests = append(v.c.digests, digest)
		}
	}
}

func (v *cyclonedxXMLVulns) closeComponent() error {
	one := v.open[len(v.open)-1]
	v.open = v.open[:len(v.open)-1]
	if v.x.names[1] == "metadata" {
		v.c.target = one.ref
		v.about(one.version, one.purl)
		return nil
	}
	if one.ref == "" {
		return nil
	}
	if _, twice := v.c.components[one.ref]; twice {
		return fmt.Errorf("bom-ref %s appears twice", quote(one.ref))
	}
	v.c.components[one.ref] = one
	return nil
}

func (v *cyclonedxXMLVulns) close() error {
	one := v.one
	v.one = nil
	return v.c.add(*one)
}

// set sets a member of the vulnerability that is open.
func (v *cyclonedxXMLVulns) set(path, text string) error {
	one := v.one
	list, rest, _ := strings.Cut(path, "/")
	switch list {
	case "id":
		one.ID = text
	case "source":
		if rest == "name" {
			one.Source.Name = text
		}
	case "references":
		if rest == "reference/id" {
			one.References[len(one.References)-1].ID = text
		}
	case "ratings":
		return v.rating(rest, text)
	case "analysis":
		switch rest {
		case "state":
			one.Analysis.State = text
		case "justification":
			one.Analysis.Justification = text
		case "responses/response":
			one.Analysis.Response = append(one.Analysis.Response, text)
		case "lastUpdated":
			one.Analysis.LastUpdated = text
		case "firstIssued":
			one.Analysis.FirstIssued = text
		}
	case "affects":
		v.affects(rest, text)
	}
	return nil
}

func (v *cyclonedxXMLVulns) rating(path, text string) error {
	if len(v.one.Ratings) == 0 {
		return nil
	}
	r := &v.one.Ratings[len(v.one.Ratings)-1]
	switch path {
	case "rating/source/name":
		r.Source.Name = text
	case "rating/severity":
		r.Severity = text
	case "rating/method":
		r.Method = text
	case "rating/vector":
		r.Vector = text
	case "rating/score":
		score, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("score %s is not a number", quote(text))
		}
		r.Score = &score
	}
	return nil
}

func (v *cyclonedxXMLVulns) affects(path, text string) {
	if len(v.one.Affects) == 0 {
		return
	}
	a := &v.one.Affects[len(v.one.Affects)-1]
	if path == "target/ref" {
		a.Ref = text
	}
	if len(a.Versions) == 0 {
		return
	}
	last := &a.Versions[len(a.Versions)-1]
	switch path {
	case "target/versions/version/version":
		last.Version = text
	case "target/versions/version/range":
		last.Range = text
	case "target/versions/version/status":
		last.Status = text
	}
}
