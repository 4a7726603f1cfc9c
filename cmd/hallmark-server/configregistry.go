// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer/registryauth"
	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	// maxCA bounds a file of certificates, bytes.
	maxCA = 1 << 20
	// maxRegistries bounds the hosts of the central registry.
	maxRegistries = 64
)

// Clouds whose identity of this machine or pod can be exchanged for a token of
// their registry.
const (
	cloudAWS    = "aws"
	cloudGoogle = "google"
	cloudAzure  = "azure"
)

// RegistryConfig is a host of the central registry. Credentials come from at
// most one of username with passwordFile, dockerConfig, credentialHelper and
// cloud; without any the service is anonymous there. They are sent to Host and
// to its token service, and nowhere else.
type RegistryConfig struct {
	// Host is host[:port].
	Host string `yaml:"host"`
	// Insecure allows plain HTTP, to a loopback address only.
	Insecure bool `yaml:"insecure,omitempty"`
	// CAFile holds the certificates, PEM, that the registry and its token
	// service must have theirs from, in place of the system's. Its storage may
	// have either.
	CAFile string `yaml:"caFile,omitempty"`
	// Username and PasswordFile. The file is read again when it changes.
	Username     string `yaml:"username,omitempty"`
	PasswordFile string `yaml:"passwordFile,omitempty"`
	// DockerConfig is a Docker configuration file with an entry for Host under
	// auths. Programs that it names are not run.
	DockerConfig string `yaml:"dockerConfig,omitempty"`
	// CredentialHelper is a Docker credential helper, the only program that the
	// service runs, and only if it is named here.
	CredentialHelper *HelperConfig `yaml:"credentialHelper,omitempty"`
	// Cloud is aws (Amazon ECR), google (Artifact Registry) or azure (ACR): the
	// identity that the cloud gives to this machine or pod is exchanged for a
	// token, which is replaced before it ends. Host must be that cloud's.
	Cloud string `yaml:"cloud,omitempty"`
	// TokenHost is the host[:port] of the registry's token service, if it is
	// not Host; it gets the credentials. BlobHosts are hosts of the storage
	// that the registry redirects downloads to; they get none.
	TokenHost string   `yaml:"tokenHost,omitempty"`
	BlobHosts []string `yaml:"blobHosts,omitempty"`
	// Proxy is http://host:port; the variables HTTPS_PROXY and its kin are not
	// looked at. Addresses behind a proxy are the proxy's to check.
	Proxy string `yaml:"proxy,omitempty"`
}

// HelperConfig names a credential helper and the variables of the service's
// environment that it gets beside PATH and HOME.
type HelperConfig struct {
	Program string   `yaml:"program"`
	Env     []string `yaml:"env,omitempty"`
}

// NetworkConfig says which addresses the names of registries, token services,
// storage and proxies may lead to. It is asked for the very address that is
// connected to. Link-local and metadata addresses are never connected to.
type NetworkConfig struct {
	// AllowPrivate allows private addresses. Default: true.
	AllowPrivate *bool `yaml:"allowPrivate,omitempty"`
	// AllowLoopback lets a name lead to this machine. Hosts that are written as
	// localhost or a loopback address need it not.
	AllowLoopback bool `yaml:"allowLoopback,omitempty"`
	// Deny are further ranges that are never connected to: 10.96.0.0/12.
	Deny []netip.Prefix `yaml:"deny,omitempty"`
}

func (n NetworkConfig) network() oci.Network {
	return oci.Network{DenyPrivate: n.AllowPrivate != nil && !*n.AllowPrivate, AllowLoopback: n.AllowLoopback, Deny: n.Deny}
}

// allRegistries are the hosts of the central registry, the first one first.
func (c *Config) allRegistries() []RegistryConfig {
	return append([]RegistryConfig{c.Registry}, c.Registries...)
}

// registryFiles are the files that the registries' configuration names.
func (c *Config) registryFiles() (secret, public []string) {
	for _, r := range c.allRegistries() {
		secret = append(secret, r.PasswordFile, r.DockerConfig)
		if r.CAFile != "" {
			public = append(public, r.CAFile)
		}
	}
	return secret, public
}

// checkRegistries checks what can be checked without files.
func (c *Config) checkRegistries() error {
	if n := len(c.Registries); n >= maxRegistries {
		return fmt.Errorf("registries: %d hosts, the limit is %d", n, maxRegistries-1)
	}
	var all []oci.Registry
	for _, r := range c.allRegistries() {
		if r.Insecure && !oci.IsLoopback(r.Host) {
			return fmt.Errorf("registry %s: insecure is for loopback addresses only", r.Host)
		}
		if err := r.checkCredentials(); err != nil {
			return fmt.Errorf("registry %s: %w", r.Host, err)
		}
		client, err := r.client(nil)
		if err != nil {
			return fmt.Errorf("registry %s: %w", r.Host, err)
		}
		all = append(all, client)
	}
	if _, err := oci.New(oci.Config{Registries: all, Network: c.RegistryNetwork.network()}); err != nil {
		return fmt.Errorf("registry: %w (hint: host is host[:port], without https://)", err)
	}
	return nil
}

