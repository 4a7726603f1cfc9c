// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// vexAsBOM is VEX in a type of documents that every job attests; with components it is an SBOM that has been analysed.
const vexAsBOM = `{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"timestamp": "2026-01-02T03:04:05Z"}, COMPONENTS
	"vulnerabilities": [{"id": "CVE-2026-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "pkg:deb/debian/openssl@3.0.1"}]}]}`

// TestVEXAsBOM: CycloneDX that gates read as VEX is VEX to policy, on every way in.
func TestVEXAsBOM(t *testing.T) {
	vex := strings.Replace(vexAsBOM, "COMPONENTS", "", 1)
	sbom := strings.Replace(vexAsBOM, "COMPONENTS", `"components": [{"type": "library", "name": "openssl", "bom-ref": "o", "purl": "pkg:deb/debian/openssl@3.0.1"}],`, 1)
	for types, allowed := range map[string]bool{"https://cyclonedx.org/bom, ": false, "https://cyclonedx.org/bom, https://openvex.dev/ns/v0.2.0, ": true} {
		for name, tc := range map[string]struct {
			file  string
			isVEX bool
		}{"vex": {vex, true}, "sbom": {sbom, false}} {
			w := newDocuments(t)
			w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: ["+types, 1)
			s := w.start()
			wants := allowed || !tc.isVEX
			check := func(way string, err error) {
				t.Helper()
				var refused *signer.Refused
				if (err == nil) != wants || err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "read as VEX")) {
					t.Errorf("%s, %s, allowed %t: %v", name, way, allowed, err)
				}
			}
			raw := goodRequest()
			raw.PredicateType, raw.Predicate = "cyclonedx", []byte(tc.file)
			_, err := s.Attest(t.Context(), raw)
			check("predicate", err)
			_, err = s.AttestDocuments(t.Context(), raw)
			check("predicate about platforms", err)
			document := signer.Document{Name: name, Content: []byte(tc.file)}
			_, err = s.AttestDocuments(t.Context(), documents(document))
			check("document", err)
			_, err = s.Sign(t.Context(), documents(document))
			check("with a signature", err)
			x, err := s.DryRun(t.Context(), documents(document))
			if err != nil || x.Allowed != wants {
				t.Errorf("%s, dry run, allowed %t: %+v, %v", name, allowed, x, err)
			}
			if p, err := signer.PreviewDocument(document); err != nil || p.VEX != tc.isVEX {
				t.Errorf("%s, preview: %+v, %v", name, p, err)
			}
		}
	}
}
