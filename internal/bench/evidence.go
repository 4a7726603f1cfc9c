// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
)

// attestation is a predicate of the size that images have.
type attestation struct {
	kind      string // as cosign and hallmark spell it
	evidence  string // what `hallmark sign` takes it for
	predicate []byte
}

// Images by how much is in them, packages: a service on a small base image, and
// one on a whole distribution.
const (
	smallImage = 30
	largeImage = 300
)

// attestations are the three of an image: an SBOM, a scan with a finding in
// every sixth package, and test results. Those of a small image are 9 KB, of a
// large one 90 KB.
func attestations(inImage int) ([]attestation, error) {
	type object = map[string]any
	var packages, findings []object
	for i := range inImage {
		packages = append(packages, object{
			"SPDXID": fmt.Sprintf("SPDXRef-Package-%d", i), "name": fmt.Sprintf("library-%d", i), "versionInfo": fmt.Sprintf("1.%d.0-r1", i),
			"downloadLocation": "NOASSERTION", "licenseDeclared": "MIT",
			"externalRefs": []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": fmt.Sprintf("pkg:apk/alpine/library-%d@1.%d.0-r1", i, i)}},
		})
	}
	for i := range inImage / 6 {
		findings = append(findings, object{"id": fmt.Sprintf("CVE-2026-%05d", i), "severity": []object{{"method": "nvd", "score": "5.3"}}, "package": fmt.Sprintf("library-%d", i), "description": "a finding of the middling sort, which a later version of the library has not"})
	}
	var all []attestation
	for _, a := range []struct {
		kind, evidence string
		predicate      object
	}{
		{"https://spdx.dev/Document", "sbom", object{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "packages": packages}},
		{"https://in-toto.io/attestation/vulns/v0.2", "scan", object{"scanner": object{"uri": "https://scanner.example", "result": findings}}},
		{"https://in-toto.io/attestation/test-result/v0.1", "test", object{"result": "PASSED", "configuration": []object{}, "passedTests": []string{"unit", "integration"}}},
	} {
		encoded, err := json.Marshal(a.predicate)
		if err != nil {
			return nil, err
		}
		all = append(all, attestation{a.kind, a.evidence, encoded})
	}
	return all, nil
}

// attestBody is a request's body; the predicate goes in as it is.
func (a attestation) attestBody(image string) []byte {
	return fmt.Appendf(nil, `{"image":%q,"predicateType":%q,"predicate":%s}`, image, a.kind, a.predicate)
}

// signBody is the body of one request that signs an image and attests all that is
// known about it.
func signBody(image string, all []attestation) []byte {
	body := fmt.Appendf(nil, `{"image":%q,"evidence":[`, image)
	for i, a := range all {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"kind":%q,"document":%s}`, a.evidence, a.predicate)
	}
	return append(body, "]}"...)
}
