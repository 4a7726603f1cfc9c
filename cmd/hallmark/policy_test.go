// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

// TestGuess: whose token it is follows from its claims, and the certificate's
// URI is the one that the service makes (e2e/identities holds those).
func TestGuess(t *testing.T) {
	key, err := devissuer.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New(key, "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for provider, want := range map[string]string{
		devissuer.GitHub:     "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
		devissuer.GitLab:     "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main",
		devissuer.Kubernetes: "https://kubernetes.io/namespaces/acme-ci/serviceaccounts/release",
		devissuer.Buildkite:  "https://buildkite.com/acme/app",
		devissuer.CircleCI:   "https://circleci.com/api/v2/projects/00000000-0000-4000-8000-000000002001/pipeline-definitions/00000000-0000-4000-8000-003467363188",
		devissuer.SPIFFE:     "spiffe://ci.acme.example/ns/acme-ci/sa/release",
		devissuer.Jenkins:    "", // every other CI is described in the server's configuration only
	} {
		token, err := issuer.Mint(provider, "a", nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		claims := make(map[string]any)
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		name := provider
		if want == "" {
			name = ""
		}
		if got, san := guess(claims); got != name || san != want {
			t.Errorf("%s: guessed %q, %q, want %q", provider, got, san, want)
		}
	}
}

// TestClaimsOfNobody: an object that is no CI's claims decides nothing.
func TestClaimsOfNobody(t *testing.T) {
	claims := filepath.Join(t.TempDir(), "claims.json")
	if err := os.WriteFile(claims, []byte(`{"a": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"policy", "test", "../../deploy/policy/gates.yaml", "--token", claims, "--image", "r.example/acme/app@sha256:" + strings.Repeat("a", 64)}
	code, said := runWith(t.Context(), t, nil, args...)
	if code != exitUsage || !strings.Contains(said, "whose claims are these?") {
		t.Errorf("exit %d: %s", code, said)
	}
	if code, said = runWith(t.Context(), t, nil, append(args, "--san", "https://ci.example/acme")...); code != exitNo {
		t.Errorf("with --san: exit %d: %s", code, said)
	}
}
