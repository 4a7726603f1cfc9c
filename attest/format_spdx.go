// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"regexp"
	"strings"
)

// SPDX 2.2 and 2.3 in JSON.
// Source: https://spdx.github.io/spdx-spec/v2.3/

const spdxType = "https://spdx.dev/Document"

func spdxFormat() format {
	return format{
		name: "spdx", kind: EvidenceSBOM, types: []string{spdxType}, media: "application/spdx+json", stream: true,
		is: func(d *document) bool { return !d.list && d.has("spdxVersion") }, read: readSBOMDocument,
	}
}

var spdxVersions = regexp.MustCompile(`^SPDX-(2\.[23])$`)

func (s *sbomReader) spdxCreation(name []byte) error {
	switch string(name) {
	case "created":
		return s.time()
	case "creators":
		_, err := s.r.list(func() error {
			var creator string
			err := s.r.string(&creator)
			if tool, ok := strings.CutPrefix(creator, "Tool: "); ok && s.sbom.Tool == "" {
				s.sbom.Tool = tool
			}
			return err
		})
		return err
	}
	return nil
}

// time reads the document's own time.
func (s *sbomReader) time() error {
	var text string
	err := s.r.string(&text)
	if err == nil {
		s.sbom.Created, err = timeAt(s.r.place(), text)
	}
	return err
}

func (s *sbomReader) spdxPackage() error {
	var id, label, version, purl, purpose string
	err := s.r.element(func(name []byte) error {
		switch string(name) {
		case "SPDXID":
			return s.r.string(&id)
		case "name":
			return s.r.string(&label)
		case "versionInfo":
			return s.r.string(&version)
		case "primaryPackagePurpose":
			return s.r.string(&purpose)
		case "externalRefs":
			_, err := s.r.list(func() error { return s.spdxReference(&purl) })
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if purpose == "CONTAINER" {
		s.container(id, version, purl)
	}
	return s.count(label, purl)
}

// spdxReference takes a package URL out of an external reference.
func (s *sbomReader) spdxReference(purl *string) error {
	var kind, locator string
	err := s.r.object(func(name []byte) error {
		switch string(name) {
		case "referenceType":
			return s.r.string(&kind)
		case "referenceLocator":
			return s.r.string(&locator)
		}
		return nil
	})
	if kind == "purl" || strings.HasSuffix(kind, "#purl") {
		*purl = locator
	}
	return err
}

// describesAll reads a list of what the document is about. What is no id names
// nothing.
func (s *sbomReader) describesAll() error {
	if s.r.peek() != '[' {
		return nil
	}
	_, err := s.r.list(func() error {
		if s.r.peek() != '"' {
			return nil
		}
		var id string
		err := s.r.string(&id)
		s.describes(id)
		return err
	})
	return err
}

// spdxRelationship reads what the document is about, as later SPDX says it.
func (s *sbomReader) spdxRelationship() error {
	var from, kind, to string
	if s.r.peek() != '{' {
		return nil
	}
	err := s.r.object(func(name []byte) error {
		if s.r.peek() != '"' {
			return nil
		}
		switch string(name) {
		case "spdxElementId":
			return s.r.string(&from)
		case "relationshipType":
			return s.r.string(&kind)
		case "relatedSpdxElement":
			return s.r.string(&to)
		}
		return nil
	})
	switch {
	case from == spdxDocument && kind == "DESCRIBES":
		s.describes(to)
	case to == spdxDocument && kind == "DESCRIBED_BY":
		s.describes(from)
	}
	return err
}

// spdxDocument is how an SPDX 2 document calls itself.
const spdxDocument = "SPDXRef-DOCUMENT"

func (s *sbomReader) finishSPDX() error {
	m := spdxVersions.FindStringSubmatch(s.spdxVersion)
	if m == nil {
		return unreadable("$.spdxVersion", "%s, want SPDX-2.2 or SPDX-2.3", quote(s.spdxVersion))
	}
	s.sbom.Format, s.sbom.Version = "SPDX", m[1]
	if !s.packages {
		return unreadable("$.packages", "missing: the document lists nothing")
	}
	return nil
}
