// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzPURL: what parses means itself, and so does it in full escape; a name never means what has another type, name or version.
func FuzzPURL(f *testing.F) {
	for _, seed := range []string{
		"pkg:deb/debian/openssl@3.0.1?arch=amd64&distro=debian-12", "pkg:npm/%40angular/cli@1.0", "pkg:npm/@angular/cli", "pkg:oci/app@sha256%3Aab?repository_url=r.example/app",
		"pkg:golang/github.com/a/b@v1#sub", "pkg:pypi/A_b", "pkg:", "pkg:/", "pkg:a/%zz", "pkg:a/b@c@d", "pkg:a/b?x=%zz", "pkg:a/b@1/",
	} {
		f.Add(seed, "pkg:deb/debian/zlib@1")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		p, ok := parsePURL(text)
		if !ok {
			return
		}
		if p.kind == "" || p.name == "" || p.kind != strings.ToLower(p.kind) {
			t.Fatalf("%q is %+v", text, p)
		}
		if !hasTwice(p.qualifiers) && p.means(&p) != matchYes {
			t.Fatalf("%q does not mean itself", text)
		}
		escaped := "pkg:" + p.kind + "/" + strings.ReplaceAll(url.PathEscape(p.name), "@", "%40")
		if p.version != "" {
			escaped += "@" + strings.ReplaceAll(url.PathEscape(p.version), "@", "%40")
		}
		again, ok := parsePURL(escaped)
		if !strings.ContainsAny(p.kind, "?#/%@") && (!ok || again.name != p.name || again.version != p.version) {
			t.Fatalf("%q is %+v, and escaped %q is %+v, %t", text, p, escaped, again, ok)
		}
		q, ok := parsePURL(other)
		if ok && p.means(&q) != matchNo && (p.kind != q.kind || p.name != q.name || (p.version != "" && q.version != "" && p.version != q.version)) {
			t.Fatalf("%q means %q", text, other)
		}
	})
}

// hasTwice reports whether a qualifier has two values, which means nothing that could be compared.
func hasTwice(all []qualifier) bool {
	seen := map[string]bool{}
	for _, q := range all {
		if seen[q.key] {
			return true
		}
		seen[q.key] = true
	}
	return false
}
