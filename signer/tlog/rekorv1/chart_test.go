// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// A provenance file is logged once, however often it is; and its signature is
// found again by chart and key, and by no other chart.
func TestProvenance(t *testing.T) {
	e := newEnv(t, options{})
	proposal := helm(t, "app-1.0.0.tgz")
	inside := func(names ...string) []byte {
		t.Helper()
		var v any = proposal
		for _, name := range names {
			o, ok := v.(obj)
			if !ok {
				t.Fatalf("no %s in it", name)
			}
			v = o[name]
		}
		return decode64(t, v)
	}
	content, key := inside("spec", "chart", "provenance", "content"), inside("spec", "publicKey", "content")
	p := rekorv1.Provenance{Content: content, PublicKey: key}
	first, err := e.service.AppendProvenance(t.Context(), p)
	e.must(err)
	again, err := e.service.AppendProvenance(t.Context(), p)
	e.must(err)
	if first.LogIndex != again.LogIndex || first.LogIndex == 0 {
		t.Errorf("entries %d and %d", first.LogIndex, again.LogIndex)
	}
	digest := attest.DigestOf([]byte("app-1.0.0.tgz"))
	found, err := e.service.ProvenanceSignatures(t.Context(), digest, key)
	e.must(err)
	if len(found) != 1 || found[0].Entry.LogIndex != first.LogIndex || !bytes.Contains(found[0].Armoured, []byte("BEGIN PGP SIGNATURE")) {
		t.Errorf("found %+v", found)
	}
	found, err = e.service.ProvenanceSignatures(t.Context(), attest.DigestOf([]byte("another chart")), key)
	if err != nil || len(found) > 0 {
		t.Errorf("another chart: %+v, %v", found, err)
	}
	// A signature that does not cover the text is not logged.
	p.Content = bytes.Replace(content, []byte("sha256:"+digest.Hex()[:8]), []byte("sha256:00000000"), 1)
	if _, err := e.service.AppendProvenance(t.Context(), p); err == nil {
		t.Error("a changed provenance file was logged")
	}
}

func decode64(t *testing.T, v any) []byte {
	t.Helper()
	switch v := v.(type) {
	case []byte:
		return v
	case string:
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Fatalf("a %T", v)
	return nil
}
