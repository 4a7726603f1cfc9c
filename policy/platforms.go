// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest/platform"
)

// Which images of an index evidence has to be about.
//
// A requirement names platforms as people write them, an index says of its images what they are for, and a container runtime picks by rules
// of its own: aarch64 is arm64, arm64 is arm64/v8, and a machine for arm64 runs what is for arm64/v9 if nothing else is there. So a name
// without a variant is every variant, both sides are put into one form first, and an image of which the index does not say what it is for is
// always asked about: it may run anywhere. Whoever builds an index must not be able to escape a gate by another word for the same platform.
//
// A machine takes more than what is called like it: containerd runs linux/386 on amd64, and linux/arm on arm64, where an index has nothing nearer.
// So these are asked about as well, unless the index has an image that every such machine takes before them.

// maxPlatforms bounds the platforms that a requirement names.
const maxPlatforms = 32

// namedPlatform is a platform of a requirement. Without a variant it is every variant.
type namedPlatform struct{ platform.Wanted }

// stoops reports whether a machine of the named platform runs what is for another one, if it finds nothing nearer.
func (n namedPlatform) stoops(p platform.Name) bool {
	lower := map[string]string{"amd64": "386", "arm64": "arm"}[n.Architecture]
	return n.OS == p.OS && (n.Architecture == p.Architecture || lower != "" && lower == p.Architecture)
}

// isNearest reports whether every machine of the named platform takes an image that is called so before any for which it stoops. Only the plainest
// names are: runtimes differ in what else they take for the same. Of Windows' images it depends on the version, too.
func (n namedPlatform) isNearest(name string) bool {
	plain := n.OS + "/" + n.Architecture
	if n.OS == "windows" {
		return false
	}
	if n.Variant == "" {
		return name == plain || n.Architecture == "arm64" && name == plain+"/v8"
	}
	return name == plain+"/"+n.Variant
}

// checkPlatforms reads the platforms that a requirement names.
func (g *gate) checkPlatforms(path string, spec *EvidenceRequirement) error {
	if len(spec.Platforms) == 0 {
		return nil
	}
	if spec.Index == indexItself {
		return fieldErrorf(path, "names images of an index, and index: %s asks for none of them (hint: index: %s or %s)", indexItself, indexPlatforms, indexEither)
	}
	if err := checkCount(path, len(spec.Platforms), maxPlatforms); err != nil {
		return err
	}
	for i, name := range spec.Platforms {
		at := fmt.Sprintf("%s[%d]", path, i)
		wanted, err := platform.Parse(name)
		if err != nil {
			return fieldErrorf(at, "%v", err)
		}
		named := namedPlatform{wanted}
		if slices.Contains(g.platforms, named) {
			return fieldErrorf(at, "%s is there already", shown(name))
		}
		g.platforms = append(g.platforms, named)
	}
	return nil
}

// asks reports whether evidence has to be about an image of an index. names are what the index says that it is for: several, if the index
// lists the same image more than once. all are those of each of its images.
func (g *gate) asks(names []string, all [][]string) bool {
	if len(g.platforms) == 0 || len(names) == 0 {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		p := platform.Read(name)
		return p.IsNowhere() || slices.ContainsFunc(g.platforms, func(n namedPlatform) bool {
			return n.Covers(p) || n.stoops(p) && !slices.ContainsFunc(all, func(names []string) bool { return slices.ContainsFunc(names, n.isNearest) })
		})
	})
}

// asked are the images of an index that evidence has to be about, and what the others are for.
func (g *gate) asked(s gateSubject) (asked, others []string) {
	all := make([][]string, len(s.platforms))
	for i, digest := range s.platforms {
		all[i] = s.names[digest]
	}
	for i, digest := range s.platforms {
		if g.asks(all[i], all) {
			asked = append(asked, digest)
		} else {
			others = append(others, s.platformName(digest))
		}
	}
	return asked, others
}

// platformName is what an image of an index is called in reasons.
func (s gateSubject) platformName(digest string) string {
	short := digest[:min(len(digest), shownDigest)]
	if names := s.names[digest]; len(names) > 0 {
		return shownBare(strings.Join(names, "+")) + " " + short
	}
	return short
}

// platformWord is by which word a document can be said to be about an image of the index; "" for the artifact itself, or where there is none.
func (s gateSubject) platformWord(digest string) string {
	if names := s.names[digest]; digest != s.digest && len(names) > 0 && !platform.Read(names[0]).IsNowhere() {
		return names[0]
	}
	return ""
}

// ofPlatforms reports whether evidence about the images of an index can count.
func (r *EvidenceRequirement) ofPlatforms() bool {
	return r != nil && (r.Index == indexPlatforms || r.Index == indexEither || len(r.Platforms) > 0)
}
