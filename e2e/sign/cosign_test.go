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

// cosigns are the stock verifiers. Neither is told anything but whom to trust
// and whose signature it shall be.
var cosigns = []string{stock.CosignV2, stock.CosignV3}

// TestStockCosign is what the field's verifiers say of Hallmark's signatures:
// for each registry and each version of cosign, the same answers, without a
// flag for what a private deployment would be.
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
				for _, version := range cosigns {
					args := []string{tc.verb, "--trusted-root", l.TrustedRoot()}
					for _, flags := range tc.flags {
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

// TestBundleLog is the same with the other values of signing.bundleLog: entries
// of the v2 log have no time, and cosign 2.6 has to be told to read the
// timestamp instead; with both logs there are two bundles, and each version
// reads the one that it can.
func TestBundleLog(t *testing.T) {
	for _, tc := range []struct {
		log     string
		bundles int
		plain   map[string]string // version -> what it says of a plain verification; "" accepts
		flagged []string          // what cosign 2.6 needs
	}{
		{"v2", 1, map[string]string{stock.CosignV2: "threshold not met", stock.CosignV3: ""}, []string{"--use-signed-timestamps"}},
		{"both", 2, map[string]string{stock.CosignV2: "", stock.CosignV3: ""}, nil},
	} {
		t.Run(tc.log, func(t *testing.T) {
			l := lab.Start(t, lab.Options{BundleLog: tc.log})
			app := l.Token(t, devissuer.GitHub)
			image, unsigned := l.PushSmall(t, "acme/app", "signed"), l.PushSmall(t, "acme/app", "unsigned")
			mustSign(t, l, app, image)
			mustAttest(t, l, app, image, "spdxjson", sbom)
			if n := len(bundlesOf(t, l, image)); n != 2*tc.bundles {
				t.Errorf("a signature and an attestation made %d bundles, want %d", n, 2*tc.bundles)
			}
			issuer := l.Issuer.URL(devissuer.GitHub)
			for version, says := range tc.plain {
				verify := func(verb, image string, who []string, flags ...string) stock.Result {
					args := append([]string{verb, "--trusted-root", l.TrustedRoot()}, who...)
					return stock.Cosign(t, version, append(append(args, flags...), image)...)
				}
				workflow := []string{"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", issuer}
				attestor := []string{"--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL, "--type", "spdxjson"}
				for what, got := range map[string]stock.Result{
					"signature": verify("verify", image, workflow), "attestation": verify("verify-attestation", image, attestor),
				} {
					if (got.Code == 0) != (says == "") || !strings.Contains(got.Stderr, says) {
						t.Errorf("%s, %s: exit code %d, want %q: %s", version, what, got.Code, says, got.Stderr)
					}
				}
				if got := verify("verify", image, workflow, tc.flagged...); got.Code != 0 && version == stock.CosignV2 {
					t.Errorf("%s %v: %s", version, tc.flagged, got.Stderr)
				}
				if got := verify("verify", unsigned, workflow); got.Code == 0 {
					t.Errorf("%s accepts an unsigned image", version)
				}
			}
			verifyWith(t, l, image, 0)
			l.Stop(t)
			l.Fsck(t)
		})
	}
}

// bundlesOf are the bundles attached to an image.
func bundlesOf(t *testing.T, l *lab.Lab, image string) []oci.StoredBundle {
	t.Helper()
	client, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: l.Registry, Insecure: true}}})
	fatal(t, err)
	subject, err := client.Resolve(t.Context(), image)
	fatal(t, err)
	bundles, err := client.Bundles(t.Context(), subject)
	fatal(t, err)
	return bundles
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
