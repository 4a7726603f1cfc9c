// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// byKeyToo is the shipped policy with a rule's signatures made by the key
// release as well; keyOnly, by nothing else.
func byKeyToo(t *testing.T, modes string) []byte {
	t.Helper()
	const at = "- name: acme-github\n"
	changed := bytes.Replace(policyfiles.SigningPolicy, []byte(at), []byte(at+"  keys: [release]\n"+modes), 1)
	if bytes.Equal(changed, policyfiles.SigningPolicy) {
		t.Fatal("the shipped policy has no rule acme-github")
	}
	return changed
}

// startByKey is a deployment that signs by key and writes legacy tags.
func startByKey(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Signing = strings.Trim("legacyTags: true, keys: [{name: release, signatures: file, attestations: file}], "+o.Signing, ", ")
	return lab.Start(t, o)
}

// publicKeys writes the deployment's public keys to files, as a verifier would
// get them.
func publicKeys(t *testing.T, l *lab.Lab) (signatures, attestations string) {
	t.Helper()
	dir := t.TempDir()
	write := func(file string, args ...string) string {
		r := l.Hallmark(t, "", append([]string{"keys", "public", "release"}, args...)...)
		if r.Code != 0 {
			t.Fatalf("hallmark keys public: %s", r.Stderr)
		}
		path := filepath.Join(dir, file)
		fatal(t, os.WriteFile(path, []byte(r.Stdout), 0o600))
		return path
	}
	return write("release.pub"), write("release.attestations.pub", "--attestations")
}

// onlyTags copies an image and its legacy tags to another repository, where
// there are no bundles: any readable bundle of a digest hides its tags.
func onlyTags(t *testing.T, l *lab.Lab, image, repository string, kinds ...string) string {
	t.Helper()
	copied := l.Copy(t, image, repository)
	digest, err := name.NewDigest(image)
	fatal(t, err)
	for _, kind := range kinds {
		tag := strings.Replace(digest.DigestStr(), ":", "-", 1) + "." + kind
		signatures, err := remote.Image(digest.Tag(tag), remote.WithContext(t.Context()))
		fatal(t, err)
		to, err := name.NewTag(l.Registry + "/" + repository + ":" + tag)
		fatal(t, err)
		fatal(t, remote.Write(to, signatures, remote.WithContext(t.Context())))
	}
	return copied
}

// legacyTrust is what verifiers had before there were trusted roots: four files
// that variables name. Cosign 2.6 takes no trusted root for .att tags.
func legacyTrust(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	in := func(elem ...string) string { return filepath.Join(append([]string{l.Dir}, elem...)...) }
	return []string{
		"SIGSTORE_ROOT_FILE=" + in("certs", "ca-chain.pem"), "SIGSTORE_TSA_CERTIFICATE_FILE=" + in("certs", "tsa-chain.pem"),
		"SIGSTORE_REKOR_PUBLIC_KEY=" + in("keys", "log-v1.pub"), "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=" + in("keys", "ct.pub"),
	}
}

// question is one that is asked of stock cosign.
type question struct {
	name, verb string
	image      string
	flags      []string
	says       string // of the refusal; "" accepts
	only       string // the one version that is asked; "": both
	env        []string
	core       bool // asked with every kind of registry
}

func askCosign(t *testing.T, questions []question, all bool) {
	t.Helper()
	for _, q := range questions {
		for _, version := range cosigns {
			if q.only != "" && q.only != version || !all && !q.core {
				continue
			}
			args := append(append([]string{q.verb}, q.flags...), q.image)
			got := stock.Command{Tool: version, Env: q.env}.Run(t, args...)
			switch {
			case q.says == "" && got.Code != 0:
				t.Errorf("%s, %s: refused (%d): %s", q.name, version, got.Code, got.Stderr)
			case q.says != "" && got.Code == 0:
				t.Errorf("%s, %s: accepted: %s", q.name, version, got.Stdout)
			case q.says != "" && !strings.Contains(got.Stderr, q.says):
				t.Errorf("%s, %s: refused without saying %q: %s", q.name, version, q.says, got.Stderr)
			}
		}
	}
}

