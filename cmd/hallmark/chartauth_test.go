// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Credentials are those of helm registry login, for their registry only.
func TestHelmKeychain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"auths": {"registry.example": {"auth": "YW5uOnNlY3JldA=="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	keychain := func(path string) authn.Keychain {
		return helmKeychain{environment{getenv: func(name string) string {
			if name == "HELM_REGISTRY_CONFIG" {
				return path
			}
			return ""
		}}}
	}
	for _, tc := range []struct{ file, host, user string }{
		{file, "registry.example", "ann"}, {file, "other.example", ""}, {file + ".gone", "registry.example", ""},
	} {
		registry, err := name.NewRegistry(tc.host)
		if err != nil {
			t.Fatal(err)
		}
		found, err := keychain(tc.file).Resolve(registry)
		if err != nil {
			t.Fatal(err)
		}
		config, err := found.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if config.Username != tc.user {
			t.Errorf("%s in %s: user %q, want %q", tc.host, tc.file, config.Username, tc.user)
		}
	}
	home := helmKeychain{environment{getenv: func(name string) string {
		return map[string]string{"HELM_CONFIG_HOME": "/h"}[name]
	}}}
	if home.file() != "/h/registry/config.json" {
		t.Error(home.file())
	}
}
