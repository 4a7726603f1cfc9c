// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"net/url"
	"strings"
)

// packageURL is what findings and products are compared by: a package URL
// without qualifiers and subpath.
// Source: https://github.com/package-url/purl-spec
type packageURL struct{ kind, name, version string }

// parsePURL reads "pkg:type/namespace/name@version?qualifiers#subpath".
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
	name = strings.TrimRight(name, "/") // of "a@1/", too, 1 is the version
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

// ValidPURL tells whether a text is a package URL that can be compared with
// another one.
func ValidPURL(s string) bool { _, ok := parsePURL(s); return ok }

// makePURL makes a package URL, or "" without a type and a name. Slashes
// separate the namespace from the name.
func makePURL(kind, name, version string) string {
	if kind == "" || name == "" {
		return ""
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = escapePURL(part)
	}
	purl := "pkg:" + kind + "/" + strings.Join(parts, "/")
	if version != "" {
		purl += "@" + escapePURL(version)
	}
	return purl
}

// escapePURL percent-encodes all but what a package URL may hold as it is.
func escapePURL(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~:"
	if strings.Trim(s, plain) == "" {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; strings.IndexByte(plain, c) >= 0 {
			out.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			out.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		}
	}
	return out.String()
}
