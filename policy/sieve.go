// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"
)

// maxIgnored bounds, for each kind and digest, the documents that a Sieve keeps though they count for nothing: a refusal names them.
const maxIgnored = 8

// read adds what a gate reads.
func (n *Needs) read(g *gate) {
	add := func(to *[]string, words ...string) {
		for _, word := range words {
			if !slices.Contains(*to, word) {
				*to = append(*to, word)
			}
		}
	}
	if g == nil { // nothing that was not compiled holds
		return
	}
	add(&n.Kinds, g.kinds()...)
	if g.spec.Scan != nil {
		add(&n.Kinds, EvidenceVEX)
		add(&n.Tools, g.spec.Scan.Tools...)
	}
}

// Sieve keeps, of all evidence about an artifact, what a decision can depend on: the newest document that counts, of each kind, digest and
// scanner, and every VEX document. That is little, however much was attested, and a caller that reads evidence newest first may stop when
// Wants says so: an older document changes no decision. A sieve is for one goroutine.
type Sieve struct {
	needs Needs
	now   time.Time
	size  int64
	vex   []Document
	best  map[sieved]Document
	// ignored are documents that count for nothing; those that can be read and those that cannot are counted apart, because the former
	// can tell what an index's evidence is about.
	ignored map[sieved][]Document
}

// sieved is what one document is kept of.
type sieved struct {
	kind, digest, tool string
	unreadable         bool
}

// NewSieve returns an empty sieve for a decision that needs no more than that. Zero needs read nothing.
func NewSieve(needs Needs, now time.Time) *Sieve {
	return &Sieve{needs: needs, now: now, best: make(map[sieved]Document), ignored: make(map[sieved][]Document)}
}

// Add takes a document in, in any order.
func (s *Sieve) Add(d Document) {
	key := sieved{kind: d.Kind, digest: d.Digest}
	switch {
	case !slices.Contains(s.needs.Kinds, d.Kind):
		return
	case d.Kind == EvidenceVEX:
		s.vex = append(s.vex, d)
		s.size += d.size()
		return
	case (*gate)(nil).unusable(&d, s.now) != "": // which depends on no gate
		key.unreadable = d.Problem != ""
		if kept := s.ignored[key]; len(kept) < maxIgnored {
			s.ignored[key] = append(kept, d)
			s.size += d.size()
		}
		return
	}
	if d.Scan != nil {
		key.tool = d.Scan.Tool
	}
	if kept, ok := s.best[key]; !ok || d.compareAge(&kept) > 0 {
		s.best[key] = d
		s.size += d.size()
		if ok {
			s.size -= kept.size()
		}
	}
}

// Wants reports whether a document of a kind about a digest, which was logged at that time or earlier, could change a decision.
func (s *Sieve) Wants(kind, digest string, logged time.Time) bool {
	if !slices.Contains(s.needs.Kinds, kind) {
		return false
	}
	newer := func(key sieved) bool { // than what is asked for, with nothing of the same time left out
		d, ok := s.best[key]
		return ok && d.At.After(logged)
	}
	switch kind {
	case EvidenceVEX:
		return true
	case EvidenceScan:
		for _, tool := range s.needs.Tools {
			if !newer(sieved{kind: kind, digest: digest, tool: tool}) {
				return true
			}
		}
		for key := range s.best { // a gate that names no scanner takes the newest, whoever made it
			if key.kind == kind && key.digest == digest && newer(key) {
				return false
			}
		}
		return true
	}
	return !newer(sieved{kind: kind, digest: digest})
}

// Documents returns what was kept, in no order.
func (s *Sieve) Documents() []Document {
	all := slices.Clone(s.vex)
	for _, d := range s.best {
		all = append(all, d)
	}
	for _, some := range s.ignored {
		all = append(all, some...)
	}
	return all
}

// Size estimates the bytes of memory that the documents take.
func (s *Sieve) Size() int64 { return s.size }

// Memory of parts of a document besides their texts: headers of strings and lists on 64 bits, rounded up.
const (
	sizeOfDocument = 512
	sizeOfItem     = 256
	sizeOfText     = 32
)

func (d *Document) size() int64 {
	n := sizeOfDocument + len(d.Problem)
	texts := func(lists ...[]string) {
		for _, list := range lists {
			for _, text := range list {
				n += sizeOfText + len(text)
			}
		}
	}
	if d.Scan != nil {
		for i := range d.Scan.Findings {
			f := &d.Scan.Findings[i]
			n += sizeOfItem
			texts(f.Aliases, f.Fixed, []string{f.ID, f.Package, f.Version, f.PURL, f.Said})
		}
	}
	for i := range d.VEX {
		v := &d.VEX[i]
		n += sizeOfItem
		texts(v.Aliases, []string{v.Vulnerability, v.Status, v.Justification})
		for _, p := range v.Products {
			n += sizeOfItem
			texts(p.IDs, p.Subcomponents)
		}
	}
	return int64(n)
}
