// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// cosignUser is somebody with a key pair, both versions of stock cosign and a
// registry of their own.
type cosignUser struct {
	dir      string
	registry *lab.Lab // for its PushSmall
	root     string   // trusted_root.json
	logKey   string   // the v1 log's public key, PEM
}

func newCosignUser(t *testing.T) *cosignUser {
	t.Helper()
	u := &cosignUser{dir: t.TempDir(), registry: &lab.Lab{Registry: stock.Registry(t).Host}}
	u.logKey = filepath.Join(u.dir, "log.pub")
	u.must(t, stock.CosignV3, "generate-key-pair")
	return u
}

// trusts gives the user what verifiers of a service have.
func (u *cosignUser) trusts(t *testing.T, l *lab.Lab) *cosignUser {
	t.Helper()
	u.root = l.TrustedRoot()
	check(t, os.WriteFile(u.logKey, get(t, l.URL+"/api/v1/log/publicKey").body, 0o600))
	return u
}

func (u *cosignUser) run(t *testing.T, version string, args ...string) stock.Result {
	t.Helper()
	return stock.Command{Tool: version, Dir: u.dir, Env: []string{"COSIGN_PASSWORD=", "SIGSTORE_REKOR_PUBLIC_KEY=" + u.logKey}}.Run(t, args...)
}

// modern runs cosign with a trusted root instead of a log key from the
// environment: with that, cosign looks at nothing else.
func (u *cosignUser) modern(t *testing.T, version string, args ...string) stock.Result {
	t.Helper()
	return stock.Command{Tool: version, Dir: u.dir, Env: []string{"COSIGN_PASSWORD="}}.Run(t, append(args, "--trusted-root", u.root)...)
}

func (u *cosignUser) must(t *testing.T, version string, args ...string) {
	t.Helper()
	if r := u.run(t, version, args...); r.Code != 0 {
		t.Fatalf("%s %s: exit code %d: %s", version, strings.Join(args, " "), r.Code, r.Stderr)
	}
}

// signingConfig is the service's, with the log's API of one version.
func signingConfig(t *testing.T, l *lab.Lab, url string, version int) string {
	t.Helper()
	answer := get(t, l.URL+"/hallmark/v1/signing_config.json")
	config := unmarshal[map[string]any](t, answer.body)
	config["rekorTlogUrls"] = []map[string]any{{
		"url": url, "majorApiVersion": version, "operator": "hallmark", "validFor": map[string]string{"start": "2020-01-01T00:00:00Z"},
	}}
	raw, err := json.Marshal(config)
	check(t, err)
	path := filepath.Join(t.TempDir(), "signing_config.json")
	check(t, os.WriteFile(path, raw, 0o600))
	return path
}

// sizes are the present sizes of the active logs.
func sizes(t *testing.T, l *lab.Lab) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, row := range listLogs(t, l) {
		if row.State == "active" {
			all[row.Kind] = row.Size
		}
	}
	return all
}

// cosignSigns signs images with a key through both APIs, with both versions of
// cosign, and verifies with both; then again with the first answer of the log
// lost on the way.
func cosignSigns(t *testing.T, l *lab.Lab) {
	u := newCosignUser(t).trusts(t, l)
	for _, tc := range []struct {
		name, version, api string
		sign               func(rekor string) []string
		legacy             bool // tags instead of bundles
	}{
		{"cosign 2, tag", stock.CosignV2, "v1", func(rekor string) []string {
			return []string{"sign", "--key", "cosign.key", "--rekor-url", rekor, "--yes"}
		}, true},
		{"cosign 2, bundle", stock.CosignV2, "v1", func(rekor string) []string {
			return []string{"sign", "--key", "cosign.key", "--rekor-url", rekor, "--new-bundle-format", "--yes"}
		}, false},
		{"cosign 3, bundle", stock.CosignV3, "v1", func(rekor string) []string {
			return []string{"sign", "--key", "cosign.key", "--signing-config", signingConfig(t, l, rekor, 1), "--yes"}
		}, false},
		{"cosign 3, bundle, v2", stock.CosignV3, "v2", func(rekor string) []string {
			return []string{"sign", "--key", "cosign.key", "--signing-config", signingConfig(t, l, rekor, 2), "--yes"}
		}, false},
		{"cosign 3, URL", stock.CosignV3, "v1", func(rekor string) []string {
			return []string{"sign", "--key", "cosign.key", "--use-signing-config=false", "--rekor-url", rekor, "--yes"}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			image := u.registry.PushSmall(t, "acme/app", strings.ReplaceAll(strings.ReplaceAll(tc.name, " ", "-"), ",", ""))
			before := sizes(t, l)
			args := append(tc.sign(l.URL), image)
			if r := u.signs(t, tc.version, tc.legacy, args...); r.Code != 0 {
				t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), r.Code, r.Stderr)
			}
			after := sizes(t, l)
			before[tc.api]++
			if after["v1"] != before["v1"] || after["v2"] != before["v2"] {
				t.Errorf("the logs have %v entries, want %v", after, before)
			}
			u.verifies(t, tc.legacy, image)
		})
		t.Run(tc.name+", answer lost", func(t *testing.T) {
			image := u.registry.PushSmall(t, "acme/app", "lost-"+strings.ReplaceAll(strings.ReplaceAll(tc.name, " ", "-"), ",", ""))
			before := sizes(t, l)
			proxy, lost := forgetful(t, l)
			args := append(tc.sign(proxy), image)
			// cosign repeats by itself, or the user does.
			for tries := 0; u.signs(t, tc.version, tc.legacy, args...).Code != 0; tries++ {
				if tries == 2 {
					t.Fatalf("%s does not sign, although the log answers", tc.version)
				}
			}
			// Rekor v1's client repeats the same request, and the log answers with
			// the entry that it has. That of v2 does not, and the user's second
			// attempt is another signature.
			added := sizes(t, l)[tc.api] - before[tc.api]
			if lost.Load() < 2 || tc.api == "v1" && added != 1 || added > lost.Load() {
				t.Errorf("%d requests made %d entries", lost.Load(), added)
			}
			u.verifies(t, tc.legacy, image)
		})
	}
	onlineLookup(t, l, u)
}

