// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// maxConfig bounds the configuration file, bytes.
const maxConfig = 1 << 20

// Config is hallmark.yaml. It is read strictly: an unknown member is an error.
// Relative paths are relative to the file's folder, which also holds keys/,
// certs/ and trust/, and the database (hallmark.db) unless it is PostgreSQL.
type Config struct {
	// Origin is the public URL of this service, without a path. Its host name
	// is the origin of the transparency log, and <origin>/attestor is the
	// identity of attestations, so it cannot be changed later.
	Origin string `yaml:"origin"`
	// Listen is the public address, host:port.
	Listen string `yaml:"listen"`
	// TLS names the certificate and key of the public address. Without it the
	// address must be a loopback one.
	TLS *TLSConfig `yaml:"tls,omitempty"`
	// Admin is the private address of /healthz, /readyz and /metrics.
	Admin string `yaml:"admin"`
	// Registry is the central registry: nothing outside it is ever signed.
	Registry RegistryConfig `yaml:"registry"`
	// Registries are further hosts of the central registry: regions, replicas,
	// one for each cloud. What is on them can be signed as well, by whom policy
	// lets, so caches of other people's images do not belong here.
	Registries []RegistryConfig `yaml:"registries,omitempty"`
	// RegistryNetwork says which addresses their names may lead to.
	RegistryNetwork NetworkConfig `yaml:"registryNetwork,omitempty"`
	// Password opens the keys.
	Password PasswordConfig `yaml:"password"`
	// Policy is the SigningPolicy file.
	Policy string `yaml:"policy"`
	// Audience is the one audience that tokens must have. Default: origin.
	Audience string `yaml:"audience,omitempty"`
	// Identities are the CI systems whose tokens are accepted.
	Identities []identity.Source `yaml:"identities"`
	// Quotas bound how often identity sources and projects may ask.
	Quotas QuotasConfig `yaml:"quotas,omitempty"`
	// Database is a PostgreSQL database, which any number of servers share.
	// Without it the database is the SQLite file hallmark.db, for one server.
	Database *DatabaseConfig `yaml:"database,omitempty"`
	// Fulcio lets stock clients sign by themselves. Without it they cannot.
	Fulcio *FulcioConfig `yaml:"fulcio,omitempty"`
	// Signing says what signatures look like.
	Signing SigningConfig `yaml:"signing,omitempty"`
	// Attestations has schemas of predicates.
	Attestations AttestationsConfig `yaml:"attestations,omitempty"`
	// Log configures the transparency logs.
	Log LogConfig `yaml:"log"`
	// Keys are those of the deployment's keys that are in a KMS, by name (ca, ct,
	// log-v1, log-v2, tsa, ca-root, tsa-root); the others are in files.
	Keys map[string]string `yaml:"keys,omitempty"`
	// KMS says how to reach key management services.
	KMS KMSConfig `yaml:"kms,omitempty"`
	// Charts says what is done with Helm charts.
	Charts ChartsConfig `yaml:"charts,omitempty"`
	// TUF configures the trust repository.
	TUF TUFConfig `yaml:"tuf,omitempty"`

	dir      string // the file's folder
	rootKeys string // init: the folder that the first root key is left in
}

// TLSConfig names PEM files.
type TLSConfig struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// PasswordConfig says where the password of the keys is: a file that only the
// service's user can read, or an environment variable.
type PasswordConfig struct {
	File string `yaml:"file,omitempty"`
	Env  string `yaml:"env,omitempty"`
}

// dirFlag adds --dir to a command.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "folder of the deployment (compulsory)")
}

