// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/cel-go/cel"
)

// DeepCopy returns a copy that shares nothing with the requirement.
func (r *EvidenceRequirement) DeepCopy() *EvidenceRequirement {
	if r == nil {
		return nil
	}
	out := *r
	out.Signers, out.Conditions = slices.Clone(r.Signers), slices.Clone(r.Conditions)
	out.Platforms = slices.Clone(r.Platforms)
	out.Reports = slices.Clone(r.Reports)
	for i := range out.Reports {
		out.Reports[i].Tools = slices.Clone(out.Reports[i].Tools)
	}
	if r.Scan != nil {
		scan := *r.Scan
		scan.Tools, scan.VEX = slices.Clone(r.Scan.Tools), slices.Clone(r.Scan.VEX)
		out.Scan = &scan
	}
	if r.ChartImages != nil {
		images := *r.ChartImages
		out.ChartImages = &images
	}
	return &out
}

// ReadsEvidence reports whether the policy judges what attestations say. Then facts need their Document.
func (p *TrustPolicy) ReadsEvidence() bool { return p != nil && p.gate != nil }

// compileGate compiles the policy's requirement of evidence.
func (p *TrustPolicy) compileGate(path string) error {
	spec := p.spec.Require.Evidence
	if spec == nil {
		return nil
	}
	if err := p.checkReferences(path+".signers", spec.Signers); err != nil {
		return err
	}
	if spec.ChartImages != nil {
		return fieldErrorf(path+".chartImages", "is for signing policies; a cluster runs images, and looks at each")
	}
	var err error
	p.gate, err = newGate(path, spec, append(baseOptions(), imageVariables()...))
	return err
}

// imageVariables are what conditions of a trust policy read besides evidence.
func imageVariables() []cel.EnvOption {
	return []cel.EnvOption{cel.Variable(varRepository, cel.StringType), cel.Variable(varDigest, cel.StringType)}
}

// judgeEvidence holds what accepted signers say against the gate.
func (p *TrustPolicy) judgeEvidence(verdict *Verdict, img Image, facts []Fact, parts *Parts, now time.Time) {
	if p.spec.Require.Evidence == nil {
		return
	}
	if p.gate == nil { // a policy that nothing compiled
		verdict.add(p.name, checkFacts, proof{detail: "the policy's requirement of evidence is not compiled"})
		return
	}
	subject, documents, problem := p.subjectOfParts(img, facts, parts)
	if problem != "" {
		verdict.add(p.name, checkFacts, proof{detail: problem})
		return
	}
	vars := map[string]any{varRepository: img.Repository, varDigest: img.Digest}
	outcome := p.gate.judge(subject, documents, vars, now)
	for _, check := range outcome.checks {
		verdict.add(p.name, check.Name, proof{passed: check.Passed, detail: check.Detail})
	}
	for _, bundle := range outcome.bundles {
		if bundle != "" && !slices.Contains(verdict.Evidence, bundle) {
			verdict.Evidence = append(verdict.Evidence, bundle)
		}
	}
	if len(outcome.checks) == 0 {
		verdict.add(p.name, checkFacts, proof{detail: fmt.Sprintf("nothing was judged of %d statements", len(documents))})
	}
}
