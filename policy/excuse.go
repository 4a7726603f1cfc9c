// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxComparisons bounds how often statements are held against findings in one decision, a second's work. What is not compared is not excused.
const maxComparisons = 4_000_000

// excuses answers which findings VEX statements of allowed authors excuse. Statements are found by vulnerability and their names are read
// once, so that findings times statements is never walked.
//
// Of all statements of allowed authors about one vulnerability of one package the newest counts, by the log's time of its document; inside
// a document by the statements' own times. Whatever is not older than an excuse and says anything else takes it back. So the order in which
// documents are found decides nothing, and of two that say the opposite at the same time the worse is believed.
type excuses struct {
	byID        map[string][]*excuse // by folded id or alias
	names       artifactNames
	index       string // the digest of what is judged: what is said of it is said of its platforms
	comparisons int
	around      []*excuse // of one finding; reused
	turn        int       // how many findings were asked about
}

// excuse is one statement.
type excuse struct {
	statement *VEXStatement
	document  *Document
	excuses   bool // or takes an excuse back
	why       string
	cves      map[string]bool // among its ids, folded
	cost      int             // names that are held against each finding
	turn      int             // of the finding that it was found for last
	products  []product
}

type product struct {
	names, parts []component
	versions     versions // of what the names name
}

// newExcuses keeps the statements of the documents that count and whose author the gate allows.
func (g *gate) newExcuses(s gateSubject, documents []Document, now time.Time) *excuses {
	x := &excuses{byID: make(map[string][]*excuse), names: artifactNames{repository: s.repository, boms: g.lentBOMs(s, documents, now)}, index: s.digest}
	for i := range documents {
		d := &documents[i]
		author, allowed := g.vexAuthor(d.Author)
		if d.Kind != EvidenceVEX || !allowed || g.unusable(d, now) != "" {
			continue
		}
		for j := range d.VEX {
			x.add(d, &d.VEX[j], author, now)
		}
	}
	return x
}

// lentBOMs are the CycloneDX documents by which BOM-Links may name what is judged: of each digest the SBOM that counts, and no other. An
// inventory that the gate would not accept, or that a newer one has replaced, names nothing.
func (g *gate) lentBOMs(s gateSubject, documents []Document, now time.Time) []lentBOM {
	if !slices.ContainsFunc(documents, func(d Document) bool { return d.SBOM != nil && d.SBOM.Serial != "" }) {
		return nil
	}
	var lent []lentBOM
	for _, digest := range append([]string{s.digest}, s.platforms...) {
		for _, d := range g.pick(asked{kind: EvidenceSBOM, target: digest}, documents, now).documents {
			if d.enough && d.SBOM.Serial != "" {
				lent = append(lent, lentBOM{d.SBOM.Serial, digest})
			}
		}
	}
	return lent
}

func (x *excuses) add(d *Document, s *VEXStatement, author vexAuthor, now time.Time) {
	e := &excuse{statement: s, document: d, excuses: s.Status == vexNotAffected || s.Status == vexFixed}
	if e.excuses && (author.isTooOld(d, s, now) || !author.mayExcuse(d)) {
		return
	}
	if e.excuses {
		e.why = s.Status
		if s.Justification != "" {
			e.why += " (" + s.Justification + ")"
		}
		e.why += " by " + d.Author
	}
	e.cost = 1
	for _, p := range s.Products {
		one := product{newComponents(p.IDs), newComponents(p.Subcomponents), versions{list: p.Versions}}
		e.cost += one.cost()
		e.products = append(e.products, one)
	}
	for _, id := range append([]string{s.Vulnerability}, s.Aliases...) {
		id = strings.ToLower(id)
		if isCVE(id) {
			if e.cves == nil {
				e.cves = make(map[string]bool)
			}
			e.cves[id] = true
		}
		if known := x.byID[id]; len(known) == 0 || known[len(known)-1] != e {
			x.byID[id] = append(known, e)
		}
	}
}

// The states of a vulnerability that excuse a finding. Every other word does not.
const (
	vexNotAffected = "not_affected"
	vexFixed       = "fixed"
)

func isCVE(folded string) bool { return strings.HasPrefix(folded, "cve-") }

// of returns who excuses a finding of a report about the digest and why, or "".
func (x *excuses) of(f *Finding, digest string) string {
	if len(x.byID) == 0 || (f.Kind != "" && f.Kind != findingVulnerability) {
		return ""
	}
	if x.ended() {
		return ""
	}
	x.turn++
	x.around = x.about(x.around[:0], f.ID)
	for _, alias := range f.Aliases {
		x.around = x.about(x.around, alias)
	}
	if len(x.around) == 0 {
		return ""
	}
	for _, e := range x.around {
		if x.comparisons += e.cost; len(e.cves) > 0 {
			x.comparisons += 1 + len(f.Aliases)
		}
	}
	if x.ended() {
		return ""
	}
	found, known := parsePURL(f.PURL)
	digests := []string{digest, x.index}
	x.around = slices.DeleteFunc(x.around, func(e *excuse) bool {
		if (e.document.Digest != digest && e.document.Digest != x.index) || !e.sameVulnerability(f) {
			return true
		}
		m := e.means(f, &found, known, x.names, digests)
		return m == matchNo || (e.excuses && m != matchYes)
	})
	if x.comparisons += x.pairs(); x.ended() {
		return ""
	}
	var best *excuse
	for _, e := range x.around {
		if e.excuses && (best == nil || e.compare(best) > 0) && !slices.ContainsFunc(x.around, e.isTakenBackBy) {
			best = e
		}
	}
	if best == nil {
		return ""
	}
	return best.why
}

