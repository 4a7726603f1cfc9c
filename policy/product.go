// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/url"
	"slices"
	"strings"
)

// What VEX calls a product, held against what is judged. Names are made by many programs: package URLs with or without a digest, digests,
// references, BOM-Links, or an address that only its owner understands.

// artifactNames is what an artifact can rightly be called.
type artifactNames struct {
	repository string // as the registry names it, without the host
	boms       []lentBOM
}

// lentBOM is a CycloneDX document, "<serial>/<version>", that is attested about a digest and counts.
type lentBOM struct{ serial, digest string }

// hasBOM reports whether a BOM-Link is to a document about one of the digests. Another version of the document is another document.
func (n artifactNames) hasBOM(serial string, digests []string) bool {
	return slices.ContainsFunc(n.boms, func(b lentBOM) bool { return b.serial == serial && slices.Contains(digests, b.digest) })
}

// component is a product or a part of one by one of its names, read once for all findings.
type component struct {
	text string
	purl packageURL
	// versions are those of a package that the name itself limits: see takeRange.
	versions versions
	// isPURL: of text; broken: text wants to be one.
	isPURL, broken bool
	// serial is set of a BOM-Link ("urn:cdx:serial/version#ref"); its ref is in purl, if that is what it is.
	serial, ref string
}

func newComponent(text string) component {
	c := component{text: text}
	if link, ok := strings.CutPrefix(text, "urn:cdx:"); ok {
		var escaped string
		c.serial, escaped, _ = strings.Cut(link, "#")
		c.serial = strings.ToLower(c.serial)
		if ref, err := url.PathUnescape(escaped); err == nil {
			c.ref = ref
		}
		c.purl, c.isPURL = parsePURL(c.ref)
		return c
	}
	c.purl, c.isPURL = parsePURL(text)
	c.broken = !c.isPURL && strings.HasPrefix(text, "pkg:")
	if c.isPURL && !c.isImage() {
		c.versions = c.purl.takeRange()
	}
	return c
}

func newComponents(names []string) []component {
	out := make([]component, len(names))
	for i, name := range names {
		out[i] = newComponent(name)
	}
	return out
}

// isImage reports whether the name is of the kind that images have.
func (c *component) isImage() bool {
	return c.isPURL && (c.purl.kind == "oci" || c.purl.kind == "docker")
}

// meansArtifact tells whether the name is the artifact's, whose digests are its own and that of the index it is in. A name without a
// digest is that of all versions. A tag says nothing certain: tags move.
func (c *component) meansArtifact(names artifactNames, digests []string) match {
	switch {
	case c.serial != "":
		return c.linksTo(names, digests)
	case c.isImage():
		return c.imageMeans(names, digests)
	case c.isPURL:
		return matchNo // a package
	case c.broken:
		return matchPerhaps
	}
	name, digest, pinned := strings.Cut(c.text, "@sha256:")
	if !pinned {
		digest, pinned = strings.CutPrefix(c.text, "sha256:")
	}
	switch {
	case pinned && slices.Contains(digests, "sha256:"+strings.ToLower(digest)):
		return matchYes
	case pinned:
		return matchNo
	case names.isAt(name):
		return matchYes
	}
	return matchPerhaps // a name that only its owner understands
}

// isAt reports whether a reference without tag is the repository's, with or without its host. What is before it must be a host: "globex/app"
// is not "app".
func (n artifactNames) isAt(reference string) bool {
	if n.repository == "" {
		return false
	}
	host, isEnd := strings.CutSuffix(reference, "/"+n.repository)
	return reference == n.repository || isEnd && isRegistry(host)
}

// endsIn reports whether a package URL's name is the repository's: its last part, as the specification of type oci says, or all of it, with
// or without its host, as syft writes it. What has more than one part is a path, and another path is another repository.
func (n artifactNames) endsIn(name string) bool {
	if !strings.Contains(name, "/") {
		return n.repository != "" && name == n.repository[strings.LastIndexByte(n.repository, '/')+1:]
	}
	return n.isAt(name)
}

// isRegistry tells a registry from the first part of a repository, as container runtimes do.
func isRegistry(s string) bool {
	return !strings.Contains(s, "/") && (strings.ContainsAny(s, ".:") || s == "localhost")
}

// linksTo tells whether a BOM-Link is to the artifact itself: to a whole document about it.
func (c *component) linksTo(names artifactNames, digests []string) match {
	switch {
	case !names.hasBOM(c.serial, digests):
		return matchNo
	case c.ref == "":
		return matchYes
	case c.isImage():
		return matchPerhaps
	}
	return matchNo // to a component
}

func (c *component) imageMeans(names artifactNames, digests []string) match {
	p := &c.purl
	if strings.HasPrefix(p.version, "sha256:") {
		if slices.Contains(digests, strings.ToLower(p.version)) {
			return matchYes
		}
		return matchNo
	}
	if !names.endsIn(p.name) {
		return matchNo
	}
	m := matchYes
	if p.kind == "docker" && p.name != names.repository && !strings.Contains(p.name, "/") && p.qualifier("repository_url") == "" {
		m = matchPerhaps // by its specification Docker Hub's own image of that name
	}
	for _, q := range p.qualifiers {
		if q.key != "repository_url" {
			m = matchPerhaps // a tag, an architecture: narrower, and nothing that is proven
			continue
		}
		at := strings.TrimSuffix(q.value, "/")
		if !names.isAt(at) && !names.isAt(at+"/"+p.name) {
			return matchNo
		}
	}
	// Without repository_url this is every repository with that last part, and without a version every version of the image. It is certain all
	// the same which one is meant: the statement is signed about the digest (excuses.of looks at no other), and its author may attest about this
	// repository. The name has to agree with that; it does not have to prove it.
	if p.version != "" {
		m = matchPerhaps
	}
	return m
}

// meansPackage tells whether the name is that of the finding's package.
func (c *component) meansPackage(f *Finding, found *packageURL, known bool, names artifactNames, digests []string) match {
	if c.serial != "" && !names.hasBOM(c.serial, digests) {
		return matchNo
	}
	switch {
	case c.isPURL && known:
		m := c.purl.means(found)
		if m != matchNo {
			m = min(m, c.versions.mean(found.kind, versionOf(f, found)))
		}
		return m
	case c.isPURL && f.Package != "" && !strings.EqualFold(c.purl.name[strings.LastIndexByte(c.purl.name, '/')+1:], f.Package) && !strings.EqualFold(c.purl.name, f.Package):
		return matchNo
	}
	return matchPerhaps
}
