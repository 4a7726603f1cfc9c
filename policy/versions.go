// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/policy/vers"
)

// versions are those of a product that a statement is about: exact ones and ranges. Without any it is about all. They are read when a finding is
// held against them: most statements are about vulnerabilities that nobody has found.
type versions struct {
	list   []string
	isRead bool
	exact  []string
	ranges []*vers.Range
	// unread: some range could not be read. It may be about any version.
	unread bool
}

// maxVersions bounds the versions of one product that are looked at; of more, nobody knows here what they say.
const maxVersions = 1000

// versionCost is how many names can be compared in the time that it takes to read a version and compare it.
const versionCost = 16

func (v *versions) read() {
	if v.isRead {
		return
	}
	v.isRead = true
	for i, text := range v.list {
		if i == maxVersions {
			v.unread = true
			return
		}
		if !vers.Is(text) {
			v.exact = append(v.exact, text)
		} else if r, err := vers.Parse(text); err == nil {
			v.ranges = append(v.ranges, r)
		} else {
			v.unread = true
		}
	}
}

func (v *versions) isAll() bool { return !v.unread && len(v.list) == 0 }

// cost is how much is compared for one finding.
func (v *versions) cost() int {
	n := 0
	for _, text := range v.list {
		n += versionCost * (1 + strings.Count(text, "|"))
	}
	return n
}

// mean tells whether a package's version is one of them. Its purl type says which order its versions have.
func (v *versions) mean(purlType, version string) match {
	if v.isAll() {
		return matchYes
	}
	v.read()
	m := matchNo
	if v.unread {
		m = matchPerhaps
	}
	for _, one := range v.exact {
		m = max(m, sameVersion(purlType, one, version))
	}
	for _, r := range v.ranges {
		m = max(m, inRange(r, purlType, version))
	}
	return m
}

// sameVersion compares two versions: 1.0 and 1.0.0 are one to Python, and two to Debian.
func sameVersion(purlType, one, version string) match {
	if one == version && version != "" {
		return matchYes
	}
	switch order, known := vers.Compare(purlType, one, version); {
	case !known:
		return matchPerhaps
	case order == 0:
		return matchYes
	}
	return matchNo
}

func inRange(r *vers.Range, purlType, version string) match {
	in, known := r.Contains(version)
	switch {
	case !known || !r.Fits(purlType):
		return matchPerhaps
	case in:
		return matchYes
	}
	return matchNo
}

// meanImage tells whether they are an image's, whose versions are its digests. A tag or a number says nothing certain.
func (v *versions) meanImage(digests []string) match {
	if v.isAll() {
		return matchYes
	}
	v.read()
	m := matchNo
	if v.unread || len(v.ranges) > 0 {
		m = matchPerhaps
	}
	for _, one := range v.exact {
		switch {
		case !strings.HasPrefix(one, "sha256:"):
			m = max(m, matchPerhaps)
		case slices.Contains(digests, strings.ToLower(one)):
			return matchYes
		}
	}
	return m
}

// takeRange moves the range of versions out of a package URL's qualifiers ("?vers=vers:npm%2F<2"): it is no attribute of a package that others
// would have. One beside a version contradicts it.
func (p *packageURL) takeRange() versions {
	at := slices.IndexFunc(p.qualifiers, func(q qualifier) bool { return q.key == "vers" })
	if at < 0 {
		return versions{}
	}
	v := versions{list: []string{p.qualifiers[at].value}}
	if !vers.Is(v.list[0]) || p.version != "" {
		v = versions{unread: true}
	}
	p.qualifiers = slices.Delete(p.qualifiers, at, at+1)
	return v
}

// versionOf is the version of a finding's package in its ecosystem's spelling.
func versionOf(f *Finding, found *packageURL) string {
	version := found.version
	if version == "" {
		version = f.Version
	}
	if epoch := found.qualifier("epoch"); epoch != "" && found.kind == "rpm" && version != "" && !strings.Contains(version, ":") {
		return epoch + ":" + version
	}
	return version
}
