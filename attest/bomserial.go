// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// maxSerialHead is how far into a document its serial number is looked for,
// bytes. Programs write it before anything that is long.
const maxSerialHead = 64 << 10

// BOMSerial returns by what BOM-Links ("urn:cdx:<uuid>/<version>") name a
// CycloneDX document: "<uuid>/<version>" in lower case; "" if it has no serial
// number, or has it behind its components. The document has been read before,
// so that it is valid and has no member twice.
// Source: https://cyclonedx.org/capabilities/bomlink
func BOMSerial(document []byte) string {
	dec := json.NewDecoder(bytes.NewReader(document[:min(len(document), maxSerialHead)]))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return ""
	}
	serial, version := "", 1
	for dec.More() {
		name, err := dec.Token()
		if err != nil || name == "components" {
			break
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			break
		}
		switch name {
		case "serialNumber":
			var text string
			if json.Unmarshal(value, &text) != nil {
				return ""
			}
			serial = strings.ToLower(strings.TrimPrefix(text, "urn:uuid:"))
		case "version":
			if json.Unmarshal(value, &version) != nil {
				return ""
			}
		}
	}
	if serial == "" || strings.ContainsAny(serial, "/# ") {
		return ""
	}
	return serial + "/" + strconv.Itoa(version)
}
