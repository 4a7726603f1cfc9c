// SPDX-License-Identifier: Apache-2.0

package attest

import "errors"

// SBOMs in JSON are read from the front, whichever of the formats they turn
// out to be: the member that names the format may come last. A gate asks
// whether there is an inventory, how large it is and of what; so of a package
// only that it is there and has a name is kept, and 256 MB of them cost no
// more memory than one.

// sbomReader reads an SBOM in JSON.
type sbomReader struct {
	r *jsonReader
	inventory
	// family is what the members read so far belong to; each has its own way.
	bomFormat, specVersion string // CycloneDX
	spdxVersion, context   string // SPDX
	descriptor             string // syft: the tool's name
	// maker is the program, as CycloneDX names it.
	maker, makerVersion string
	serial              bomSerial
	// seen are the lists that were there.
	components, packages, graph, artifacts bool
	wrapped                                bool // by old cosign, in Data
	// reserved is a member that only the service writes.
	reserved string
}

// readSBOM reads one document; the caller sees to what follows it. An error about
// a document that is no SBOM is an errNoSBOM.
func readSBOM(r *jsonReader) (*sbomReader, error) {
	s := &sbomReader{r: r}
	err := r.element(s.member)
	if err == nil {
		err = s.finish()
	}
	if err != nil && !s.isSBOM() {
		err = noSBOM(err)
	}
	return s, err
}

// isSBOM tells whether the document says that it is one. CycloneDX that lists
// vulnerabilities and nothing else is a scan, or VEX.
func (s *sbomReader) isSBOM() bool {
	return s.bomFormat != "" && (s.components || s.sbom.Vulnerabilities == 0) || s.spdxVersion != "" || s.context != "" || s.descriptor == "syft"
}

// member reads a member of the document.
func (s *sbomReader) member(name []byte) error {
	if isReserved(name) {
		s.reserved = string(name)
	}
	switch string(name) {
	case "bomFormat":
		return s.r.string(&s.bomFormat)
	case "specVersion":
		return s.r.string(&s.specVersion)
	case "metadata":
		return s.r.object(s.cyclonedxMetadata)
	case "components":
		return s.list(&s.components, s.cyclonedxComponent)
	case "vulnerabilities":
		return s.list(new(bool), func() error { s.sbom.Vulnerabilities++; return nil })
	case "Data":
		if s.wrapped {
			return s.r.wrong("a document in a document in a document")
		}
		s.wrapped = true
		return s.r.element(s.member) // cosign's own predicate has a text
	case "serialNumber", "version":
		return s.serialMember(string(name))
	case "spdxVersion":
		return s.r.string(&s.spdxVersion)
	case "creationInfo":
		return s.r.object(s.spdxCreation)
	case "name":
		return s.r.string(&s.sbom.Target)
	case "packages":
		return s.list(&s.packages, s.spdxPackage)
	case "documentDescribes":
		return s.describesAll()
	case "relationships":
		if s.r.peek() != '[' {
			return nil
		}
		return s.list(new(bool), s.spdxRelationship)
	case "@context":
		return s.spdx3Context()
	case "@graph":
		return s.list(&s.graph, s.spdx3Element)
	case "artifacts":
		return s.list(&s.artifacts, s.syftArtifact)
	case "descriptor":
		return s.r.object(s.syftDescriptor)
	case "source":
		return s.r.object(s.syftSource)
	}
	return nil
}

// list reads one of the lists and notes that it was there.
func (s *sbomReader) list(there *bool, element func() error) error {
	var err error
	*there, err = s.r.list(element)
	return err
}

// count counts a package, and says where it is.
func (s *sbomReader) count(name, purl string) error {
	switch err := s.inventory.count(name, purl); {
	case errors.Is(err, errNameless):
		return unreadable(s.r.place()+".name", "%v", err)
	case err != nil:
		return s.r.wrong("%v", err)
	}
	return nil
}

// finish demands what the format demands.
func (s *sbomReader) finish() error {
	families := 0
	for _, is := range []bool{s.bomFormat != "", s.spdxVersion != "", s.context != "", s.descriptor != ""} {
		if is {
			families++
		}
	}
	if families > 1 {
		return unreadable("$", "the members of several formats: it could be read in two ways")
	}
	s.inventory.finish()
	switch {
	case s.bomFormat != "":
		return s.finishCycloneDX()
	case s.spdxVersion != "":
		return s.finishSPDX()
	case s.context != "":
		return s.finishSPDX3()
	case s.descriptor != "":
		return s.finishSyft()
	}
	return unreadable("$", "not an SBOM that is known here (hint: CycloneDX, SPDX or syft JSON)")
}

// readSBOMDocument is the reader of all SBOM formats in memory.
func readSBOMDocument(d *document) (Evidence, error) {
	s, err := readSBOM(readChecked("", d.raw))
	if err != nil {
		return Evidence{}, err
	}
	return Evidence{SBOM: &s.sbom}, nil
}

// formatName is the format that was read, as formats call it.
func (s *sbomReader) formatName() string {
	switch {
	case s.bomFormat != "":
		return "cyclonedx"
	case s.spdxVersion != "":
		return "spdx"
	case s.context != "":
		return "spdx3"
	}
	return "syft"
}