// openConfig reads the configuration in the folder that --dir names. Whatever
// is wrong with it is wrong usage: only a person can mend it.
func openConfig(cmd *cobra.Command, dir string) (*Config, error) {
	if err := needDir(cmd, dir); err != nil {
		return nil, err
	}
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

func needDir(cmd *cobra.Command, dir string) error {
	if dir == "" {
		return usageError{fmt.Errorf("--dir is compulsory (hint: %s)", cmd.UseLine())}
	}
	return nil
}

// devServer is the folder of the deployment below that of hallmark dev.
const devServer = "server"

// whereConfig says where the configuration of a folder without one may be. It does
// not advise init: whoever has mistaken the folder would begin a second deployment.
func whereConfig(dir string) string {
	if below := filepath.Join(dir, devServer); exists(filepath.Join(below, configName)) {
		return "--dir " + below + ", where hallmark dev has it"
	}
	return "--dir is the folder with " + configName + "; of hallmark dev --dir DIR it is DIR/" + devServer
}

// readConfig reads and checks a configuration file.
func readConfig(path string) (*Config, error) {
	raw, err := readBounded(path, maxConfig)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open configuration: no file %s (hint: %s)", path, whereConfig(filepath.Dir(path)))
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg := &Config{dir: filepath.Dir(path)}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(cfg); err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	if cfg.Audience == "" {
		cfg.Audience = cfg.Origin
	}
	cfg.Signing.setDefaults()
	cfg.Log.setDefaults()
	cfg.TUF.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if cfg.TLS != nil {
		cfg.TLS.Cert, cfg.TLS.Key = cfg.path(cfg.TLS.Cert), cfg.path(cfg.TLS.Key)
	}
	return cfg, nil
}

func (c *Config) check() error {
	for _, member := range [][2]string{
		{"origin", c.Origin}, {"listen", c.Listen}, {"admin", c.Admin}, {"registry.host", c.Registry.Host}, {"policy", c.Policy},
	} {
		if member[1] == "" {
			return fmt.Errorf("%s is missing", member[0])
		}
	}
	if (c.Password.File == "") == (c.Password.Env == "") {
		return errors.New("password: exactly one of file and env")
	}
	if err := signer.CheckOrigin(c.Origin); err != nil {
		return err
	}
	for _, member := range [][2]string{{"listen", c.Listen}, {"admin", c.Admin}} {
		if _, _, err := net.SplitHostPort(member[1]); err != nil {
			return fmt.Errorf("%s %q is not an address (hint: 127.0.0.1:8080)", member[0], member[1])
		}
	}
	if c.TLS == nil && !oci.IsLoopback(c.Listen) {
		return fmt.Errorf("listen %s: without tls only a loopback address is allowed (hint: tls: {cert: FILE, key: FILE}, or a proxy in front)", c.Listen)
	}
	if err := c.checkRegistries(); err != nil {
		return err
	}
	return errors.Join(c.Database.check(), c.Signing.check(), c.Log.check(), c.Quotas.check(c.Identities), c.checkIdentities(), c.checkFulcio(), c.checkKeys(), c.TUF.check(), c.checkCharts())
}

// checkIdentities keeps jobs from names that are this service's own: what it
// attests counts as evidence by issuer and URI of the certificate.
func (c *Config) checkIdentities() error {
	own := func(url string) bool { return strings.EqualFold(strings.TrimRight(url, "/"), c.Origin) }
	for _, s := range c.Identities {
		switch {
		case own(s.Issuer):
			return fmt.Errorf("identity source %q: issuer %s is this service's own origin, in the name of which it attests", s.Name, s.Issuer)
		case own(s.URL):
			return fmt.Errorf("identity source %q: url %s is this service's own origin, in the name of which it attests", s.Name, s.URL)
		}
	}
	return nil
}

// listenAt replaces the addresses of the configuration by those that are not
// empty.
func (c *Config) listenAt(listen, admin string) error {
	if listen != "" {
		c.Listen = listen
	}
	if admin != "" {
		c.Admin = admin
	}
	return c.check()
}

// path resolves a path of the configuration file.
func (c *Config) path(elem ...string) string {
	joined := filepath.Join(elem...)
	if filepath.IsAbs(joined) {
		return joined
	}
	return filepath.Join(c.dir, joined)
}
