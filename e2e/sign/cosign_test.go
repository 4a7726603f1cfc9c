// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const sbom = `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "packages": []}`

// registries are both kinds there are: with the referrers API, and without.
var registries = map[string]func(t *testing.T) string{
	"ggcr":         func(*testing.T) string { return "" }, // lab's own
	"distribution": func(t *testing.T) string { return stock.Registry(t).Host },
}

// cosigns are the stock verifiers, with the flag that 2.6 needs for log
// entries without a time.
var cosigns = map[string][]string{"cosign-v2": {"--use-signed-timestamps"}, "cosign-v3": nil}

// TestStockCosign is what the field's verifiers say of Hallmark's signatures:
// for each registry and each version of cosign, the same answers.
func TestStockCosign(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			l := lab.Start(t, lab.Options{Registry: start(t)})
			app, other := l.Token(t, devissuer.GitHub), l.Token(t, devissuer.GitHub, "repository=acme/other")

			signed := l.PushHallmark(t, "acme/app", "signed")
			mustSign(t, l, app, signed)
			mustAttest(t, l, app, signed, "spdxjson", sbom)
			unsigned := l.PushSmall(t, "acme/app", "unsigned")
			byOther := l.PushSmall(t, "acme/app", "by-other")
			mustSign(t, l, other, byOther)
			attested := l.PushSmall(t, "acme/app", "attested")
			mustAttest(t, l, app, attested, "spdxjson", sbom)
			grafted := graft(t, l)

			ci := l.Issuer.URL(devissuer.GitHub)
			identity := []string{"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", ci}
			attestor := []string{"--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL}
			anyOfCI := []string{"--certificate-identity-regexp", ".*", "--certificate-oidc-issuer", ci}
			spdx := []string{"--type", "spdxjson"}

			for _, tc := range []struct {
				name, verb string
				flags      [][]string
				image      string
				says       string // of the refusal; "" accepts
			}{
				{"signed", "verify", [][]string{identity}, signed, ""},
				{"signed, by tag", "verify", [][]string{identity}, l.Registry + "/acme/app:signed", ""},
				{"unsigned", "verify", [][]string{identity}, unsigned, "no signatures found"},
				{"by another repository's workflow", "verify", [][]string{identity}, byOther, "expected SAN value"},
				{"log entry of another image", "verify", [][]string{identity}, grafted, "log"},
				{"SBOM of the signed image", "verify-attestation", [][]string{attestor, spdx}, signed, ""},
				{"SBOM, other type asked", "verify-attestation", [][]string{attestor, {"--type", "cyclonedx"}}, signed, "none of the"},
				{"SBOM, not the workflow's", "verify-attestation", [][]string{identity, spdx}, attested, "expected SAN value"},
				{"SBOM is no signature", "verify", [][]string{identity}, attested, "expected"},
				{"SBOM is no signature of anybody in CI", "verify", [][]string{anyOfCI}, attested, "expected issuer value"},
			} {
				for version, extra := range cosigns {
					args := []string{tc.verb, "--trusted-root", l.TrustedRoot()}
					for _, flags := range append(tc.flags, extra) {
						args = append(args, flags...)
					}
					got := stock.Command{Tool: version}.Run(t, append(args, tc.image)...)
					switch {
					case tc.says == "" && got.Code != 0:
						t.Errorf("%s, %s: refused (%d): %s", tc.name, version, got.Code, got.Stderr)
					case tc.says != "" && got.Code == 0:
						t.Errorf("%s, %s: accepted: %s", tc.name, version, got.Stdout)
					case tc.says != "" && !strings.Contains(got.Stderr, tc.says):
						t.Errorf("%s, %s: refused without saying %q: %s", tc.name, version, tc.says, got.Stderr)
					}
				}
			}
			l.Stop(t)
			l.Fsck(t)
		})
	}
}

// graft makes an image whose only bundle is made of valid parts that do not
// belong together: a true signature over its digest, and the log entry of
// another image's signature. The image is a copy in a repository of its own,
// where the true bundle is not.
func graft(t *testing.T, l *lab.Lab) string {
	t.Helper()
	token := l.Token(t, devissuer.GitHub)
	image := l.PushSmall(t, "acme/true", "own")
	own := mustSign(t, l, token, image)
	donor := mustSign(t, l, token, l.PushSmall(t, "acme/true", "donor"))
	var b, d map[string]any
	unmarshal(t, own.Bundle, &b)
	unmarshal(t, donor.Bundle, &d)
	material := as[map[string]any](t, b["verificationMaterial"])
	material["tlogEntries"] = as[map[string]any](t, d["verificationMaterial"])["tlogEntries"]
	mixed, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	copied := l.Copy(t, image, "acme/grafted")
	attach(t, l, copied, mixed)
	return copied
}

// as returns a decoded value as the type that it must have.
func as[T any](t testing.TB, v any) T {
	t.Helper()
	is, ok := v.(T)
	if !ok {
		t.Fatalf("%v is a %T, want a %T", v, v, is)
	}
	return is
}

func unmarshal(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func attach(t *testing.T, l *lab.Lab, image string, bundle []byte) {
	t.Helper()
	client, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: l.Registry, Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := client.Resolve(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AttachBundle(t.Context(), subject, oci.BundleBlob{Bytes: bundle, PredicateType: attest.PredicateSignature, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
}