// pairs is how many excuses have to be held against how many statements.
func (x *excuses) pairs() int {
	n := 0
	for _, e := range x.around {
		if e.excuses {
			n++
		}
	}
	return n * len(x.around)
}

// ended reports whether nothing is compared any more.
func (x *excuses) ended() bool { return x.comparisons > maxComparisons }

// vexUnread is said where findings were not held against all that speaks of them.
var vexUnread = fmt.Sprintf("VEX is not read for all findings: more than %d comparisons", maxComparisons)

// about appends the statements under an id that are not there yet. Of thousands of findings few have statements.
func (x *excuses) about(list []*excuse, id string) []*excuse {
	known := lookup(x.byID, id)
	x.comparisons += len(known)
	for _, e := range known {
		if e.turn != x.turn {
			e.turn = x.turn
			list = append(list, e)
		}
	}
	return list
}

// lookup finds an id in whatever case, without making garbage.
func lookup[T any](folded map[string]T, id string) T {
	var buffer [64]byte
	if len(id) > len(buffer) {
		return folded[strings.ToLower(id)]
	}
	n := copy(buffer[:], id)
	for i, c := range buffer[:n] {
		switch {
		case 'A' <= c && c <= 'Z':
			buffer[i] = c + 'a' - 'A'
		case c >= 0x80:
			return folded[strings.ToLower(id)]
		}
	}
	return folded[string(buffer[:n])]
}

// sameVulnerability tells apart what only shares an advisory: one of a distribution is about many CVEs. It was found by an id that both have.
func (e *excuse) sameVulnerability(f *Finding) bool {
	if len(e.cves) == 0 {
		return true
	}
	cves := false
	for i := -1; i < len(f.Aliases); i++ {
		id := f.ID
		if i >= 0 {
			id = f.Aliases[i]
		}
		if len(id) < len("cve-") || !strings.EqualFold(id[:len("cve-")], "cve-") {
			continue
		}
		cves = true
		if lookup(e.cves, id) {
			return true
		}
	}
	return !cves
}

// isTakenBackBy reports whether another statement about the same, which does not excuse, is not older.
func (e *excuse) isTakenBackBy(other *excuse) bool { return !other.excuses && !e.isNewer(other) }

// isNewer reports whether it is certain that the statement was made later. Indexes of two logs say nothing of each other.
func (e *excuse) isNewer(than *excuse) bool {
	if c := e.document.At.Compare(than.document.At); c != 0 {
		return c > 0
	}
	if e.document == than.document {
		return e.statement.At.After(than.statement.At)
	}
	return e.document.LogID == than.document.LogID && e.document.LogIndex > than.document.LogIndex
}

// compare orders excuses, so that always the same is named.
func (e *excuse) compare(than *excuse) int {
	return cmp.Or(e.document.compareAge(than.document), e.statement.At.Compare(than.statement.At), strings.Compare(e.why, than.why))
}

// means tells whether the statement speaks of the finding's package: as a part of a product that is the artifact, or as the product itself.
func (e *excuse) means(f *Finding, found *packageURL, known bool, names artifactNames, digests []string) match {
	if len(e.products) == 0 {
		return matchYes // the document is signed about the artifact's digest
	}
	best := matchNo
	for i := range e.products {
		p := &e.products[i]
		if best = max(best, p.means(f, found, known, names, digests)); best == matchYes {
			break
		}
	}
	return best
}

// cost is how much is held against each finding.
func (p *product) cost() int {
	n := p.versions.cost()
	for _, list := range [][]component{p.names, p.parts} {
		for i := range list {
			n += 1 + list[i].versions.cost()
		}
	}
	return n
}

func (p *product) means(f *Finding, found *packageURL, known bool, names artifactNames, digests []string) match {
	artifact, itself := matchNo, matchNo
	for i := range p.names {
		c := &p.names[i]
		m := c.meansArtifact(names, digests)
		if m == matchNo && c.isImage() {
			return matchNo // whatever else it is called: another image
		}
		artifact = max(artifact, min(m, p.versions.meanImage(digests)))
		if c.isPURL && !c.isImage() {
			itself = max(itself, c.meansPackage(f, found, known, names, digests))
		}
	}
	if known && itself != matchNo {
		itself = min(itself, p.versions.mean(found.kind, versionOf(f, found)))
	}
	if len(p.parts) == 0 {
		return max(artifact, itself)
	}
	part := matchNo
	for i := range p.parts {
		part = max(part, p.parts[i].meansPackage(f, found, known, names, digests))
	}
	// Of a package that is the product itself only a part is meant; nobody can say which.
	return max(min(artifact, part), min(itself, matchPerhaps))
}
