// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/url"
	"slices"
	"strings"
)

// packageURL is a package URL taken apart, decoded and in one spelling.
type packageURL struct {
	kind, name, version string // name with its namespace
	subpath             string
	qualifiers          []qualifier
}

type qualifier struct{ key, value string }

// maxQualifiers bounds what is compared: the specification knows about twenty.
const maxQualifiers = 32

// lowerCaseTypes are those whose names mean the same in any case.
// Source: https://github.com/package-url/purl-spec, types.
var lowerCaseTypes = []string{
	"alpm", "apk", "bitbucket", "bitnami", "composer", "deb", "docker", "github", "golang", "hex", "luarocks", "npm", "oci", "pub", "pypi", "qpkg",
}

// parsePURL reads "pkg:type/namespace/name@version?qualifiers#subpath".
// Source: https://github.com/package-url/purl-spec
func parsePURL(s string) (p packageURL, ok bool) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return p, false
	}
	rest, subpath, _ := strings.Cut(rest, "#")
	rest, qualifiers, _ := strings.Cut(rest, "?")
	kind, name, ok := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if !ok || kind == "" {
		return p, false
	}
	p.kind = strings.ToLower(kind)
	version := ""
	name = strings.TrimRight(name, "/") // of "a@1/", too, 1 is the version
	// A version's "@" is the last one; npm's scopes have theirs at the front.
	if at := strings.LastIndexByte(name, '@'); at > strings.LastIndexByte(name, '/') && at > 0 {
		name, version = name[:at], name[at+1:]
	}
	if p.name, ok = unescape(strings.Trim(name, "/")); !ok || p.name == "" {
		return p, false
	}
	if p.version, ok = unescape(version); !ok {
		return p, false
	}
	if p.subpath, ok = unescape(strings.Trim(subpath, "/")); !ok {
		return p, false
	}
	if slices.Contains(lowerCaseTypes, p.kind) {
		p.name = strings.ToLower(p.name)
	}
	if p.kind == "pypi" {
		p.name = strings.ReplaceAll(p.name, "_", "-")
	}
	return p, p.readQualifiers(qualifiers)
}

func (p *packageURL) readQualifiers(text string) bool {
	if text == "" {
		return true
	}
	for pair := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(pair, "=")
		value, ok := unescape(value)
		if !ok || key == "" || len(p.qualifiers) == maxQualifiers {
			return false
		}
		if value != "" { // an empty one is none
			p.qualifiers = append(p.qualifiers, qualifier{strings.ToLower(key), value})
		}
	}
	return true
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	s, err := url.PathUnescape(s)
	return s, err == nil
}

func (p *packageURL) qualifier(key string) string {
	for _, q := range p.qualifiers {
		if q.key == key {
			return q.value
		}
	}
	return ""
}

// means tells whether a statement's package is the other one, which a scanner found. Without a version it is every version. Qualifiers and
// a subpath make it narrower: the other must have the same, and if it has none nobody can say.
func (p *packageURL) means(found *packageURL) match {
	if p.kind != found.kind || p.name != found.name || (p.version != "" && found.version != "" && p.version != found.version) {
		return matchNo
	}
	m := matchYes
	if p.version != "" && found.version == "" {
		m = matchPerhaps
	}
	for _, q := range p.qualifiers {
		m = min(m, narrows(q.value, found.qualifier(q.key)))
	}
	return min(m, narrows(p.subpath, found.subpath))
}

func narrows(wanted, has string) match {
	switch {
	case wanted == "" || wanted == has:
		return matchYes
	case has == "":
		return matchPerhaps
	}
	return matchNo
}

// match says whether a name means a thing. A statement excuses only what it means for certain; it takes an excuse back from all that it
// may mean.
type match int

const (
	matchNo match = iota
	matchPerhaps
	matchYes
)
