// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"regexp"
)

// SPDX and CycloneDX documents in JSON. A gate asks whether there is an
// inventory and how large it is; the document itself is the statement.
// Vulnerabilities inside a CycloneDX document are not read as a scan: an SBOM
// without that list is not clean.

func spdxFormat() format {
	return format{
		name: "spdx", kind: EvidenceSBOM, types: []string{"https://spdx.dev/Document"},
		is: func(top members) bool { return top.has("spdxVersion") }, read: readSPDX,
	}
}

var spdxVersions = regexp.MustCompile(`^SPDX-(2\.[23])$`)

func readSPDX(top members) (Evidence, error) {
	var version string
	var created struct{ Created string }
	if err := top.into("spdxVersion", &version); err != nil {
		return Evidence{}, err
	}
	m := spdxVersions.FindStringSubmatch(version)
	if m == nil {
		return Evidence{}, unreadable("$.spdxVersion", "%s, want SPDX-2.2 or SPDX-2.3", quote(version))
	}
	if err := top.into("creationInfo", &created); err != nil {
		return Evidence{}, err
	}
	s := &SBOM{Format: "SPDX", Version: m[1]}
	var err error
	if s.Created, err = timeAt("$.creationInfo.created", created.Created); err != nil {
		return Evidence{}, err
	}
	there, err := each("$.packages", top["packages"], func(place string, p struct{ Name string }) error {
		if s.Packages++; p.Name == "" {
			return unreadable(place+".name", "a package without a name")
		}
		return nil
	})
	if err == nil && !there {
		err = unreadable("$.packages", "missing: the document lists nothing")
	}
	return Evidence{SBOM: s}, err
}

func cyclonedxFormat() format {
	return format{
		name: "cyclonedx", kind: EvidenceSBOM, types: []string{"https://cyclonedx.org/bom"},
		is: func(top members) bool {
			return top.is("bomFormat", "CycloneDX") || top.has("Data", "Timestamp") // old cosign wraps it
		},
		read: readCycloneDX,
	}
}

type cyclonedxComponent struct {
	Name       string
	Components json.RawMessage
}

func readCycloneDX(top members) (Evidence, error) {
	if top.has("Data", "Timestamp") {
		var inner members
		if err := top.into("Data", &inner); err != nil {
			return Evidence{}, err
		}
		if !inner.is("bomFormat", "CycloneDX") {
			return Evidence{}, unreadable("$.Data.bomFormat", "want CycloneDX")
		}
		top = inner
	}
	s := &SBOM{Format: "CycloneDX"}
	var metadata struct{ Timestamp string }
	if err := top.into("specVersion", &s.Version); err != nil {
		return Evidence{}, err
	}
	if err := top.into("metadata", &metadata); err != nil {
		return Evidence{}, err
	}
	var err error
	if s.Created, err = timeAt("$.metadata.timestamp", metadata.Timestamp); err != nil {
		return Evidence{}, err
	}
	there, err := s.count("$.components", top["components"])
	if err == nil && !there {
		err = unreadable("$.components", "missing: the document lists nothing")
	}
	return Evidence{SBOM: s}, err
}

// count counts components, also those inside of others. CheckJSON bounds the
// depth.
func (s *SBOM) count(place string, raw json.RawMessage) (bool, error) {
	return each(place, raw, func(place string, c cyclonedxComponent) error {
		if s.Packages++; c.Name == "" {
			return unreadable(place+".name", "a component without a name")
		}
		_, err := s.count(place+".components", c.Components)
		return err
	})
}
