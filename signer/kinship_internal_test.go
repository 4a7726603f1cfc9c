// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// allIndexes is a registry in which every digest is an index of every image.
type allIndexes struct {
	Registry
	asked int
}

func (r *allIndexes) Relatives(_ context.Context, _ oci.Artifact, named []attest.Digest) ([]attest.Digest, error) {
	r.asked++
	return named, nil
}

// TestKinship: documents that name many other digests do not have the registry asked
// without end, and those that name the same have it asked once.
func TestKinship(t *testing.T) {
	r := &allIndexes{}
	k := (&Service{cfg: Config{Registry: r}}).kinship()
	subject := oci.Artifact{Digest: attest.DigestOf([]byte("image"))}
	names := func(i int) attest.Evidence {
		return attest.Evidence{Kind: attest.EvidenceScan, Scan: &attest.Scan{Digests: []string{string(attest.DigestOf(fmt.Append(nil, i)))}}}
	}
	for i := range 2 * maxKin {
		if _, err := k.isAbout(t.Context(), subject, subject, names(i/2)); err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
	}
	if r.asked != maxKin {
		t.Errorf("the registry was asked %d times about %d digests", r.asked, maxKin)
	}
	if _, err := k.isAbout(t.Context(), subject, subject, names(maxKin)); !errors.Is(err, ErrBadRequest) || r.asked != maxKin {
		t.Errorf("one more: %v, asked %d times", err, r.asked)
	}
	if _, err := k.isAbout(t.Context(), subject, subject, names(0)); err != nil {
		t.Errorf("what is known: %v", err)
	}
}