// signs signs; bundles are checked by cosign itself, against the trusted root.
func (u *cosignUser) signs(t *testing.T, version string, legacy bool, args ...string) stock.Result {
	t.Helper()
	if legacy {
		return u.run(t, version, args...)
	}
	return u.modern(t, version, args...)
}

// verifies wants both versions to accept the image by the key.
func (u *cosignUser) verifies(t *testing.T, legacy bool, image string) {
	t.Helper()
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		if r := u.modern(t, version, "verify", "--key", "cosign.pub", image); r.Code != 0 {
			t.Errorf("%s refuses: %s", version, r.Stderr)
		}
		if legacy {
			if r := u.run(t, version, "verify", "--key", "cosign.pub", image); r.Code != 0 {
				t.Errorf("%s with the log's key refuses: %s", version, r.Stderr)
			}
		}
	}
}

// statementType is a predicate type that cosign does not know.
const statementType = "https://example.com/statement"

// onlineLookup takes the stored log entry out of a signature and of an
// attestation: cosign then makes the entry itself and asks the log for it.
func onlineLookup(t *testing.T, l *lab.Lab, u *cosignUser) {
	image := u.registry.PushSmall(t, "acme/app", "online")
	predicate := filepath.Join(u.dir, "predicate.json")
	check(t, os.WriteFile(predicate, []byte(`{"a":"statement"}`), 0o600))
	u.must(t, stock.CosignV2, "sign", "--key", "cosign.key", "--rekor-url", l.URL, "--yes", image)
	u.must(t, stock.CosignV2, "attest", "--key", "cosign.key", "--rekor-url", l.URL, "--yes", "--type", statementType, "--predicate", predicate, image)
	for _, suffix := range []string{"sig", "att"} {
		withoutEntry(t, image, suffix)
	}
	logged := map[string][]string{
		"verify":             {"verify", "--key", "cosign.pub", "--rekor-url", l.URL, image},
		"verify-attestation": {"verify-attestation", "--type", statementType, "--key", "cosign.pub", "--rekor-url", l.URL, image},
	}
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for verb, args := range logged {
			if r := u.run(t, version, args...); r.Code != 0 {
				t.Errorf("%s %s, without a stored entry: %s", version, verb, r.Stderr)
			}
		}
	}

	// Another key, another image, and a signature that is not in the log.
	other := newCosignUser(t).trusts(t, l)
	unsigned := u.registry.PushSmall(t, "acme/other", "unsigned")
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		if r := other.modern(t, version, "verify", "--key", "cosign.pub", image); r.Code == 0 {
			t.Errorf("%s accepts another key", version)
		}
		if r := u.modern(t, version, "verify", "--key", "cosign.pub", unsigned); r.Code == 0 {
			t.Errorf("%s accepts an image that nobody signed", version)
		}
	}
	secret := u.registry.PushSmall(t, "acme/app", "unlogged")
	u.must(t, stock.CosignV2, "sign", "--key", "cosign.key", "--tlog-upload=false", "--yes", secret)
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		if r := u.run(t, version, "verify", "--key", "cosign.pub", "--rekor-url", l.URL, secret); r.Code == 0 {
			t.Errorf("%s accepts a signature that was not logged", version)
		}
	}
}

// withoutEntry removes the stored log entry from a signature's tag.
func withoutEntry(t *testing.T, image, suffix string) {
	t.Helper()
	const annotation = "dev.sigstore.cosign/bundle"
	digest, err := name.NewDigest(image)
	check(t, err)
	tag := digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + "." + suffix)
	got, err := remote.Get(tag, remote.WithContext(t.Context()))
	check(t, err)
	m := unmarshal[map[string]any](t, got.Manifest)
	removed := 0
	layers, _ := m["layers"].([]any) // none: removed stays 0
	for _, layer := range layers {
		annotations, _ := layer.(map[string]any)["annotations"].(map[string]any)
		if _, has := annotations[annotation]; has {
			delete(annotations, annotation)
			removed++
		}
	}
	if removed == 0 {
		t.Fatalf("%s has no stored log entry: %s", tag, got.Manifest)
	}
	raw, err := json.Marshal(m)
	check(t, err)
	check(t, remote.Put(tag, rawManifest{raw, got.MediaType}, remote.WithContext(t.Context())))
}

// rawManifest is a manifest as bytes.
type rawManifest struct {
	raw       []byte
	mediaType types.MediaType
}

// RawManifest implements remote.Taggable.
func (m rawManifest) RawManifest() ([]byte, error) { return m.raw, nil }

// MediaType lets the registry client set the content type.
func (m rawManifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }
