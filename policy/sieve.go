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
	if g == nil { // nothing that was not compiled holds
		return
	}
	kinds := g.kinds()
	if g.spec.Scan != nil {
		kinds = append(kinds, EvidenceVEX)
	}
	for _, kind := range kinds {
		limits := g.report(kind)
		bounded := limits != nil && limits.maxAge > 0
		age, known := n.Ages[kind]
		switch {
		case !slices.Contains(n.Kinds, kind):
			n.Kinds = append(n.Kinds, kind)
			if !bounded {
				continue
			}
			if n.Ages == nil {
				n.Ages = make(map[string]time.Duration)
			}
			n.Ages[kind] = limits.maxAge
		case !bounded:
			delete(n.Ages, kind)
		case known:
			n.Ages[kind] = max(age, limits.maxAge)
		}
	}
}

// Sieve keeps, of all evidence about an artifact, what a decision can depend on: every VEX document; of what says that something is wrong,
// everything that is not too old to say it, because the documents of one run are judged together; and of the rest the newest that counts, of each
// kind and digest. A caller that reads evidence newest first may stop when Wants says so: an older document changes no decision. A sieve is
// for one goroutine.
type Sieve struct {
	needs Needs
	now   time.Time
	size  int64
	all   []Document // what is kept whatever else there is
	best  map[sieved]Document
	// ignored are documents that count for nothing; those that can be read and those that cannot are counted apart, because the former
	// can tell what an index's evidence is about.
	ignored map[sieved][]Document
	// heard are kinds and digests of which a document counts.
	heard map[sieved]bool
}

// sieved is what one document is kept of.
type sieved struct {
	kind, digest, tool string
	unreadable         bool
	// doubtful: a report that for some gate or for all shows nothing, and so hides none of its tool.
	doubtful bool
}

// NewSieve returns an empty sieve for a decision that needs no more than that. Zero needs read nothing.
func NewSieve(needs Needs, now time.Time) *Sieve {
	return &Sieve{needs: needs, now: now, best: make(map[sieved]Document), ignored: make(map[sieved][]Document), heard: make(map[sieved]bool)}
}

// Add takes a document in, in any order.
func (s *Sieve) Add(d Document) {
	for _, one := range d.byKind() {
		s.add(one)
	}
}

func (s *Sieve) add(d Document) {
	key := sieved{kind: d.Kind, digest: d.Digest}
	switch {
	case !slices.Contains(s.needs.Kinds, d.Kind):
		return
	case d.Kind != EvidenceVEX && (*gate)(nil).unusable(&d, s.now) != "": // which depends on no gate
		key.unreadable = d.Problem != ""
		if kept := s.ignored[key]; len(kept) < maxIgnored {
			s.ignored[key] = append(kept, d)
			s.size += d.size()
		}
		return
	}
	s.heard[key] = true
	// Without a run a document speaks for itself, and one that is too old says nothing but that.
	if d.Kind == EvidenceVEX || (hasBadNews(d.Kind) && d.Run != "" && !s.isStale(d.Kind, d.news())) {
		s.all = append(s.all, d)
		s.size += d.size()
		return
	}
	key.tool, key.doubtful = d.tool(), d.isDoubtful()
	if kept, ok := s.best[key]; !ok || d.compareNews(&kept) > 0 {
		s.best[key] = d
		s.size += d.size()
		if ok {
			s.size -= kept.size()
		}
	}
}

// isDoubtful reports whether a report can be insufficient for another reason than its age.
func (d *Document) isDoubtful() bool {
	return d.Scan != nil && (d.Scan.Nothing != "" || d.Scan.FinishedAt.IsZero() || d.Scan.FinishedAt.After(d.At.Add(clockTolerance)))
}

// isStale reports whether what became known at that time is too old for every gate.
func (s *Sieve) isStale(kind string, news time.Time) bool {
	age, bounded := s.needs.Ages[kind]
	return bounded && s.now.Sub(news) > age
}

// Wants reports whether a document of a kind about a digest, which was logged at that time or earlier, could change a decision.
func (s *Sieve) Wants(kind, digest string, logged time.Time) bool {
	key := sieved{kind: kind, digest: digest}
	switch {
	case !slices.Contains(s.needs.Kinds, kind):
		return false
	case kind == EvidenceVEX:
		return true
	case hasBadNews(kind): // no report is news after it was logged
		return !s.heard[key] || !s.isStale(kind, logged)
	}
	d, ok := s.best[key]
	return !ok || !d.At.After(logged) // than what is asked for, with nothing of the same time left out
}

// Documents returns what was kept, in no order.
func (s *Sieve) Documents() []Document {
	all := slices.Clone(s.all)
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
			texts(p.IDs, p.Subcomponents, p.Versions)
		}
	}
	return int64(n)
}
