// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
)

// chartKeychain finds credentials where helm registry login and docker login
// leave them, in this order.
func chartKeychain(env environment) authn.Keychain {
	return authn.NewMultiKeychain(helmKeychain{env}, authn.DefaultKeychain)
}

// helmKeychain reads Helm's file, which has the form of Docker's.
type helmKeychain struct{ env environment }

// Resolve implements authn.Keychain. A file that is not there, or cannot be
// read, knows nobody: Docker's is asked next.
func (k helmKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	f, err := os.Open(k.file())
	if err != nil {
		return authn.Anonymous, nil
	}
	defer func() { _ = f.Close() }() // read only
	file, err := config.LoadFromReader(f)
	if err != nil {
		return authn.Anonymous, nil
	}
	found, err := file.GetAuthConfig(target.RegistryStr())
	if err != nil || found.Username+found.Password+found.IdentityToken+found.RegistryToken+found.Auth == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}

// file is where Helm has it (helm env, HELM_REGISTRY_CONFIG).
func (k helmKeychain) file() string {
	if named := k.env.getenv("HELM_REGISTRY_CONFIG"); named != "" {
		return named
	}
	home := k.env.getenv("HELM_CONFIG_HOME")
	if home == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		if xdg := k.env.getenv("XDG_CONFIG_HOME"); xdg != "" {
			base = xdg
		}
		home = filepath.Join(base, "helm")
	}
	return filepath.Join(home, "registry", "config.json")
}
