// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
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
			w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: [https://cyclonedx.org/bom, ", 1) // which is no VEX
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

// narrowRegistry has room for so many bundles.
type narrowRegistry struct {
	signer.Registry
	w      *world
	places int
}

func (r *narrowRegistry) Room(_ context.Context, _ oci.Artifact, want oci.Attachments) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if len(r.w.attached)+want.Bundles > r.places {
		return oci.ErrTooMany
	}
	return nil
}

// TestRoomForAll: several statements that have room one by one, and not together with the document that one of them names, leave nothing; those
// that were made before take none.
func TestRoomForAll(t *testing.T) {
	w := newDocuments(t)
	registry := &narrowRegistry{w: w, places: 2}
	s := w.startWith(func(c *signer.Config) {
		c.Embed = 1000
		registry.Registry, c.Registry = c.Registry, registry
	})
	small, large := signer.Document{Name: "small.json", Content: []byte(sbomOf(1))}, signer.Document{Name: "large.json", Kind: "sbom", Stored: stored(sbomOf(200))}
	_, err := s.AttestDocuments(t.Context(), documents(small, large))
	if !errors.Is(err, oci.ErrTooMany) || len(w.intents)+len(w.attached)+len(w.documents) > 0 {
		t.Errorf("%v, and %d intents, %d bundles, %d documents", err, len(w.intents), len(w.attached), len(w.documents))
	}
	if last := w.audit[len(w.audit)-1]; last.Decision != signer.DecisionRefused || last.Stage != "attach" {
		t.Errorf("recorded %+v", last)
	}
	if _, err := s.AttestDocuments(t.Context(), documents(small)); err != nil {
		t.Fatal(err)
	}
	registry.places = 3
	if _, err := s.AttestDocuments(t.Context(), documents(small, large)); err != nil {
		t.Errorf("one of them is there already: %v", err)
	}
	w.check()
}

// TestRoomForAllKeys: while a long-lived key is rotated, each statement has a signature by the key before as well, and room for all of them is
// looked for at once.
func TestRoomForAllKeys(t *testing.T) {
	for _, retiring := range []bool{false, true} {
		w := newDocuments(t).withKeys("  modes: [certificate, key]\n")
		w.policy = strings.Replace(documentsPolicy, "  identity: github\n", "  identity: github\n  keys: [release]\n  modes: [certificate, key]\n", 1)
		pair := w.keys["release"]
		signatures := 2
		if retiring {
			pair.RetiringAttestations = newKey(t)
			signatures++
		}
		w.keys["release"] = pair
		registry := &narrowRegistry{w: w, places: 2*signatures - 1}
		s := w.startWith(func(c *signer.Config) { registry.Registry, c.Registry = c.Registry, registry })
		two := documents(signer.Document{Name: "one.json", Content: []byte(sbomOf(1))}, signer.Document{Name: "two.json", Content: []byte(sbomOf(2))})
		if _, err := s.AttestDocuments(t.Context(), two); !errors.Is(err, oci.ErrTooMany) || len(w.intents) > 0 {
			t.Errorf("retiring %t, a place too few: %v, %d intents", retiring, err, len(w.intents))
		}
		registry.places++
		if _, err := s.AttestDocuments(t.Context(), two); err != nil {
			t.Errorf("retiring %t, places for all: %v", retiring, err)
		}
	}
}
