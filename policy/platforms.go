// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Which images of an index evidence has to be about.
//
// A requirement names platforms as people write them, an index says of its images what they are for, and a container runtime picks by rules
// of its own: aarch64 is arm64, arm64 is arm64/v8, and a machine for arm64 runs what is for arm64/v9 if nothing else is there. So a name
// without a variant is every variant, both sides are put into one form first, and an image of which the index does not say what it is for is
// always asked about: it may run anywhere. Whoever builds an index must not be able to escape a gate by another word for the same platform.

// maxPlatforms bounds the platforms that a requirement names.
const maxPlatforms = 32

// platform is os/architecture[/variant] in the form in which platforms are compared.
type platform struct{ os, architecture, variant string }

// readPlatform puts a platform into that form, as container runtimes do (github.com/containerd/platforms).
func readPlatform(name string) platform {
	os, rest, _ := strings.Cut(strings.ToLower(name), "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	if os == "macos" {
		os = "darwin"
	}
	switch architecture {
	case "i386":
		architecture, variant = "386", ""
	case "x86_64", "x86-64":
		architecture = "amd64"
	case "aarch64":
		architecture = "arm64"
	case "armhf":
		architecture, variant = "arm", "v7"
	case "armel":
		architecture, variant = "arm", "v6"
	}
	if variant != "" && !strings.HasPrefix(variant, "v") {
		variant = "v" + variant
	}
	switch variant = strings.TrimSuffix(variant, ".0"); {
	case architecture == "amd64" && variant == "v1", architecture == "arm64" && variant == "v8":
		variant = ""
	case architecture == "arm" && variant == "":
		variant = "v7"
	}
	return platform{os, architecture, variant}
}

// isNowhere reports whether nobody can tell where an image of this platform runs.
func (p platform) isNowhere() bool {
	return p.os == "" || p.architecture == "" || p.os == "unknown" || p.architecture == "unknown"
}

// namedPlatform is a platform of a requirement. Without a variant it is every variant.
type namedPlatform struct {
	platform
	every bool
}

func (n namedPlatform) covers(p platform) bool {
	return n.os == p.os && n.architecture == p.architecture && (n.every || n.variant == p.variant)
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
		parts := strings.Split(name, "/")
		if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(s string) bool { return !isWords(s, "._-") || len(s) > maxName }) {
			return fieldErrorf(at, "must be a platform such as linux/amd64 or linux/arm/v7")
		}
		named := namedPlatform{platform: readPlatform(name), every: len(parts) == 2}
		switch {
		case named.isNowhere():
			return fieldErrorf(at, "is no platform: entries of an index with unknown/unknown are no images")
		case slices.Contains(g.platforms, named):
			return fieldErrorf(at, "%s is there already", shown(name))
		}
		g.platforms = append(g.platforms, named)
	}
	return nil
}

// asks reports whether evidence has to be about an image of an index. names are what the index says that it is for: several, if the index
// lists the same image more than once.
func (g *gate) asks(names []string) bool {
	if len(g.platforms) == 0 || len(names) == 0 {
		return true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		p := readPlatform(name)
		return p.isNowhere() || slices.ContainsFunc(g.platforms, func(n namedPlatform) bool { return n.covers(p) })
	})
}

// asked are the images of an index that evidence has to be about, and what the others are for.
func (g *gate) asked(s gateSubject) (asked, others []string) {
	for _, digest := range s.platforms {
		if g.asks(s.names[digest]) {
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
	if names := s.names[digest]; digest != s.digest && len(names) > 0 && !readPlatform(names[0]).isNowhere() {
		return names[0]
	}
	return ""
}

// ofPlatforms reports whether evidence about the images of an index can count.
func (r *EvidenceRequirement) ofPlatforms() bool {
	return r != nil && (r.Index == indexPlatforms || r.Index == indexEither || len(r.Platforms) > 0)
}
