// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer/evidence"
)

// attachments is a registry that has these bundles.
type attachments struct {
	bundles []string
	err     error
}

func (a attachments) ListBundles(context.Context, oci.Artifact) ([]oci.ListedBundle, error) {
	var all []oci.ListedBundle
	for _, b := range a.bundles {
		all = append(all, oci.ListedBundle{Blob: attest.Digest(b), Size: int64(len(b))})
	}
	return all, a.err
}

func (a attachments) ReadBundle(_ context.Context, _ oci.Artifact, b oci.ListedBundle) ([]byte, error) {
	return []byte(b.Blob), nil
}

func (a attachments) Relatives(context.Context, oci.Artifact, []attest.Digest) ([]attest.Digest, error) {
	return nil, nil
}

func (a attachments) Images(context.Context, oci.Artifact) ([]oci.PlatformImage, error) {
	return nil, nil
}

// An image is signed by what the service has signed, and by nothing that only
// looks like it.
func TestSigners(t *testing.T) {
	const origin = "https://hallmark.example"
	workflow := "https://github.com/acme/app/x.yml"
	facts := map[string]policy.Fact{
		"signature":   {Bound: true, PredicateType: policy.PredicateSignature, SAN: workflow, Issuer: "https://ci"},
		"on request":  {Bound: true, PredicateType: policy.PredicateSignature, SAN: workflow, OnRequest: true},
		"attestor":    {Bound: true, PredicateType: policy.PredicateSignature, SAN: origin + "/attestor"},
		"attestation": {Bound: true, PredicateType: "https://spdx.dev/Document", SAN: workflow},
		"unbound":     {PredicateType: policy.PredicateSignature, SAN: workflow},
	}
	for _, tc := range []struct {
		registry attachments
		want     string
		revoked  string
		fails    bool
	}{
		{registry: attachments{}},
		{registry: attachments{bundles: []string{"on request", "attestor", "attestation", "unbound", "junk"}}},
		{registry: attachments{bundles: []string{"junk", "signature"}}, want: workflow},
		{registry: attachments{bundles: []string{"by key", "signature"}}, want: workflow + " key release"},
		{registry: attachments{bundles: []string{"junk", "revoked", "signature"}}, want: workflow, revoked: "on Monday"},
		{registry: attachments{bundles: []string{"revoked"}}, revoked: "on Monday"},
		{registry: attachments{err: oci.ErrTooMany}}, // somebody's flood
		{registry: attachments{err: oci.ErrUnavailable}, fails: true},
	} {
		s, err := evidence.NewSigned(evidence.SignedConfig{
			Registry: tc.registry, Origin: origin, Logger: slog.New(slog.DiscardHandler),
			Facts: func(_ context.Context, _ attest.Digest, bundle []byte) (policy.Fact, error) {
				if fact, ok := facts[string(bundle)]; ok {
					return fact, nil
				}
				if string(bundle) == "revoked" {
					return policy.Fact{}, errors.New("on Monday")
				}
				return policy.Fact{}, errors.New("it proves nothing")
			},
			ByKey: func(_ context.Context, _ attest.Digest, bundle []byte) string {
				if string(bundle) == "by key" {
					return "key release"
				}
				return ""
			},
			Revoked: func(err error) string { return strings.TrimPrefix(err.Error(), "it proves nothing") },
		})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.Signatures(t.Context(), oci.Artifact{})
		got := signed.By
		slices.Sort(got)
		if strings.Join(got, " ") != tc.want || signed.Revoked != tc.revoked || (err != nil) != tc.fails {
			t.Errorf("%+v: %q, %v", tc.registry, got, err)
		}
	}
	if _, err := evidence.NewSigned(evidence.SignedConfig{}); err == nil {
		t.Error("made of nothing")
	}
}
