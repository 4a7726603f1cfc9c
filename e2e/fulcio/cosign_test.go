// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// way is how a job calls cosign to sign.
type way struct {
	name, version string
	log           string // the log that the entry goes to
	args          func(t *testing.T, j *job) []string
	legacy        bool // writes a tag instead of a bundle
}

// urls are the flags of cosign without a signing config.
func urls(j *job) []string {
	return []string{"--fulcio-url", j.URL, "--rekor-url", j.URL, "--timestamp-server-url", j.URL + "/api/v1/timestamp"}
}

func ways() []way {
	config := func(version int) func(*testing.T, *job) []string {
		return func(t *testing.T, j *job) []string {
			return []string{"--signing-config", j.signingConfig(t, version), "--trusted-root", j.TrustedRoot()}
		}
	}
	return []way{
		{name: "cosign 2", version: stock.CosignV2, log: "v1", legacy: true, args: func(_ *testing.T, j *job) []string { return urls(j) }},
		{name: "cosign 2, bundle", version: stock.CosignV2, log: "v1", args: func(_ *testing.T, j *job) []string {
			return append(urls(j), "--new-bundle-format", "--trusted-root", j.TrustedRoot())
		}},
		{name: "cosign 2, signing config v1", version: stock.CosignV2, log: "v1", args: config2(1)},
		{name: "cosign 2, signing config v2", version: stock.CosignV2, log: "v2", args: config2(2)},
		{name: "cosign 3, v1", version: stock.CosignV3, log: "v1", args: config(1)},
		{name: "cosign 3, v2", version: stock.CosignV3, log: "v2", args: config(2)},
		{name: "cosign 3, URLs", version: stock.CosignV3, log: "v1", args: func(_ *testing.T, j *job) []string {
			return append(urls(j), "--use-signing-config=false", "--trusted-root", j.TrustedRoot())
		}},
	}
}

// config2 is a signing config for cosign 2, which writes bundles when asked.
func config2(version int) func(*testing.T, *job) []string {
	return func(t *testing.T, j *job) []string {
		return []string{"--signing-config", j.signingConfig(t, version), "--trusted-root", j.TrustedRoot(), "--new-bundle-format"}
	}
}

// TestStockCosign: cosign in a CI job, against logs that take entries of
// certificates that were issued here, and nobody else's.
func TestStockCosign(t *testing.T) {
	j := start(t, lab.Options{})
	for name, does := range map[string]func(*testing.T, *job){"sign": signs, "attest": attests, "sign-blob": signsBlobs, "several digests": signsMany, "told apart": toldApart} {
		t.Run(name, func(t *testing.T) { does(t, j) })
	}
	j.Fsck(t)
}

// signs: `cosign sign`, in every way that there is.
func signs(t *testing.T, j *job) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			image := j.PushSmall(t, "acme/app", strings.NewReplacer(" ", "-", ",", "").Replace(w.name))
			before := j.sizes(t)
			args := append([]string{"sign", "--yes", "--identity-token", j.token(t)}, w.args(t, j)...)
			if r := j.run(t, w.version, j.env, append(args, image)...); r.Code != 0 {
				t.Fatalf("exit code %d: %s", r.Code, r.Stderr)
			}
			if after, want := j.sizes(t), before.plus(w.log); after != want {
				t.Errorf("the logs have %v entries, want %v", after, want)
			}
			j.verifies(t, w, image)
		})
	}
}

// sizes are those of the two logs.
type sizes struct{ v1, v2 int64 }

func (j *job) sizes(t *testing.T) (s sizes) {
	t.Helper()
	var list struct {
		Logs []struct {
			Kind string
			Size int64
		}
	}
	check(t, json.Unmarshal(get(t, j.URL+"/hallmark/v1/logs"), &list))
	for _, l := range list.Logs {
		switch l.Kind {
		case "v1":
			s.v1 = l.Size
		case "v2":
			s.v2 = l.Size
		}
	}
	return s
}

