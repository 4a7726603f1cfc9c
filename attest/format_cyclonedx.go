// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"regexp"
	"strings"
)

// CycloneDX in JSON. One document can be an SBOM, a scan and VEX. What it is
// read as is what somebody asks for, or else an SBOM if it has components, VEX
// if all its vulnerabilities have been analysed, and a scan if not. Without a
// list of vulnerabilities it is no scan at all, and never a clean one.
// Source: https://cyclonedx.org/docs/1.6/json/

const cyclonedxType = "https://cyclonedx.org/bom"

func cyclonedxFormat() format {
	return format{
		name: "cyclonedx", kind: EvidenceSBOM, kinds: []EvidenceKind{EvidenceScan, EvidenceVEX}, types: []string{cyclonedxType},
		media: "application/vnd.cyclonedx+json", stream: true, others: map[EvidenceKind]string{EvidenceVEX: cyclonedxType},
		is: func(d *document) bool {
			return !d.list && (d.is("bomFormat", "CycloneDX") || d.has("Data", "Timestamp") && d.kindOf("Data") == '{')
		},
		read: readCycloneDX, wrap: wrapCycloneDX,
	}
}

// cyclonedxVersions are those whose members mean what is read of them.
var cyclonedxVersions = regexp.MustCompile(`^1\.[2-7]$`)

func (s *sbomReader) finishCycloneDX() error {
	switch {
	case s.bomFormat != "CycloneDX":
		return unreadable("$.bomFormat", "%s, want CycloneDX", quote(s.bomFormat))
	case !cyclonedxVersions.MatchString(s.specVersion):
		return unreadable("$.specVersion", "%s, want 1.2 to 1.7", quote(s.specVersion))
	case !s.components:
		return unreadable("$.components", "missing: the document lists nothing")
	}
	s.sbom.Format, s.sbom.Version, s.sbom.Serial = "CycloneDX", s.specVersion, s.serial.name()
	return nil
}

func (s *sbomReader) cyclonedxMetadata(name []byte) error {
	switch string(name) {
	case "timestamp":
		return s.time()
	case "tools":
		if s.r.peek() == '{' { // since 1.5
			return s.r.object(func(name []byte) error {
				if string(name) != "components" {
					return nil
				}
				_, err := s.r.list(s.cyclonedxTool)
				return err
			})
		}
		_, err := s.r.list(s.cyclonedxTool)
		return err
	case "component":
		c, err := s.cyclonedxOne(nil)
		s.root(c)
		return err
	}
	return nil
}

func (s *sbomReader) cyclonedxTool() error {
	c, err := s.cyclonedxOne(nil)
	if s.sbom.Tool == "" {
		s.maker, s.makerVersion = c.name, c.version
		s.sbom.Tool = strings.TrimSuffix(c.name+"-"+c.version, "-")
	}
	return err
}

type cyclonedxComponent struct {
	ref, name, version, purl string
	digests                  []string // that trivy saw in the registry
}

// cyclonedxComponent counts a component and those inside of it. The reader
// bounds the depth.
func (s *sbomReader) cyclonedxComponent() error {
	if s.r.peek() != '{' {
		return s.r.want("an object")
	}
	c, err := s.cyclonedxOne(s.cyclonedxComponent)
	if err != nil {
		return err
	}
	return s.count(c.name, c.purl)
}

func (s *sbomReader) cyclonedxOne(inner func() error) (cyclonedxComponent, error) {
	var c cyclonedxComponent
	err := s.r.object(func(name []byte) error {
		switch string(name) {
		case "name":
			return s.r.string(&c.name)
		case "version":
			return s.r.string(&c.version)
		case "purl":
			return s.r.string(&c.purl)
		case "components":
			if inner != nil {
				_, err := s.r.list(inner)
				return err
			}
		case "properties":
			if inner == nil {
				_, err := s.r.list(func() error { return s.cyclonedxProperty(&c.digests) })
				return err
			}
		}
		return nil
	})
	return c, err
}

func (s *sbomReader) cyclonedxProperty(digests *[]string) error {
	var name, value string
	err := s.r.object(func(member []byte) error {
		switch string(member) {
		case "name":
			return s.r.string(&name)
		case "value":
			return s.r.string(&value)
		}
		return nil
	})
	if name == "aquasecurity:trivy:RepoDigest" && len(*digests) < maxDigests {
		*digests = append(*digests, value)
	}
	return err
}

// readCycloneDX reads a document in memory as what it is.
func readCycloneDX(d *document) (Evidence, error) {
	top := d.members
	if !d.is("bomFormat", "CycloneDX") {
		top = members{}
		if err := d.into("Data", &top); err != nil {
			return Evidence{}, err
		}
		if !top.is("bomFormat", "CycloneDX") {
			return Evidence{}, unreadable("$.Data.bomFormat", "want CycloneDX")
		}
	}
	if version := top.text("specVersion"); !cyclonedxVersions.MatchString(version) {
		return Evidence{}, unreadable("$.specVersion", "%s, want 1.2 to 1.7", quote(version))
	}
	kind := EvidenceKind(d.want)
	if kind != EvidenceScan && kind != EvidenceVEX {
		if len(strings.Trim(string(top["components"]), "[] \t\r\n")) > 0 || !top.has("vulnerabilities") {
			return readSBOMDocument(d)
		}
		kind = ""
	}
	c := &cyclonedxVulnerabilities{top: top}
	if err := c.read(); err != nil {
		return Evidence{}, err
	}
	if kind == EvidenceVEX || kind == "" && c.analysed {
		return c.vex()
	}
	return c.scan()
}

// wrapCycloneDX: an SBOM, and VEX without components, is its own predicate. As
// a scan, or VEX inside an SBOM, it becomes what its reader made of it, since
// who reads it again would read an SBOM.
func wrapCycloneDX(file []byte, d Document) (string, []byte, error) {
	switch {
	case d.Evidence.Scan != nil:
		return wrapVulns(file, d)
	case d.Evidence.VEX != nil:
		if again, err := ReadEvidence(cyclonedxType, file); err != nil || again.VEX == nil {
			return wrapVEX(file, d)
		}
	}
	return cyclonedxType, file, nil
}
