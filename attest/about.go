// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/hex"
	"slices"
	"strings"
)

// What a document is about. The statement's subject says that, and some reports
// say it, too: by the digest under which their scanner found the image in a
// registry. Then both must agree, or the report is another image's.
//
// Only registry digests are compared. A scanner that reads an image from a
// container engine or a file knows the digest of its configuration (Docker's image
// id), or works out a manifest that no registry has (syft): these say nothing for
// or against, so they are not looked at.

// aboutPlaces is where documents name registry digests, by format.
var aboutPlaces = map[string]string{
	"trivy": "$.Metadata.RepoDigests", "grype": "$.source.target.repoDigests", "clair": "$.manifest_hash", "dockle": "$.image",
	"gitlab": "$.vulnerabilities[*].location.image", "sarif": "$.runs[*].properties.repoDigests", "in-toto-vulns": "$." + scanMember + ".digests",
	"cyclonedx": "$.metadata.component", cyclonedxXMLName: "/bom/metadata/component", "syft": "$.source.metadata.repoDigests",
	"spdx": "$.packages[*].externalRefs", tagValueName: "ExternalRef", "spdx3": "$.@graph[*].software_packageUrl", "sbom-reference": "$.sbom.digests",
}

// Names returns the registry digests that a document names for what it is about,
// and where: one of them is the artifact's. None: it is about whatever its
// statement is about.
func (ev Evidence) Names() (digests []string, place string) {
	switch {
	case ev.Scan != nil:
		digests = ev.Scan.Digests
	case ev.Check != nil:
		digests = ev.Check.Digests
	case ev.SBOM != nil:
		digests = ev.SBOM.Digests
	}
	if len(digests) == 0 {
		return nil, ""
	}
	place = aboutPlaces[ev.Format]
	if ev.Within != "" { // a predicate that wraps a report
		place = ev.Within + strings.TrimPrefix(place, "$")
	}
	return digests, place
}

// About tells whether a document is about one of these digests: an artifact's, and
// those of its platforms or of the index that it is in. One that names no digest
// is about whatever its statement is about. The error is an ErrOtherArtifact and
// an ErrEvidence.
func (ev Evidence) About(digests ...Digest) error {
	names, place := ev.Names()
	if len(names) == 0 {
		return nil
	}
	var shown, want []string
	for _, name := range names {
		if slices.Contains(digests, Digest(name)) {
			return nil
		}
		if !isDigest(name) {
			name = quote(name)
		}
		shown = append(shown, name)
	}
	for _, d := range digests {
		want = append(want, string(d))
	}
	return &FormatError{
		Format: ev.Format, Place: place, Want: "is about " + strings.Join(shown, " or ") + ", not about " + strings.Join(want, " or "), cause: ErrOtherArtifact,
	}
}

// isDigest tells whether a text is a digest of some algorithm.
func isDigest(s string) bool {
	algorithm, digits, ok := strings.Cut(s, ":")
	_, err := hex.DecodeString(digits)
	return ok && algorithm != "" && digits != "" && err == nil && strings.Trim(algorithm, "abcdefghijklmnopqrstuvwxyz0123456789+._-") == ""
}

// oneSpelling spells a digest as registries do. What is no digest stays as it is,
// and equals none.
func oneSpelling(digest string) string {
	if folded := strings.ToLower(strings.TrimSpace(digest)); isDigest(folded) {
		return folded
	}
	return digest
}

// digestIn returns the digest, of whatever algorithm, in a digest, a reference or
// an OCI package URL, in one spelling; "" if there is none.
func digestIn(name string) string {
	if p, ok := parsePURL(name); ok {
		if p.kind != "oci" && p.kind != "docker" {
			return ""
		}
		name = p.version
	} else if _, after, ok := strings.Cut(name, "@"); ok {
		name = after
	}
	if name = oneSpelling(name); isDigest(name) && len(name) <= maxText {
		return name
	}
	return ""
}

// digestsAmong returns the digests that references repository@sha256:… name.
// What follows the "@" and is none stays: it names something else.
func digestsAmong(references []string) []string {
	var all []string
	for _, r := range references {
		if _, digest, ok := strings.Cut(r, "@"); ok {
			all = append(all, keep(oneSpelling(digest)))
		}
	}
	return all
}

// named sets which digests a report names.
func (s *Scan) named(digests []string) {
	s.Digests = keepUnique(slices.Clone(digests), "", maxDigests)
}

// bomNames collects what an SBOM says about the artifact's digest.
type bomNames struct {
	all     []string // for people
	certain []string // registry digests
	// purls are those of package URLs: syft works out a manifest for an image that
	// it has not read from a registry.
	purls []namedBy
	// described are the ids of what an SPDX document is about.
	described []string
}

// namedBy is a digest that a package of a document names.
type namedBy struct {
	id, digest string
	root       bool // the document is about the package, whatever its id
	registry   bool // with the repository where it is
}

// about notes all digests in texts, of which people may want to know.
func (n *bomNames) about(names ...string) {
	for _, name := range names {
		if digest, err := ParseDigest(digestIn(name)); err == nil && len(n.all) < maxDigests {
			n.all = append(n.all, string(digest))
		}
	}
}

// pulled notes references repository@digest under which a registry has the image.
func (n *bomNames) pulled(references []string) {
	for _, digest := range digestsAmong(references) {
		if digest != "" && len(n.certain) < maxDigests {
			n.certain = append(n.certain, digest)
		}
	}
}

// purl notes a package URL of a package that may be what the document is about. Of
// pkg:oci the version is the manifest's digest; of pkg:docker it may be the image
// id. The specification of both: github.com/package-url/purl-spec/types.
func (n *bomNames) purl(id string, root bool, purl string) {
	p, ok := parsePURL(purl)
	digest := digestIn(purl)
	if !ok || p.kind != "oci" || digest == "" || len(n.purls) == maxDigests {
		return
	}
	_, qualifiers, _ := strings.Cut(purl, "?")
	n.purls = append(n.purls, namedBy{id, digest, root, strings.HasPrefix(qualifiers, "repository_url=") || strings.Contains(qualifiers, "&repository_url=")})
}

// describes notes what an SPDX document is about. Other images in it are parts:
// the base, or what a release consists of.
func (n *bomNames) describes(ids ...string) {
	for _, id := range ids {
		if id != "" && len(n.described) < maxDigests {
			n.described = append(n.described, id)
		}
	}
}

// settle says which registry digests the document names for certain. tool is what
// has made it.
func (n *bomNames) settle(s *SBOM) {
	syft := strings.Contains(strings.ToLower(s.Tool), "syft")
	for _, p := range n.purls {
		if (p.root || slices.Contains(n.described, p.id)) && (p.registry || !syft) {
			n.certain = append(n.certain, p.digest)
		}
	}
	s.Digests, s.Digest = keepUnique(n.certain, "", maxDigests), onlyOne(n.all)
}

// onlyOne returns the digest that all name. Several are those of an index and of an
// image: none of them is the one.
func onlyOne(digests []string) string {
	for _, d := range digests {
		if d != digests[0] {
			return ""
		}
	}
	if len(digests) == 0 {
		return ""
	}
	return digests[0]
}
