// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto"
	"net/http"
	"testing"

	"github.com/sigstore/rekor/pkg/tle"
	"github.com/sigstore/rekor/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Every kind is logged, verifies by Rekor's own code (timestamp, proof,
// checkpoint), becomes a bundle's entry, and is found again in every way.
func TestAllKinds(t *testing.T) {
	e := newEnv(t, options{})
	verifier, err := signature.LoadVerifier(e.keys["v1"].Public(), crypto.SHA256)
	e.must(err)
	for name, p := range allKinds(t) {
		t.Run(name, func(t *testing.T) {
			e := e.in(t)
			got := e.submit(compact(t, p), http.StatusCreated)
			id, entry := only(t, got.body)
			if err := verify.VerifyLogEntry(t.Context(), &entry, verifier); err != nil {
				t.Error(err)
			}
			if pb, err := tle.GenerateTransparencyLogEntry(entry); err != nil || pb.GetKindVersion().GetKind() != p["kind"] {
				t.Errorf("bundle entry %v: %v", pb, err)
			}
			if e.submit(compact(t, p), http.StatusCreated).header.Get("Etag") != id {
				t.Error("the same request again is another entry")
			}
			if got := e.call(http.MethodGet, "/api/v1/log/entries/"+id, ""); got.status != http.StatusOK {
				t.Errorf("by id: %+v", got)
			}
			if got := e.call(http.MethodPost, "/api/v1/log/entries/retrieve", string(compact(t, obj{"entries": []obj{p}}))); got.status != http.StatusOK || len(got.body) < 100 {
				t.Errorf("by content: %+v", got)
			}
		})
	}
}
