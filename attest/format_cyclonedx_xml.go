// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// CycloneDX in XML, read as a stream like the JSON. It is no JSON, so a
// statement names it by digest.
// Source: https://cyclonedx.org/docs/1.6/xml/

const (
	cyclonedxXMLName   = "cyclonedx-xml"
	cyclonedxNamespace = "http://cyclonedx.org/schema/bom/"
)

func cyclonedxXMLFormat() format {
	return format{
		name: cyclonedxXMLName, kind: EvidenceSBOM, kinds: []EvidenceKind{EvidenceScan, EvidenceVEX}, media: "application/vnd.cyclonedx+xml", stream: true,
	}
}

// cyclonedxXML is the state of reading.
type cyclonedxXML struct {
	x *xmlReader
	inventory
	text []byte // of the innermost element
	// open are the components whose end has not come, innermost last.
	open     []cyclonedxComponent
	listed   bool
	property string
}

func readCycloneDXXML(src io.Reader) (*SBOM, error) {
	c := &cyclonedxXML{x: readXMLTokens(src)}
	if err := c.x.walk(c.start, c.take, c.end); err != nil {
		return nil, err
	}
	if !c.listed {
		err := error(unreadable("components", "missing: the document lists nothing"))
		if c.sbom.Vulnerabilities > 0 { // a scan, or VEX
			err = noSBOM(err)
		}
		return nil, err
	}
	return c.finish(), nil
}

func (c *cyclonedxXML) start(e xml.StartElement) error {
	c.text = c.text[:0]
	names := c.x.names
	if len(names) == 1 {
		if err := checkCycloneDXRoot(e); err != nil {
			return err
		}
		c.sbom.Format, c.sbom.Version = "CycloneDX", strings.TrimPrefix(e.Name.Space, cyclonedxNamespace)
		c.sbom.Serial = bomSerial{attribute(e, "serialNumber"), attribute(e, "version")}.name()
	}
	switch {
	case c.at("bom", "components"):
		if c.listed {
			return fmt.Errorf("components appears twice")
		}
		c.listed = true
	case c.at("bom", "vulnerabilities", "vulnerability"):
		c.sbom.Vulnerabilities++
	case isCycloneDXComponent(names):
		c.open = append(c.open, cyclonedxComponent{})
	case len(c.open) > 0 && c.parent() == "properties" && e.Name.Local == "property":
		c.property = attribute(e, "name")
	}
	return nil
}

// checkCycloneDXRoot demands a version whose elements mean what is read of them.
func checkCycloneDXRoot(e xml.StartElement) error {
	version, ok := strings.CutPrefix(e.Name.Space, cyclonedxNamespace)
	switch {
	case e.Name.Local != "bom":
		return fmt.Errorf("%w: the document is a %s of %s, want bom", errNoSBOM, quote(e.Name.Local), quote(e.Name.Space))
	case !ok || !cyclonedxVersions.MatchString(version):
		return fmt.Errorf("the document is a bom of %s, want %s1.2 to 1.7", quote(e.Name.Space), cyclonedxNamespace)
	}
	return nil
}

// at tells whether the innermost element is this one.
func (c *cyclonedxXML) at(path ...string) bool { return slices.Equal(c.x.names, path) }

func (c *cyclonedxXML) parent() string {
	if len(c.x.names) < 2 {
		return ""
	}
	return c.x.names[len(c.x.names)-2]
}

// isCycloneDXComponent tells whether the innermost of the open elements is a
// component of the inventory, or what the document is about.
func isCycloneDXComponent(names []string) bool {
	if slices.Equal(names, []string{"bom", "metadata", "component"}) {
		return true
	}
	if len(names) < 3 || names[1] != "components" {
		return false
	}
	for i, name := range names[1:] {
		if want := []string{"components", "component"}[i%2]; name != want {
			return false
		}
	}
	return names[len(names)-1] == "component"
}

func (c *cyclonedxXML) take(text []byte) error {
	if room := maxText - len(c.text); room > 0 {
		c.text = append(c.text, text[:min(room, len(text))]...)
	}
	return nil
}

func (c *cyclonedxXML) end(name string) error {
	text := strings.ToValidUTF8(strings.TrimSpace(string(c.text)), "")
	c.text = c.text[:0]
	switch {
	case c.at("bom", "metadata", "timestamp"):
		var err error
		c.sbom.Created, err = timeAt("metadata.timestamp", text)
		return err
	case name == "name" && len(c.x.names) > 3 && c.x.names[1] == "metadata" && c.x.names[2] == "tools" && c.sbom.Tool == "":
		c.sbom.Tool = text
	case isCycloneDXComponent(c.x.names):
		return c.close()
	case len(c.open) > 0 && isCycloneDXComponent(c.x.names[:len(c.x.names)-1]):
		one := &c.open[len(c.open)-1]
		switch name {
		case "name":
			one.name = text
		case "version":
			one.version = text
		case "purl":
			one.purl = text
		}
	case len(c.open) > 0 && name == "property" && c.property == "aquasecurity:trivy:RepoDigest" && c.x.names[1] == "metadata":
		if one := &c.open[len(c.open)-1]; len(one.digests) < maxDigests {
			one.digests = append(one.digests, text)
		}
	}
	return nil
}

// close counts a component whose end has come.
func (c *cyclonedxXML) close() error {
	one := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	if c.x.names[1] == "metadata" {
		c.root(one)
		return nil
	}
	return c.count(one.name, one.purl)
}