// TestByKey: one request, signed with a certificate and with a key, in bundles
// and under legacy tags, and what stock cosign of both versions says of each.
func TestByKey(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			l := startByKey(t, lab.Options{Registry: start(t), Policy: byKeyToo(t, "")})
			token := l.Token(t, devissuer.GitHub)
			signed := l.PushSmall(t, "acme/app", "signed")
			receipt := mustSign(t, l, token, signed)
			mustAttest(t, l, token, signed, "spdxjson", sbom)
			attested := l.PushSmall(t, "acme/app", "attested")
			mustAttest(t, l, token, attested, "spdxjson", sbom)
			if len(receipt.Others) != 1 || receipt.Others[0].Key != "release" || receipt.Others[0].KeyHint == "" || len(receipt.Tags) != 2 {
				t.Errorf("the receipt names other things than a certificate, a key and two layers: %+v", receipt)
			}
			if n := len(bundlesOf(t, l, signed)); n != 4 {
				t.Errorf("%d bundles, want a signature and an attestation by certificate and by key", n)
			}
			sigOnly := onlyTags(t, l, signed, "acme/sig-only", "sig")
			attOnly := onlyTags(t, l, signed, "acme/att-only", "att")
			sigPub, attPub := publicKeys(t, l)
			for _, image := range []string{signed, sigOnly, attOnly} { // there, the layers of certificates have no bundle beside them
				r := l.Hallmark(t, "", "evidence", image, "--trusted-root", l.TrustedRoot(), "--key", sigPub, "--key", attPub)
				if image == signed && r.Code != 0 || !strings.Contains(r.Stdout, "by key ") {
					t.Errorf("hallmark evidence of what the service has signed with its keys: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
				}
			}

			issuer := l.Issuer.URL(devissuer.GitHub)
			root := []string{"--trusted-root", l.TrustedRoot()}
			flags := func(more ...string) []string { return append(append([]string{}, root...), more...) }
			identity := []string{"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", issuer}
			attestor := []string{"--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL}
			spdx := []string{"--type", "spdxjson"}
			legacy := legacyTrust(t, l)
			askCosign(t, []question{
				{core: true, name: "bundle by key", verb: "verify", image: signed, flags: flags("--key", sigPub)},
				{core: true, name: "bundle by certificate", verb: "verify", image: signed, flags: flags(identity...)},
				{core: true, name: "attestation by key", verb: "verify-attestation", image: signed, flags: flags(append(spdx, "--key", attPub)...)},
				{name: "attestation by certificate", verb: "verify-attestation", image: signed, flags: flags(append(spdx, attestor...)...)},
				{core: true, name: "an attestation is no signature by key", verb: "verify", image: attested, flags: flags("--key", sigPub), says: "does not match"},
				{name: "an attestation is not by the signatures' key", verb: "verify-attestation", image: signed, flags: flags(append(spdx, "--key", sigPub)...), says: "none of the"},

				{core: true, name: ".sig by key", verb: "verify", image: sigOnly, flags: flags("--key", sigPub)},
				{name: ".sig by key, without a log", verb: "verify", image: sigOnly, flags: []string{"--key", sigPub, "--insecure-ignore-tlog"}},
				{core: true, name: ".sig by certificate", verb: "verify", image: sigOnly, flags: flags(identity...)},
				{name: ".sig by certificate, at the token's time", verb: "verify", image: sigOnly, flags: flags(append(identity, "--use-signed-timestamps")...)},
				{name: ".sig by another's identity", verb: "verify", image: sigOnly, flags: flags("--certificate-identity", otherWorkflow, "--certificate-oidc-issuer", issuer), says: "none of the expected identities matched"},
				{name: ".sig by the attestations' key", verb: "verify", image: sigOnly, flags: flags("--key", attPub), says: "comparing public key PEMs"},
				{name: ".sig is no attestation", verb: "verify-attestation", image: sigOnly, flags: flags(append(spdx, "--key", attPub)...), says: "no "},

				// Cosign 2.6 takes no trusted root for this tag.
				{core: true, name: ".att by key", verb: "verify-attestation", image: attOnly, flags: flags(append(spdx, "--key", attPub)...), only: stock.CosignV3},
				{name: ".att by certificate", verb: "verify-attestation", image: attOnly, flags: flags(append(spdx, attestor...)...), only: stock.CosignV3},
				{name: ".att by certificate, at the token's time", verb: "verify-attestation", image: attOnly, flags: flags(append(append(spdx, "--use-signed-timestamps"), attestor...)...), only: stock.CosignV3},
				{core: true, name: ".att by key, old trust", verb: "verify-attestation", image: attOnly, flags: append(spdx, "--key", attPub), env: legacy},
				{name: ".att by certificate, old trust", verb: "verify-attestation", image: attOnly, flags: append(spdx, attestor...), env: legacy},
				{name: ".sig by certificate, old trust", verb: "verify", image: sigOnly, flags: identity, env: legacy},
				{name: ".att by the signatures' key", verb: "verify-attestation", image: attOnly, flags: flags(append(spdx, "--key", sigPub)...), says: "comparing public key PEMs", only: stock.CosignV3},
				{name: ".att is no signature", verb: "verify", image: attOnly, flags: flags("--key", sigPub), says: "no signatures found"},
			}, kind == "distribution")
			// The same request again, and another run of the workflow.
			if again := mustSign(t, l, token, signed); again.ID != receipt.ID {
				t.Errorf("a repeated request got another receipt")
			}
			layersOf(t, signed, "sig", 2)
			mustSign(t, l, l.Token(t, devissuer.GitHub, "run_id=2"), signed)
			layersOf(t, signed, "sig", 4)
			layersOf(t, signed, "att", 2)
			verifyWith(t, l, signed, 0)
			l.Stop(t)
			l.Fsck(t)
		})
	}
}

// layersOf counts the layers under a legacy tag.
func layersOf(t *testing.T, image, kind string, want int) {
	t.Helper()
	digest, err := name.NewDigest(image)
	fatal(t, err)
	signatures, err := remote.Image(digest.Tag(strings.Replace(digest.DigestStr(), ":", "-", 1)+"."+kind), remote.WithContext(t.Context()))
	fatal(t, err)
	layers, err := signatures.Layers()
	fatal(t, err)
	if len(layers) != want {
		t.Errorf("%d layers under .%s, want %d", len(layers), kind, want)
	}
}
