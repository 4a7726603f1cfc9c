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
	if len(g.authors) > 0 { // whose statements may name the artifact by its SBOM
		kinds = append(kinds, EvidenceSBOM)
	}
	for _, kind := range kinds {
		limits := g.report(kind)
		n.readDatabase(kind, limits)
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

// readDatabase keeps the shortest time for which a scanner's database will do.
func (n *Needs) readDatabase(kind string, limits *reportLimits) {
	if limits == nil || limits.maxDatabase == 0 {
		return
	}
	if known, ok := n.Databases[kind]; ok && known <= limits.maxDatabase {
		return
	}
	if n.Databases == nil {
		n.Databases = make(map[string]time.Duration)
	}
	n.Databases[kind] = limits.maxDatabase
}

// Sieve keeps, of all evidence about an artifact, what a decision can depend on: every VEX document; of what says that something is wrong and is
// not too old to say it, what was attested for a run, because the documents of one run are judged together, and of each tool every report down to
// one that will do for all gates, because the others take nothing back; and of the rest the newest that counts, of each kind and digest. A caller that reads evidence newest first may stop when Wants says so: an older document changes no decision. A sieve is
// for one goroutine.
type Sieve struct {
	needs Needs
	now   time.Time
	size  int64
	all   []Document // what is kept whatever else there is
	best  map[sieved]Document
	lines map[sieved]*reportLine
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
}

// reportLine are the reports of one tool that speak for themselves.
type reportLine struct {
	sure *Document // the newest that is sufficient for every gate but for its age; nil: none
	rest []Document
}

// NewSieve returns an empty sieve for a decision that needs no more than that. Zero needs read nothing.
func NewSieve(needs Needs, now time.Time) *Sieve {
	return &Sieve{needs: needs, now: now, best: make(map[sieved]Document), lines: make(map[sieved]*reportLine), ignored: make(map[sieved][]Document), heard: make(map[sieved]bool)}
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
	speaks := kindOf(d.Kind).badNews && !s.isStale(d.Kind, d.news())
	if d.Kind == EvidenceVEX || (speaks && d.Run != "") {
		s.all = append(s.all, d)
		s.size += d.size()
		return
	}
	key.tool = d.tool()
	if speaks && d.Scan != nil {
		s.addReport(key, d)
		return
	}
	if kept, ok := s.best[key]; !ok || d.compareNews(&kept) > 0 {
		s.best[key] = d
		s.size += d.size()
		if ok {
			s.size -= kept.size()
		}
	}
}

// addReport keeps a report down to the newest that is sure to be sufficient: of a tool whose newest is not, older ones still count, down to the
// first that is (gate.stillKnown). One that is sufficient for no gate and has found nothing adds nothing to that, unless it is the newest.
func (s *Sieve) addReport(key sieved, d Document) {
	line := s.lines[key]
	if line == nil {
		line = &reportLine{}
		s.lines[key] = line
	}
	newer := func(k Document) bool { return k.compareNews(&d) >= 0 }
	switch {
	case line.sure != nil && newer(*line.sure):
		return
	case s.isEmpty(&d) && slices.ContainsFunc(line.rest, newer):
		return
	}
	sure := s.isSure(&d)
	line.rest = slices.DeleteFunc(line.rest, func(k Document) bool {
		gone := !newer(k) && (sure || s.isEmpty(&k))
		if gone {
			s.size -= k.size()
		}
		return gone
	})
	s.size += d.size()
	if !sure {
		line.rest = append(line.rest, d)
		return
	}
	if line.sure != nil {
		s.size -= line.sure.size()
	}
	line.sure = &d
}

// isEmpty reports whether a report is sufficient for no gate, and says nothing either.
func (s *Sieve) isEmpty(d *Document) bool {
	_, timed := s.needs.Ages[d.Kind] // every gate wants to know when it was made
	hopeless := d.Scan.Nothing != "" || d.Scan.FinishedAt.After(d.At.Add(clockTolerance)) || (timed && d.Scan.FinishedAt.IsZero())
	return hopeless && len(d.Scan.Findings) == 0
}

// isSure reports whether a report is sufficient for every gate, but for its age.
func (s *Sieve) isSure(d *Document) bool {
	limits := &reportLimits{maxAge: maxAge, maxDatabase: s.needs.Databases[d.Kind]}
	strictest := &gate{reports: map[string]*reportLimits{d.Kind: limits}}
	return strictest.insufficientReport(d, s.now) == ""
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
	case kindOf(kind).badNews: // no report is news after it was logged
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
	for _, line := range s.lines {
		if all = append(all, line.rest...); line.sure != nil {
			all = append(all, *line.sure)
		}
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
