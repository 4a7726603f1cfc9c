// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestSaved: each file counts once, also those of platforms, and what nobody
// keeps is said.
func TestSaved(t *testing.T) {
	of := func(documents ...namedFile) []attached {
		return []attached{{What: isAttestation, Verified: true, Documents: documents}}
	}
	one := namedFile{Digest: attest.DigestOf([]byte("1")), Size: 3, Saved: "d/1.json"}
	two := namedFile{Digest: attest.DigestOf([]byte("2")), Size: 4, Saved: "d/2.xml"}
	secret := namedFile{Digest: attest.DigestOf([]byte("3")), Size: 5, Secret: true}
	for _, tc := range []struct {
		tree subjectTree
		want string
	}{
		{subjectTree{}, "saved nothing: no verified statement holds or names a document"},
		{subjectTree{Attached: of(one, two), Platforms: []subjectTree{{Attached: of(one)}}}, "saved 2 documents, 7 bytes, in d"},
		{subjectTree{Attached: of(one, secret), Platforms: []subjectTree{{Attached: of(secret)}}}, "saved 1 document, 3 bytes, in d; nobody keeps 1 document with secrets in it"},
	} {
		if got := tc.tree.saved("d"); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
