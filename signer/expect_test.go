// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestHopelessDocuments: documents that nobody may attest there, whatever is there, are refused before they come and before the registry is asked.
func TestHopelessDocuments(t *testing.T) {
	vex := signer.Document{Name: "vex.json", Kind: attest.EvidenceVEX}
	for name, tc := range map[string]struct {
		image     string
		documents []signer.Document
		hopeless  bool
	}{
		"somebody else's repository": {"registry.example/other/app@" + string(theImage), []signer.Document{{Name: "sbom.json", Kind: "sbom"}}, true},
		"a kind that no rule names":  {goodRequest().Image, []signer.Document{vex}, true},
		"one of two":                 {goodRequest().Image, []signer.Document{vex, {Name: "sbom.json", Kind: "sbom"}}, false},
		"of whatever kind":           {goodRequest().Image, []signer.Document{{Name: "x"}}, false},
	} {
		for verb, ask := range map[string]func(*signer.Service, signer.Request) error{
			"expect": func(s *signer.Service, req signer.Request) error { _, err := s.Expect(t.Context(), req); return err },
			"attest": func(s *signer.Service, req signer.Request) error {
				_, err := s.AttestDocuments(t.Context(), req)
				return err
			},
		} {
			w := newDocuments(t)
			s := w.start()
			asked := false
			w.before = func(port string) { asked = asked || port == "registry" }
			err := ask(s, signer.Request{Token: "good", Action: signer.ActionAttest, Image: tc.image, Documents: tc.documents})
			var refused *signer.Refused
			if asked == tc.hopeless || errors.As(err, &refused) != tc.hopeless {
				t.Errorf("%s: %s: asked the registry: %t, %v", name, verb, asked, err)
			}
			if recorded := len(w.audit) > 0 && w.audit[len(w.audit)-1].Decision == signer.DecisionRefused; tc.hopeless && !recorded {
				t.Errorf("%s: %s: recorded %+v", name, verb, w.audit)
			}
		}
	}
}
