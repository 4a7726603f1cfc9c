// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
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
