// SPDX-License-Identifier: Apache-2.0

package attest

// syft's own JSON.
// Source: github.com/anchore/syft/schema/json

func syftFormat() format {
	return format{
		name: "syft", kind: EvidenceSBOM, types: []string{"https://syft.dev/bom"}, media: "application/vnd.syft+json", stream: true,
		is: func(d *document) bool {
			var tool struct{ Name string }
			return !d.list && mentions(d.members, "artifacts") && d.into("descriptor", &tool) == nil && tool.Name == "syft"
		},
		read: readSBOMDocument,
	}
}

func (s *sbomReader) syftArtifact() error {
	var label, purl string
	err := s.r.element(func(name []byte) error {
		switch string(name) {
		case "name":
			return s.r.string(&label)
		case "purl":
			return s.r.string(&purl)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.count(label, purl)
}

func (s *sbomReader) syftDescriptor(name []byte) error {
	switch string(name) {
	case "name":
		err := s.r.string(&s.descriptor)
		s.sbom.Tool = s.descriptor
		return err
	case "version":
		return s.r.string(&s.sbom.Version)
	}
	return nil
}

// syftSource reads what was looked at. Only what the registry calls it counts:
// an image that comes from a daemon has a manifest digest that syft computed.
func (s *sbomReader) syftSource(name []byte) error {
	switch string(name) {
	case "name":
		return s.r.string(&s.sbom.Target)
	case "metadata", "target":
		if s.r.peek() != '{' {
			return nil // of a folder, a text
		}
		return s.r.object(func(name []byte) error {
			switch string(name) {
			case "repoDigests":
				var all []string
				err := s.r.texts(&all)
				s.about(all...)
				s.pulled(all)
				return err
			case "userInput":
				return s.r.string(&s.sbom.Target)
			}
			return nil
		})
	}
	return nil
}

func (s *sbomReader) finishSyft() error {
	if s.descriptor != "syft" {
		return unreadable("$.descriptor.name", "%s, want syft", quote(s.descriptor))
	}
	if !s.artifacts {
		return unreadable("$.artifacts", "missing: the document lists nothing")
	}
	s.sbom.Format = "syft"
	return nil
}
