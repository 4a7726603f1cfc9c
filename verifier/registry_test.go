// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// TestThroughRegistry goes the whole way: push, sign, attach, verify by tag, in registries with and without a referrers API.
func TestThroughRegistry(t *testing.T) {
	for name, referrers := range map[string]bool{"referrers API": true, "fallback tag": false} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0))))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			pushEmpty(t, host+"/acme/app:v1")
			client, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: host, Insecure: true}}})
			must(t, err)
			v := newRegistryVerifier(t, l, host, client)
			allowed := func(ref string) bool {
				t.Helper()
				d, err := v.Verify(t.Context(), ref)
				must(t, err)
				return d.Allowed()
			}

			if allowed(host + "/acme/app:v1") {
				t.Fatal("an unsigned image is allowed")
			}
			subject, err := client.Resolve(t.Context(), host+"/acme/app:v1")
			must(t, err)
			attach := func(bundle []byte) {
				_, err := client.AttachBundle(t.Context(), subject, oci.BundleBlob{Bytes: bundle, PredicateType: attest.PredicateSignature, Created: signedAt})
				must(t, err)
			}
			attach(l.signature(t, otherImage)) // announced as a signature of this image, but it is not
			if allowed(host + "/acme/app:v1") {
				t.Error("another image's signature is accepted")
			}
			attach(l.signature(t, subject.Digest))
			if !allowed(host+"/acme/app:v1") || !allowed(subject.String()) {
				t.Error("a signed image is denied")
			}
		})
	}
}

func pushEmpty(t *testing.T, reference string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	must(t, err)
	must(t, remote.Write(ref, empty.Image))
}

func newRegistryVerifier(t *testing.T, l *lab, host string, client *oci.Client) *verifier.Verifier {
	t.Helper()
	p, err := policy.NewTrustPolicy("prod", policy.TrustPolicySpec{
		Images:  []string{host + "/acme/"},
		Signers: []policy.Signer{{Name: "ci", Issuer: ciIssuer, Subject: ciSAN}},
		Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"ci"}}},
	})
	must(t, err)
	v, err := verifier.New(newRoot(t, l), p, verifier.WithRegistry(client), verifier.WithClock(clockAtNow))
	must(t, err)
	return v
}