// checkCredentials wants one source of credentials at most.
func (r RegistryConfig) checkCredentials() error {
	if (r.Username == "") != (r.PasswordFile == "") {
		return errors.New("username and passwordFile go together")
	}
	sources := 0
	for _, given := range []bool{r.Username != "", r.DockerConfig != "", r.CredentialHelper != nil, r.Cloud != ""} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return errors.New("credentials come from one of username, dockerConfig, credentialHelper and cloud")
	}
	if r.Insecure && r.CAFile != "" {
		return errors.New("caFile: there are no certificates in plain HTTP")
	}
	if r.Cloud == "" {
		return nil
	}
	_, err := r.cloud(oci.Network{}, oci.Registry{})
	return err
}

// client is the registry as the registry client wants it.
func (r RegistryConfig) client(roots []*x509.Certificate) (oci.Registry, error) {
	client := oci.Registry{Host: r.Host, Insecure: r.Insecure, TokenHost: r.TokenHost, BlobHosts: r.BlobHosts, Roots: roots}
	if r.Proxy != "" {
		u, err := url.Parse(r.Proxy)
		if err != nil || u.User != nil {
			return oci.Registry{}, errors.New("proxy is not of the form http://host:port, without a password")
		}
		client.Proxy = u
	}
	return client, nil
}

// cloud is the source of a cloud's tokens.
func (r RegistryConfig) cloud(n oci.Network, client oci.Registry) (registryauth.Source, error) {
	switch r.Cloud {
	case cloudAWS:
		return registryauth.NewAWS(r.Host)
	case cloudGoogle:
		return registryauth.NewGoogle(r.Host)
	case cloudAzure:
		return registryauth.NewAzure(r.Host, oci.NewTransport(n, client))
	}
	return nil, fmt.Errorf("cloud %q is not aws, google or azure", r.Cloud)
}

// newRegistry makes the registry client. What is in a file is read now, so that
// a missing one is noticed; whether the registry likes it shows when it is
// asked.
func newRegistry(ctx context.Context, cfg *Config, db store.Database, logger *slog.Logger) (*oci.Client, error) {
	network := cfg.RegistryNetwork.network()
	var all []oci.Registry
	sources := make(map[string]registryauth.Source)
	for _, r := range cfg.allRegistries() {
		roots, err := cfg.readRoots(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", r.Host, err)
		}
		client, err := r.client(roots)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", r.Host, err)
		}
		source, err := cfg.registrySource(ctx, r, network, client)
		if err != nil {
			return nil, fmt.Errorf("registry %s: credentials: %w", r.Host, err)
		}
		if source != nil {
			sources[r.Host] = source
		}
		all = append(all, client)
	}
	config := oci.Config{
		Registries: all, Network: network, Members: true,
		Keychain: registryauth.NewKeychain(sources, logger), Logger: logger,
	}
	// Servers of one database take turns where a registry leaves it to its
	// clients to keep a list.
	if shared, ok := db.(interface {
		Turn(ctx context.Context, name string) (release func(), err error)
	}); ok {
		config.Turn = shared.Turn
	}
	return oci.New(config)
}

// registrySource is the source of a registry's credentials, nil if it has none.
func (c *Config) registrySource(ctx context.Context, r RegistryConfig, n oci.Network, client oci.Registry) (registryauth.Source, error) {
	switch {
	case r.Username != "":
		return readNow(ctx, registryauth.Password{Username: r.Username, File: c.path(r.PasswordFile)})
	case r.DockerConfig != "":
		return readNow(ctx, registryauth.DockerConfig{File: c.path(r.DockerConfig), Host: r.Host})
	case r.CredentialHelper != nil:
		helper := registryauth.Helper{Program: r.CredentialHelper.Program, Env: r.CredentialHelper.Env, Host: r.Host}
		return helper, helper.Check()
	case r.Cloud != "":
		return r.cloud(n, client)
	}
	return nil, nil
}

// readNow tries a source that is a file.
func readNow(ctx context.Context, source registryauth.Source) (registryauth.Source, error) {
	_, _, err := source.Credentials(ctx)
	return source, err
}

// readRoots reads the certificates of a registry's authorities.
func (c *Config) readRoots(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := readBounded(c.path(file), maxCA)
	if err != nil {
		return nil, fmt.Errorf("caFile: %w", err)
	}
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("caFile %s holds a %s (hint: certificates only)", file, block.Type)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("caFile %s: %w", file, err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("caFile %s holds no PEM certificate", file)
	}
	return roots, nil
}