// plus is the sizes after one more entry.
func (s sizes) plus(log string) sizes {
	if log == "v1" {
		s.v1++
	} else {
		s.v2++
	}
	return s
}

// verifies has everybody verify what was signed: both versions of cosign, and
// hallmark, which says that no gate has seen it.
func (j *job) verifies(t *testing.T, w way, image string) {
	t.Helper()
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		args := append([]string{"verify", "--trusted-root", j.TrustedRoot()}, j.identity()...)
		if version == stock.CosignV2 && w.log == "v2" {
			args = append(args, "--use-signed-timestamps")
		}
		if r := j.run(t, version, nil, append(args, image)...); r.Code != 0 {
			t.Errorf("%s refuses: %s", version, r.Stderr)
		}
		other := []string{"verify", "--trusted-root", j.TrustedRoot(), "--certificate-identity", workflow + "x", "--certificate-oidc-issuer", j.Issuer.URL(devissuer.GitHub)}
		if r := j.run(t, version, nil, append(other, image)...); r.Code == 0 {
			t.Errorf("%s accepts another identity", version)
		}
	}
	if w.legacy {
		return // hallmark reads bundles
	}
	args := append([]string{"verify", image}, j.identity()...)
	r := j.Hallmark(t, "", args...)
	if r.Code != 0 || !strings.Contains(r.Stdout, "not by the service") {
		t.Errorf("hallmark verify: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := j.Hallmark(t, "", append(args, "--signed-by-service")...); r.Code != 1 || !strings.Contains(r.Stderr, "no gate is evaluated") {
		t.Errorf("hallmark verify --signed-by-service: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// toldApart: a stock verifier whose trusted root lacks the authority for
// certificates on request believes what the service signed, and nothing else.
func toldApart(t *testing.T, j *job) {
	own, byService := j.PushSmall(t, "acme/app", "own"), j.PushSmall(t, "acme/app", "by-service")
	args := append([]string{"sign", "--yes", "--identity-token", j.token(t)}, urls(j)...)
	if r := j.run(t, stock.CosignV2, j.env, append(args, "--new-bundle-format", "--trusted-root", j.TrustedRoot(), own)...); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	if r := j.Hallmark(t, j.Token(t, devissuer.GitHub), "sign", byService); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	var root map[string]any
	check(t, json.Unmarshal(get(t, j.URL+"/hallmark/v1/trusted_root.json"), &root))
	all, _ := root["certificateAuthorities"].([]any)
	if len(all) != 2 {
		t.Fatalf("%d authorities", len(all))
	}
	root["certificateAuthorities"] = all[:1]
	raw, err := json.Marshal(root)
	check(t, err)
	narrow := filepath.Join(t.TempDir(), "trusted_root.json")
	check(t, os.WriteFile(narrow, raw, 0o600))
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for _, tc := range []struct {
			image, root string
			want        bool
		}{{own, j.TrustedRoot(), true}, {own, narrow, false}, {byService, j.TrustedRoot(), true}, {byService, narrow, true}} {
			r := j.run(t, version, nil, append(append([]string{"verify", "--trusted-root", tc.root}, j.identity()...), tc.image)...)
			if (r.Code == 0) != tc.want {
				t.Errorf("%s, %s under %s: exit code %d: %s", version, tc.image, tc.root, r.Code, r.Stderr)
			}
		}
	}
	// Hallmark tells by policy.
	for image, says := range map[string]string{own: "not signed by the service", byService: ""} {
		r := j.Hallmark(t, "", append([]string{"verify", image, "--signed-by-service"}, j.identity()...)...)
		if (r.Code == 0) != (says == "") || !strings.Contains(r.Stderr, says) {
			t.Errorf("hallmark verify --signed-by-service %s: %d %s", image, r.Code, r.Stderr)
		}
	}
}
