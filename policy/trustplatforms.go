// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"
)

// What a cluster runs is named by the digest of an index, as a rule, and each node takes the image for its platform. A trust policy can ask
// for evidence about these images, as a signing policy can. The signature is always that of the digest that was named.

// Parts are what an image consists of, for a policy that reads them.
type Parts struct {
	// Index says that the image is an index; else it is one platform's and has no platforms.
	Index     bool
	Platforms []Part
}

// Part is one image of an index.
type Part struct {
	Digest string
	Names  []string // what the index says that it is for: os/architecture[/variant]
	Facts  []Fact   // that were proven about this digest
}

// ReadsPlatforms reports whether the policy judges evidence about the images of an index. Then EvaluateParts needs its Parts.
func (p *TrustPolicy) ReadsPlatforms() bool {
	return p.ReadsEvidence() && p.spec.Require.Evidence.ofPlatforms()
}

// AsksAbout reports whether evidence about an image of an index matters, by what the index says that it is for, and all its images are: a caller need
// not look for any about the others.
func (p *TrustPolicy) AsksAbout(names []string, all [][]string) bool {
	return p.ReadsPlatforms() && p.gate.asks(names, all)
}

// maxParts bounds the images of one index.
const maxParts = 64

// EvaluateParts is Evaluate for a policy that reads platforms. Without parts nobody knows whether the image is an index, and such a policy
// denies.
func (p *TrustPolicy) EvaluateParts(img Image, facts []Fact, parts *Parts, now time.Time) Verdict {
	if why := p.unjudgeable(img, facts, now); why.Name != "" {
		why.Rule = p.Name()
		return Verdict{Checks: []Check{why}}
	}
	verdict := Verdict{allowed: true} // taken back by the first requirement that is not proven
	verdict.add(p.name, checkImage, proof{passed: true, detail: shown(img.name())})
	verdict.add(p.name, checkSignature, p.signature(facts, now))
	for _, requirement := range p.spec.Require.Attestations {
		verdict.add(p.name, requirement.Name, p.attestation(requirement, facts, now))
	}
	p.judgeEvidence(&verdict, img, facts, parts, now)
	return verdict
}

// subjectOfParts is what evidence has to be about, and the documents about it. It returns why there is none.
func (p *TrustPolicy) subjectOfParts(img Image, facts []Fact, parts *Parts) (s gateSubject, documents []Document, problem string) {
	s = gateSubject{repository: img.Repository, digest: img.Digest}
	documents = p.documentsOf(facts, img.Digest)
	if !p.ReadsPlatforms() {
		return s, documents, ""
	}
	if parts == nil {
		return s, nil, "the policy asks for evidence about the images of an index, and whether this is one is not known here (hint: ask with the registry at hand)"
	}
	total := len(facts)
	s.index, s.names = parts.Index, make(map[string][]string, len(parts.Platforms))
	for _, part := range parts.Platforms {
		total += len(part.Facts)
		switch {
		case !parts.Index || !isDigest(part.Digest) || slices.Contains(s.platforms, part.Digest):
			return s, nil, fmt.Sprintf("image %s of the index is no image, or is there twice", shown(part.Digest))
		case total > maxFacts || len(s.platforms) == maxParts:
			return s, nil, fmt.Sprintf("the index has more than %d images, or more than %d verified bundles", maxParts, maxFacts)
		}
		s.platforms, s.names[part.Digest] = append(s.platforms, part.Digest), part.Names
		documents = append(documents, p.documentsOf(part.Facts, part.Digest)...)
	}
	return s, documents, ""
}

// documentsOf is what accepted signers say about a digest. Facts whose signer is not accepted do not count, whatever they say.
func (p *TrustPolicy) documentsOf(facts []Fact, digest string) []Document {
	var documents []Document
	for _, fact := range facts {
		if name, _ := p.signerOf(fact, p.spec.Require.Evidence.Signers); name != "" && fact.Document != nil && fact.Document.Digest == digest {
			documents = append(documents, *fact.Document)
		}
	}
	return documents
}
