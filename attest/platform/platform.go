// SPDX-License-Identifier: Apache-2.0

// Package platform knows the names of platforms: which are the same by another
// word, and which nobody has heard of.
//
// People, container runtimes and indexes write os/architecture[/variant], and do
// not agree on the words: aarch64 is arm64, arm64 is arm64/v8. Whoever picks an
// image of an index by a name, a policy or a flag, asks here, so that a name means
// the same everywhere: without a variant it is every variant, as in a policy.
package platform

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/near"
)

// Name is os/architecture[/variant] in the form in which platforms are compared.
type Name struct{ OS, Architecture, Variant string }

// Read puts a platform into that form, as container runtimes do
// (github.com/containerd/platforms). It refuses nothing: indexes say what they
// like.
func Read(name string) Name {
	os, rest, _ := strings.Cut(strings.ToLower(name), "/")
	os, _, _ = strings.Cut(os, "(") // features of the system that it needs: some machine has them
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
	return Name{os, architecture, variant}
}

// IsNowhere reports whether nobody can tell where an image of this platform
// runs.
func (n Name) IsNowhere() bool {
	return n.OS == "" || n.Architecture == "" || n.OS == "unknown" || n.Architecture == "unknown"
}

// Wanted is a platform that somebody has named. Without a variant it is every
// variant.
type Wanted struct {
	Name
	Every bool
}

// Want reads what somebody has named, whatever it is.
func Want(name string) Wanted {
	_, rest, _ := strings.Cut(name, "/")
	return Wanted{Read(name), !strings.Contains(rest, "/")}
}

// Covers reports whether an image for a platform is for the one that was named.
func (w Wanted) Covers(n Name) bool {
	return w.OS == n.OS && w.Architecture == n.Architecture && (w.Every || w.Variant == n.Variant)
}

// maxWord bounds each word of a name, bytes.
const maxWord = 63

// systems and architectures are those of Go, which the image specification of
// OCI goes by (image-index.md, "platform"), and what WebAssembly's runtimes call
// theirs.
var (
	systems = []string{
		"aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd", "openbsd", "plan9", "solaris",
		"wasi", "wasip1", "wasip2", "windows", "zos",
	}
	architectures = []string{
		"amd64", "arm64", "386", "amd64p32", "arm", "armbe", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc",
		"ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm", "wasm32", "wasm64",
	}
)

// Parse is Want for a name that must be one: of two or three words, an operating
// system and an architecture that there are. A slip would name a platform that no
// index has, and so none.
func Parse(name string) (Wanted, error) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(s string) bool { return !isWord(s) }) {
		return Wanted{}, errors.New("must be a platform such as linux/amd64 or linux/arm/v7")
	}
	wanted := Want(name)
	if wanted.IsNowhere() {
		return Wanted{}, errors.New("is no platform: entries of an index with unknown/unknown are no images")
	}
	if err := known(name, "operating system", wanted.OS, systems); err != nil {
		return Wanted{}, err
	}
	if err := known(name, "architecture", wanted.Architecture, architectures); err != nil {
		return Wanted{}, err
	}
	return wanted, nil
}

func known(name, what, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	hint := near.Word(word, words)
	if hint == "" {
		hint = "such as linux/amd64"
	}
	return fmt.Errorf("%q: no %s is called %q (hint: %s)", name, what, word, hint)
}

func isWord(s string) bool {
	return s != "" && len(s) <= maxWord && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	})
}
