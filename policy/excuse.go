// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
)

// excuses answers which findings VEX statements of allowed authors excuse. Statements are found by vulnerability, so that findings times
// statements is never walked.
type excuses map[string][]excuse // by folded id or alias

type excuse struct {
	statement *VEXStatement
	author    string
	at        time.Time // of the document, proven
	logIndex  int64
	digests   map[string]bool // of the artifacts in question
}

// newExcuses keeps the statements of the documents that are about one of the digests and whose author the gate allows.
func (g *gate) newExcuses(documents []Document, digests []string) excuses {
	x := make(excuses)
	about := make(map[string]bool, len(digests))
	for _, d := range digests {
		about[d] = true
	}
	for i := range documents {
		d := &documents[i]
		if d.Kind != EvidenceVEX || d.Problem != "" || !about[d.Digest] || !g.allows(d.Author) {
			continue
		}
		for j := range d.VEX {
			s := &d.VEX[j]
			e := excuse{statement: s, author: d.Author, at: d.At, logIndex: d.LogIndex, digests: about}
			for _, id := range append([]string{s.Vulnerability}, s.Aliases...) {
				id = strings.ToLower(id)
				x[id] = append(x[id], e)
			}
		}
	}
	return x
}

// of returns who excuses the finding and why, or "". Of several statements about it the newest counts, by the log's time of its document and
// then by its own: a later "affected" takes an earlier "not_affected" back. Under investigation is no excuse.
func (x excuses) of(f *Finding) string {
	if len(x) == 0 {
		return ""
	}
	newest := x.newest(nil, f.ID, f)
	for _, alias := range f.Aliases {
		newest = x.newest(newest, alias, f)
	}
	if newest == nil || (newest.statement.Status != "not_affected" && newest.statement.Status != "fixed") {
		return ""
	}
	why := newest.statement.Status
	if newest.statement.Justification != "" {
		why += " (" + newest.statement.Justification + ")"
	}
	return why + " by " + newest.author
}

// newest returns the newest statement about a vulnerability and the finding's package, if it is newer than the one at hand.
func (x excuses) newest(known *excuse, id string, f *Finding) *excuse {
	candidates := x[strings.ToLower(id)]
	for i := range candidates {
		if c := &candidates[i]; (known == nil || c.newer(known)) && c.isAbout(f) {
			known = c
		}
	}
	return known
}

func (e *excuse) newer(than *excuse) bool {
	return cmp.Or(e.at.Compare(than.at), cmp.Compare(e.logIndex, than.logIndex), e.statement.At.Compare(than.statement.At)) > 0
}

// isAbout reports whether the statement speaks of the finding's package: as a part of a product that may be the artifact, or as the
// product itself.
func (e *excuse) isAbout(f *Finding) bool {
	if len(e.statement.Products) == 0 {
		return true // the document is signed about the artifact's digest
	}
	return slices.ContainsFunc(e.statement.Products, func(p VEXProduct) bool {
		if slices.ContainsFunc(p.IDs, func(id string) bool { return samePackage(id, f.PURL) }) {
			return len(p.Subcomponents) == 0
		}
		return slices.ContainsFunc(p.IDs, e.isArtifact) &&
			(len(p.Subcomponents) == 0 || slices.ContainsFunc(p.Subcomponents, func(id string) bool { return samePackage(id, f.PURL) }))
	})
}

// isArtifact reports whether a product can be the artifact. The statement's signed subject is its digest already; a product that names
// another digest, or a package, is something else.
func (e *excuse) isArtifact(id string) bool {
	p, ok := parsePURL(id)
	if !ok {
		return !strings.HasPrefix(id, "pkg:") // some other name for it
	}
	return (p.kind == "oci" || p.kind == "docker") && (!strings.HasPrefix(p.version, "sha256:") || e.digests[p.version])
}

// packageURL is a purl without qualifiers and subpath.
type packageURL struct{ kind, name, version string }

// parsePURL reads "pkg:type/namespace/name@version?qualifiers#subpath". Type and, for what is compared here, the rest of the name keep
// their case but for the type.
// Source: https://github.com/package-url/purl-spec
func parsePURL(s string) (packageURL, bool) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return packageURL{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	kind, name, ok := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if !ok || kind == "" {
		return packageURL{}, false
	}
	p := packageURL{kind: strings.ToLower(kind)}
	// A version's "@" is the last one; npm's scopes have theirs at the front.
	if at := strings.LastIndexByte(name, '@'); at > strings.LastIndexByte(name, '/') && at > 0 {
		name, p.version = name[:at], name[at+1:]
	}
	var err error
	if p.name, err = url.PathUnescape(strings.Trim(name, "/")); err != nil || p.name == "" {
		return packageURL{}, false
	}
	if p.version, err = url.PathUnescape(p.version); err != nil {
		return packageURL{}, false
	}
	return p, true
}

// samePackage reports whether a statement's purl means the package with the other one. Without a version it means all of them;
// qualifiers decide nothing.
func samePackage(statement, finding string) bool {
	if statement == "" || finding == "" {
		return false
	}
	a, ok := parsePURL(statement)
	b, known := parsePURL(finding)
	return ok && known && a.kind == b.kind && a.name == b.name && (a.version == "" || a.version == b.version)
}
