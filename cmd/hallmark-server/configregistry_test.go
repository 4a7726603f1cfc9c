// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// registryFile writes a configuration with that text for its registries, and
// what it may name.
func registryFile(t *testing.T, registries string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		configName: "origin: " + testOrigin + "\nlisten: 127.0.0.1:8080\nadmin: 127.0.0.1:8081\npassword: {file: password}\npolicy: signing-policy.yaml\n" + registries + "\n",
		"pass":     "secret\n", "docker.json": `{"auths":{"registry.example":{"auth":"cm9ib3Q6c2VjcmV0"}}}`,
		"helped.json": `{"credsStore":"desktop"}`, "key.pem": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "empty.pem": "",
	} {
		writeFile(t, filepath.Join(dir, name), content)
	}
	return filepath.Join(dir, configName)
}

func TestRegistriesRefused(t *testing.T) {
	for name, tc := range map[string]struct{ registries, says string }{
		"no host":             {`registry: {}`, "registry.host"},
		"second without":      {"registry: {host: a.example}\nregistries: [{cloud: aws}]", "Amazon ECR"},
		"twice":               {"registry: {host: a.example}\nregistries: [{host: a.example}]", "twice"},
		"unknown member":      {`registry: {host: a.example, password: secret}`, "password"},
		"user without file":   {`registry: {host: a.example, username: robot}`, "go together"},
		"file without user":   {`registry: {host: a.example, passwordFile: pass}`, "go together"},
		"two sources":         {`registry: {host: a.example, username: robot, passwordFile: pass, dockerConfig: docker.json}`, "one of"},
		"not of that cloud":   {`registry: {host: a.example, cloud: aws}`, "private registry of Amazon ECR"},
		"looks like a cloud":  {`registry: {host: acme.azurecr.io.evil.example, cloud: azure}`, "not a registry of Azure"},
		"no such cloud":       {`registry: {host: a.example, cloud: ibm}`, "aws, google or azure"},
		"insecure":            {`registry: {host: a.example, insecure: true}`, "loopback"},
		"insecure with CA":    {`registry: {host: "127.0.0.1:5000", insecure: true, caFile: key.pem}`, "plain HTTP"},
		"metadata":            {`registry: {host: 169.254.169.254}`, "metadata"},
		"metadata for tokens": {`registry: {host: a.example, tokenHost: 169.254.169.254}`, "metadata"},
		"denied":              {"registry: {host: 10.1.2.3}\nregistryNetwork: {deny: [10.0.0.0/8]}", "denied range"},
		"private":             {"registry: {host: 10.1.2.3}\nregistryNetwork: {allowPrivate: false}", "private"},
		"bad range":           {"registry: {host: a.example}\nregistryNetwork: {deny: [10.0.0.1/8]}", "10.0.0.0/8"},
		"no range":            {"registry: {host: a.example}\nregistryNetwork: {deny: [ten]}", "ten"},
		"proxy with password": {`registry: {host: a.example, proxy: "http://robot:secret@proxy.example:3128"}`, "without a password"},
		"proxy of SOCKS":      {`registry: {host: a.example, proxy: "socks5://proxy.example:3128"}`, "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(registryFile(t, tc.registries))
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "secret@") {
				t.Errorf("%v, want words about %q", err, tc.says)
			}
		})
	}
}

// TestRegistryFilesRefused: what is wrong with a file is noticed at the start.
func TestRegistryFilesRefused(t *testing.T) {
	for name, tc := range map[string]struct{ registries, says string }{
		"no password file": {`registry: {host: registry.example, username: robot, passwordFile: none}`, "none"},
		"no entry":         {`registry: {host: a.example, dockerConfig: docker.json}`, "no entry for a.example"},
		"helper":           {`registry: {host: a.example, dockerConfig: helped.json}`, "docker-credential-desktop"},
		"helper by name":   {`registry: {host: a.example, credentialHelper: {program: docker-credential-desktop}}`, "absolute"},
		"no CA":            {`registry: {host: a.example, caFile: none}`, "none"},
		"a key for a CA":   {`registry: {host: a.example, caFile: key.pem}`, "PRIVATE KEY"},
		"empty CA":         {`registry: {host: a.example, caFile: empty.pem}`, "no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := readConfig(registryFile(t, tc.registries))
			if err != nil {
				t.Fatal(err)
			}
			_, err = newRegistry(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), cfg.Registry.Host) {
				t.Errorf("%v, want words about %q and the host", err, tc.says)
			}
		})
	}
	path := registryFile(t, `registry: {host: registry.example, username: robot, passwordFile: pass}`)
	if err := os.Chmod(filepath.Join(filepath.Dir(path), "pass"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newRegistry(t.Context(), cfg, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "others") {
		t.Errorf("a password that everybody can read: %v", err)
	}
}

// TestRegistries: each host has its own credentials, and a host that is not
// listed is not spoken to.
func TestRegistries(t *testing.T) {
	cfg, err := readConfig(registryFile(t, `registry: {host: registry.example, username: robot, passwordFile: pass, tokenHost: auth.example, blobHosts: [s3.example]}
registries:
- {host: eu.registry.example, dockerConfig: docker.json}
- {host: 123456789012.dkr.ecr.eu-central-1.amazonaws.com, cloud: aws, proxy: "http://proxy.example:3128"}
- {host: europe-west3-docker.pkg.dev, cloud: google}
- {host: acmeregistry.azurecr.io, cloud: azure}
registryNetwork: {allowPrivate: true, deny: [10.96.0.0/12, "fd00:10:96::/112"]}`))
	if err != nil {
		t.Fatal(err)
	}
	// The second host has no entry in the file.
	if _, err := newRegistry(t.Context(), cfg, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "eu.registry.example") {
		t.Errorf("%v", err)
	}
	cfg.Registries = slices.Delete(cfg.Registries, 0, 1)
	registry, err := newRegistry(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"docker.io/library/nginx:1", "auth.example/acme/app:1", "s3.example/acme/app:1", "registry.example.evil.example/acme/app:1"} {
		if _, err := registry.Resolve(t.Context(), ref); !errors.Is(err, oci.ErrForeignRegistry) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	secret, public := cfg.registryFiles()
	if !slices.Contains(secret, "pass") || len(public) != 0 {
		t.Errorf("files %v and %v", secret, public)
	}
	source, err := cfg.registrySource(t.Context(), cfg.Registry, oci.Network{}, oci.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := source.Credentials(t.Context()); err != nil || got != (authn.AuthConfig{Username: "robot", Password: "secret"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
