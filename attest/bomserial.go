// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"strconv"
	"strings"
)

// bomSerial collects by what BOM-Links ("urn:cdx:<uuid>/<version>") name a
// CycloneDX document. A number or version that is none makes no document
// unreadable: no link names it then.
// Source: https://cyclonedx.org/capabilities/bomlink
type bomSerial struct {
	number, version string
}

// maxSerial bounds a serial number, bytes: a UUID has 36.
const maxSerial = 128

// name is "<uuid>/<version>" in lower case, or "" if no link can name the
// document.
func (s bomSerial) name() string {
	number := strings.TrimPrefix(strings.ToLower(s.number), "urn:uuid:")
	version, err := 1, error(nil)
	if s.version != "" {
		version, err = strconv.Atoi(s.version)
	}
	if number == "" || len(number) > maxSerial || strings.ContainsAny(number, "/# ") || err != nil {
		return ""
	}
	return number + "/" + strconv.Itoa(version)
}

// serialMember reads a member of the document that is about its name.
func (s *sbomReader) serialMember(name string) error {
	switch c := s.r.peek(); {
	case name == "serialNumber" && c == '"':
		return s.r.string(&s.serial.number)
	case name == "version" && (c == '-' || '0' <= c && c <= '9'):
		digits, err := s.r.digits()
		s.serial.version = string(digits)
		return err
	case name == "version" && c != 'n':
		s.serial.version = "none" // of another kind: no link says it
	}
	return nil
}
