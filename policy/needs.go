// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

// Needs says what a decision about an input will look at, so that the caller gathers that and no more.
type Needs struct {
	Allowed    bool // some rule could still allow it
	Evidence   bool // statements about the artifact
	Platforms  bool // also those about the images of an index
	Provenance bool // the service's own provenance
	// Kinds are the kinds of evidence that gates read, and Ages how old reports of a kind may be to say anything; 0 and no entry: of any age.
	Kinds []string
	Ages  map[string]time.Duration
	// Databases are how old the databases of scanners may be for every gate; no entry: no gate asks.
	Databases map[string]time.Duration
	// ChartImages says that the images of a chart have to be looked at.
	ChartImages bool
}

// Needs tells what Decide needs of a signature's evidence. It looks at claims and artifact only.
func (p *SigningPolicy) Needs(in Input) Needs {
	var n Needs
	if p == nil {
		return n
	}
	vars, err := variables(in)
	if err != nil {
		return n
	}
	for i := range p.rules {
		rule := &p.rules[i]
		if !rule.judgeClaims(in, vars).wouldHold() {
			continue
		}
		n.Allowed = true
		if rule.Require == nil || !gated(in.Action) {
			// It allows, whatever the evidence is. The rules before it come first: how is
			// signed is theirs to say.
			return n
		}
		n.Evidence = true
		n.read(rule.gate)
		n.Provenance = n.Provenance || rule.Require.Provenance
		n.ChartImages = n.ChartImages || (in.Kind == KindChart && rule.Require.ChartImages != nil)
		n.Platforms = n.Platforms || (in.Kind == KindIndex && rule.Require.ofPlatforms())
	}
	return n
}

// RequiresEvidence reports whether any rule does.
func (p *SigningPolicy) RequiresEvidence() bool {
	if p == nil {
		return false
	}
	for _, rule := range p.rules {
		if rule.Require != nil {
			return true
		}
	}
	return false
}
