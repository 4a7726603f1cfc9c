// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// Claimed is what a job says of its build besides what its token proves: what it
// has used, and what it has made besides the artifact. Nobody but the job vouches
// for it. In the service's provenance each of them carries the annotation
// hallmark_claimed, and stands behind what comes from claims: it adds and never
// replaces.
type Claimed struct {
	Dependencies []ClaimedResource
	Byproducts   []ClaimedResource
}

// ClaimedResource names something by its digest.
type ClaimedResource struct {
	Name   string
	URI    string
	Digest map[string]string // algorithm to lower-case hex digits
}

const (
	// maxClaimed bounds the resources of one list.
	maxClaimed = 256
	// maxClaimedText bounds a name, maxClaimedURI a URI, in bytes.
	maxClaimedText = 256
	maxClaimedURI  = 1024
)

func (c Claimed) any() bool { return len(c.Dependencies)+len(c.Byproducts) > 0 }

// Check wants every resource to be one: with a name or a URI, and with a digest
// that identifies it.
func (c Claimed) Check() error {
	for what, list := range map[string][]ClaimedResource{"dependencies": c.Dependencies, "byproducts": c.Byproducts} {
		if len(list) > maxClaimed {
			return fmt.Errorf("%s: %d entries, at most %d", what, len(list), maxClaimed)
		}
		for i, r := range list {
			if err := r.check(); err != nil {
				return fmt.Errorf("%s[%d]: %w", what, i, err)
			}
		}
	}
	return nil
}

func (r ClaimedResource) check() error {
	u, err := url.Parse(r.URI)
	switch {
	case r.Name == "" && r.URI == "":
		return errors.New("neither a name nor a URI")
	case len(r.Name) > maxClaimedText || strings.ToValidUTF8(r.Name, "") != r.Name:
		return fmt.Errorf("a name of at most %d bytes of UTF-8 is wanted", maxClaimedText)
	case r.URI != "" && (err != nil || u.Scheme == "" || len(r.URI) > maxClaimedURI):
		return fmt.Errorf("%.100q is not a URI with a scheme", r.URI)
	case u != nil && u.User != nil:
		return errors.New("a URI with a user in it: provenance is public")
	}
	return attest.CheckDigests(r.Digest)
}

// dependencies are resources as provenance has them, sorted, so that the same
// claims give the same bytes.
func (c Claimed) dependencies() []dependencyJSON { return claimedJSON(c.Dependencies) }

func (c Claimed) byproducts() []dependencyJSON { return claimedJSON(c.Byproducts) }

func claimedJSON(list []ClaimedResource) []dependencyJSON {
	var all []dependencyJSON
	for _, r := range list {
		all = append(all, dependencyJSON{Name: r.Name, URI: r.URI, Digest: r.Digest, Annotations: map[string]bool{attest.ClaimedAnnotation: true}})
	}
	slices.SortStableFunc(all, func(a, b dependencyJSON) int {
		return cmp.Or(strings.Compare(a.URI, b.URI), strings.Compare(a.Name, b.Name), strings.Compare(a.Digest["sha256"], b.Digest["sha256"]))
	})
	return all
}
