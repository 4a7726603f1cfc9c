// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// Who may excuse findings. Two things decide it: which jobs a signing rule lets attest VEX, and whose VEX a gate takes. VEX comes in two
// types of statements. Those of OpenVEX are nothing else; those of CycloneDX are SBOMs as well, which every job attests. So a rule lets a
// job attest VEX if it lists a type of OpenVEX, whatever the type of the statement is (Input.VEX), and a gate does not take it from the type
// alone that somebody was allowed to speak: see mayExcuse.

// vexType is the predicate type of OpenVEX, and vexTypes what it is called without a version.
const (
	vexTypes = "https://openvex.dev/ns"
	vexType  = vexTypes + "/v0.2.0"
)

// isVEXType reports whether statements of the type are VEX and nothing else.
func isVEXType(predicateType string) bool {
	return predicateType == vexTypes || strings.HasPrefix(predicateType, vexTypes+"/")
}

// mayExcuse reports whether statements of a document can be excuses. When the service attested CycloneDX for a job, it may have been asked
// about an SBOM only: older ones of ours were. Then the pattern of a workflow's name proves nothing, since jobs that may not attest VEX have
// such names, too. A workflow that the gate names exactly is trusted whatever it says, and so is who signs in their own name. What a document
// takes back, it takes back in any case.
func (a vexAuthor) mayExcuse(d *Document) bool {
	return isVEXType(d.PredicateType) || a.exact != "" || d.Author == d.Signer
}
