// SPDX-License-Identifier: Apache-2.0

// Package tools builds the stock programs that Hallmark is tested against: the
// registry, both major versions of cosign, Rekor's client, Tessera's fsck, a
// Kubernetes API server with its etcd, and the linter.
//
// Each is pinned in tools.txt and built once per machine into a cache outside
// the work tree, so that a fresh clone on a warm machine starts testing at
// once and a change of pin is noticed. A stamp beside each program says what
// it was built from; a program without the right stamp is not used.
package tools

import (
	_ "embed" // for the pin list
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed tools.txt
var pinList string

// minColumns are group, name, package and version; linker flags may be absent.
const minColumns = 4

var (
	nameShape   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*$`)
	semverShape = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
)

// Pin says how one program is built. See tools.txt for the meaning of each
// field.
type Pin struct {
	Group, Name, Package, Version, LDFlags string
	// Tags are build tags, comma-separated.
	Tags string
}

// nested reports whether the version is a folder of this repository.
func (p Pin) nested() bool { return !semverShape.MatchString(p.Version) }

// Pins returns the pins of tools.txt in file order, which is build order.
func Pins() ([]Pin, error) { return parsePins(pinList) }

// Select returns the pins whose group or name is one of wanted, in file order;
// a word that selects nothing is an error, since it is a typing mistake.
func Select(pins []Pin, wanted []string) ([]Pin, error) {
	used := make(map[string]bool, len(wanted))
	for _, w := range wanted {
		used[w] = false
	}
	var out []Pin
	for _, p := range pins {
		_, byGroup := used[p.Group]
		_, byName := used[p.Name]
		if !byGroup && !byName {
			continue
		}
		if byGroup {
			used[p.Group] = true
		}
		if byName {
			used[p.Name] = true
		}
		out = append(out, p)
	}
	for w, found := range used {
		if !found {
			return nil, fmt.Errorf("select tools: %q is neither a group nor a name in e2e/tools/tools.txt", w)
		}
	}
	return out, nil
}

// parsePins reads the format that the head of tools.txt describes. Errors name
// the line.
func parsePins(text string) ([]Pin, error) {
	var pins []Pin
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p, err := parsePin(line)
		if err == nil && seen[p.Name] {
			err = fmt.Errorf("name %q is pinned twice", p.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("read tool pins: line %d: %w", i+1, err)
		}
		seen[p.Name] = true
		pins = append(pins, p)
	}
	return pins, nil
}

func parsePin(line string) (Pin, error) {
	f := strings.Fields(line)
	if len(f) < minColumns {
		return Pin{}, errors.New("want group, name, package and version")
	}
	p := Pin{Group: f[0], Name: f[1], Package: f[2], Version: f[3]}
	flags := f[minColumns:]
	if len(flags) > 0 {
		if tags, ok := strings.CutPrefix(flags[0], "-tags="); ok {
			p.Tags, flags = tags, flags[1:]
		}
	}
	p.LDFlags = strings.Join(flags, " ")
	if !nameShape.MatchString(p.Name) {
		return Pin{}, fmt.Errorf("name %q is not a plain relative path", p.Name)
	}
	// A moving version (latest, master) would make two builds of one commit
	// test different programs.
	if p.nested() && (!strings.Contains(p.Version, "/") || !filepath.IsLocal(p.Version)) {
		return Pin{}, fmt.Errorf("version %q of %s is neither vX.Y.Z nor a folder of this repository", p.Version, p.Name)
	}
	return p, nil
}
