// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// maxPassword and maxDockerConfig bound the files, bytes.
	maxPassword     = 16 << 10 // tokens are longer than passwords
	maxDockerConfig = 1 << 20
	// othersMask is who else may not read them.
	othersMask = 0o007
)

// Password is a Source of a user name and a password, which is the content of a
// file without its line end. The file is read again when it may have changed.
type Password struct {
	Username string
	File     string
}

// Credentials implements Source.
func (p Password) Credentials(context.Context) (authn.AuthConfig, time.Time, error) {
	content, err := readSecret(p.File, maxPassword)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("read password: %w", err)
	}
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	if len(content) == 0 {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("read password: %s is empty", p.File)
	}
	return authn.AuthConfig{Username: p.Username, Password: string(content)}, time.Time{}, nil
}

// DockerConfig is a Source of the entry for Host under "auths" in a Docker
// configuration file, as `docker login` or a Kubernetes pull secret writes it.
// Programs that the file names are not run.
type DockerConfig struct {
	File string
	Host string
}

// Credentials implements Source.
func (d DockerConfig) Credentials(context.Context) (authn.AuthConfig, time.Time, error) {
	cfg, err := d.entry()
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("docker configuration %s: %w", d.File, err)
	}
	return cfg, time.Time{}, nil
}

// dockerEntry is one of "auths". It is decoded here, since the library's own
// decoder repeats the secret in its errors.
type dockerEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (d DockerConfig) entry() (authn.AuthConfig, error) {
	raw, err := readSecret(d.File, maxDockerConfig)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	var file struct {
		Auths       map[string]dockerEntry `json:"auths"`
		CredsStore  string                 `json:"credsStore"`
		CredHelpers map[string]string      `json:"credHelpers"`
	}
	if json.Unmarshal(raw, &file) != nil {
		return authn.AuthConfig{}, errors.New("it is not a Docker configuration in JSON")
	}
	for _, key := range dockerKeys(d.Host) {
		entry, ok := file.Auths[key]
		if !ok {
			continue
		}
		cfg, err := entry.config()
		if err != nil {
			return authn.AuthConfig{}, fmt.Errorf("entry %q: %w", key, err)
		}
		if cfg != (authn.AuthConfig{}) {
			return cfg, nil
		}
	}
	helper := file.CredsStore
	for _, key := range dockerKeys(d.Host) {
		if h := file.CredHelpers[key]; h != "" {
			helper = h
		}
	}
	if helper != "" {
		return authn.AuthConfig{}, fmt.Errorf("it leaves %s to the program docker-credential-%s, which is not run because a file says so (hint: credentialHelper: {program: /path/to/docker-credential-%s})", d.Host, helper, helper)
	}
	return authn.AuthConfig{}, fmt.Errorf("it has no entry for %s (hint: docker login %s, or name another source)", d.Host, d.Host)
}

// dockerKeys are the names under which clients have written a host down. Nothing
// but the whole host counts.
func dockerKeys(host string) []string {
	keys := []string{host, "https://" + host, "https://" + host + "/", "https://" + host + "/v1/", "https://" + host + "/v2/"}
	if host == "docker.io" {
		keys = append(keys, "https://index.docker.io/v1/", "index.docker.io")
	}
	return keys
}

func (e dockerEntry) config() (authn.AuthConfig, error) {
	cfg := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimRight(e.Auth, "=") + strings.Repeat("=", (4-len(strings.TrimRight(e.Auth, "="))%4)%4))
		user, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok {
			return authn.AuthConfig{}, errors.New("auth is not user:password in base64")
		}
		cfg.Username, cfg.Password = user, strings.TrimRight(password, "\x00")
	}
	if cfg.IdentityToken != "" || cfg.RegistryToken != "" {
		cfg.Username, cfg.Password = "", "" // docker writes a placeholder beside a token
	}
	return cfg, nil
}

// readSecret reads a file that others must not be able to.
func readSecret(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the operator's configuration
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&othersMask != 0 {
		return nil, fmt.Errorf("%s may be read by others: mode %04o (hint: chmod 600; defaultMode: 0440 in a pod)", path, mode)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}
