// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"regexp"
	"strings"
)

// SPDX 3.0 in JSON-LD: a graph of elements, of which packages are counted. The
// context must be SPDX's own, so that names mean what they say; nothing is
// fetched.
// Source: https://spdx.github.io/spdx-spec/v3.0.1/

// spdx3Context is where the context's address begins.
const spdx3Context = "https://spdx.org/rdf/3."

var spdx3Versions = regexp.MustCompile(`^3\.0(\.[0-9]+)?$`)

func spdx3Format() format {
	return format{
		name: "spdx3", kind: EvidenceSBOM, types: []string{spdxType + "/v3", spdxType}, media: "application/spdx+json", stream: true,
		is: func(d *document) bool {
			return !d.list && mentions(d.members, "@graph") && strings.Contains(string(d.members["@context"]), `"`+spdx3Context)
		},
		read: readSBOMDocument,
	}
}

// spdx3Context reads the context, a text or a list of which one must be SPDX's.
// That of OpenVEX is none.
func (s *sbomReader) spdx3Context() error {
	var all []string
	switch s.r.peek() {
	case '"':
		all = append(all, "")
		if err := s.r.string(&all[0]); err != nil {
			return err
		}
	case '[':
		_, err := s.r.list(func() error {
			if s.r.peek() != '"' {
				return nil // an inline context adds names, those of SPDX stay
			}
			var one string
			err := s.r.string(&one)
			all = append(all, one)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, one := range all {
		if strings.HasPrefix(one, spdx3Context) {
			s.context = one
		}
	}
	return nil
}

func (s *sbomReader) spdx3Element() error {
	var kind, id, name, purl, purpose, version, specVersion, created string
	err := s.r.element(func(member []byte) error {
		switch string(member) {
		case "type", "@type":
			return s.r.string(&kind)
		case "spdxId", "@id":
			return s.r.string(&id)
		case "rootElement":
			return s.describesAll()
		case "name":
			return s.r.string(&name)
		case "software_packageUrl":
			return s.r.string(&purl)
		case "software_packageVersion":
			return s.r.string(&version)
		case "software_primaryPurpose":
			return s.r.string(&purpose)
		case "specVersion":
			return s.r.string(&specVersion)
		case "created":
			return s.r.string(&created)
		case "externalIdentifier":
			_, err := s.r.list(func() error { return s.spdx3Identifier(&purl) })
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch kind {
	case "software_Package":
		if purpose == "container" {
			s.container(id, version, purl)
		}
		return s.count(name, purl)
	case "SpdxDocument":
		s.sbom.Target = name
	case "Tool":
		s.sbom.Tool = name
	case "CreationInfo":
		s.specVersion = specVersion
		at, err := timeAt(s.r.place()+".created", created)
		if err != nil {
			return err
		}
		s.sbom.Created = older(s.sbom.Created, at)
	}
	return nil
}

func (s *sbomReader) spdx3Identifier(purl *string) error {
	var kind, identifier string
	err := s.r.object(func(member []byte) error {
		switch string(member) {
		case "externalIdentifierType":
			return s.r.string(&kind)
		case "identifier":
			return s.r.string(&identifier)
		}
		return nil
	})
	if kind == "packageUrl" && *purl == "" {
		*purl = identifier
	}
	return err
}

func (s *sbomReader) finishSPDX3() error {
	switch {
	case !s.graph:
		return unreadable("$.@graph", "missing: the document lists nothing")
	case !spdx3Versions.MatchString(s.specVersion):
		return unreadable("$.@graph", "want a CreationInfo with specVersion 3.0, found %s", quote(s.specVersion))
	}
	s.sbom.Format, s.sbom.Version = "SPDX", s.specVersion
	return nil
}
