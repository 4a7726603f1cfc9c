// SPDX-License-Identifier: Apache-2.0

package stock

import (
	"debug/buildinfo"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/e2e/tools"
)

// Stock means stock: what is in the cache was built from the pinned package at
// the pinned version, as the binary itself says.
func TestToolsAreWhatTheirPinsSay(t *testing.T) {
	pins, err := tools.Pins()
	if err != nil {
		t.Fatal(err)
	}
	pins, err = tools.Select(pins, []string{"test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pins {
		info, err := buildinfo.ReadFile(Tool(t, p.Name))
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if info.Path != p.Package {
			t.Errorf("%s is built from %s, want %s", p.Name, info.Path, p.Package)
		}
		if strings.HasPrefix(p.Version, "v") && info.Main.Version != p.Version {
			t.Errorf("%s is version %s, want %s", p.Name, info.Main.Version, p.Version)
		}
		if info.Main.Replace != nil {
			t.Errorf("%s is built from a replaced module", p.Name)
		}
	}
}

func TestMissingToolIsAnErrorWithAHint(t *testing.T) {
	t.Setenv(tools.EnvDir, t.TempDir())
	if _, err := find("registry"); err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("got %v, want the hint to run make tools", err)
	}
	if _, err := find("cosing"); err == nil {
		t.Error("an unknown name was found")
	}
}

func TestCosignExitCodeAndOutput(t *testing.T) {
	for _, version := range []string{CosignV2, CosignV3} {
		if r := Cosign(t, version, "help"); r.Code != 0 || !strings.Contains(r.Stdout, "verify-attestation") {
			t.Errorf("%s help: exit code %d, stdout %q", version, r.Code, r.Stdout)
		}
		if r := Cosign(t, version, "no-such-command"); r.Code == 0 || r.Stderr == "" {
			t.Errorf("%s no-such-command: exit code %d, stderr %q", version, r.Code, r.Stderr)
		}
	}
}

// An attempt to leave the machine must end with an error of the dead proxy,
// whatever network the machine has.
func TestNoWayOut(t *testing.T) {
	r := Cosign(t, CosignV3, "verify", "registry.example/acme/app:latest",
		"--certificate-identity=x", "--certificate-oidc-issuer=y", "--insecure-ignore-tlog=true")
	if r.Code == 0 || !strings.Contains(r.Stderr, "127.0.0.1:9") {
		t.Errorf("exit code %d, stderr %q, want a refused connection to the dead proxy", r.Code, r.Stderr)
	}
}

func TestRegistryStoresAnImage(t *testing.T) {
	r := Registry(t)
	pushAndPull(t, r, authn.Anonymous)

	r.Stop()
	if r.answers(t.Context()) {
		t.Error("the registry still answers after Stop")
	}
}

func TestRegistryWithBasicAuth(t *testing.T) {
	r := Registry(t, WithBasicAuth("ci", "secret"))
	pushAndPull(t, r, &authn.Basic{Username: "ci", Password: "secret"})

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d, want 401", resp.StatusCode)
	}
}

func pushAndPull(t *testing.T, r *RegistryServer, who authn.Authenticator) {
	t.Helper()
	ref, err := name.ParseReference(r.Host + "/acme/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(who), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Head(ref, remote.WithAuth(who), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := img.Digest(); err != nil || got.Digest != want {
		t.Errorf("registry has %s, pushed %s (%v)", got.Digest, want, err)
	}
}
