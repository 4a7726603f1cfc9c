// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"errors"
	"fmt"
	"strings"
)

// inventory is what the readers of all formats of SBOMs collect.
type inventory struct {
	sbom SBOM
	bomNames
}

var errNameless = errors.New("a package without a name")

// count counts a package.
func (i *inventory) count(name, purl string) error {
	if name == "" {
		return errNameless
	}
	if i.sbom.Packages++; i.sbom.Packages > maxPackages {
		return fmt.Errorf("more than %d packages", maxPackages)
	}
	if strings.HasPrefix(purl, "pkg:") {
		i.sbom.PURLs++
	}
	return nil
}

// root notes what the whole of a CycloneDX document is about, with the
// references under which a registry has it.
func (i *inventory) root(c cyclonedxComponent) {
	i.sbom.Target = c.name
	i.about(append(c.digests, c.version, c.purl)...)
	i.pulled(c.digests)
	i.purl("", true, c.purl)
}

// container notes a package of an SPDX document that is an image: by names, it may
// be what the document is about.
func (i *inventory) container(id string, names ...string) {
	i.about(names...)
	for _, name := range names {
		i.purl(id, false, name)
	}
}

// finish ends the reading.
func (i *inventory) finish() *SBOM {
	i.sbom.Target, i.sbom.Tool = keep(i.sbom.Target), keep(i.sbom.Tool)
	i.settle(&i.sbom)
	return &i.sbom
}
