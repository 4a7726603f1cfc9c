// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/freeport"
)

// devAddresses are kept in DIR/dev.json: the trusted root, the signatures and
// the tokens of earlier runs name them.
type devAddresses struct {
	Server   string `json:"server"`
	Admin    string `json:"admin"`
	Registry string `json:"registry"`
	Issuer   string `json:"issuer"`
}

func (a devAddresses) origin() string { return "http://" + a.Server }

// devDeployment is the content of DIR and the listeners that are ours.
type devDeployment struct {
	dir                              string
	addr                             devAddresses
	issuer                           *devissuer.Issuer
	registryListener, issuerListener net.Listener
}

func (d *devDeployment) serverDir() string { return filepath.Join(d.dir, "server") }

// openDev reads DIR, or makes it with free addresses and a new issuer key.
func openDev(ctx context.Context, dir string) (_ *devDeployment, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	d := &devDeployment{dir: dir}
	if err := d.readOrMakeAddresses(ctx); err != nil {
		return nil, err
	}
	if d.issuer, err = openIssuer(dir, d.addr); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if d.registryListener, err = lc.Listen(ctx, "tcp", d.addr.Registry); err != nil {
		return nil, fmt.Errorf("registry: %w (hint: is another `hallmark dev --dir %s` running?)", err, dir)
	}
	if d.issuerListener, err = lc.Listen(ctx, "tcp", d.addr.Issuer); err != nil {
		return nil, errors.Join(fmt.Errorf("token issuer: %w", err), d.registryListener.Close())
	}
	return d, nil
}

func (d *devDeployment) close() {
	_ = d.registryListener.Close() // closed by their servers already
	_ = d.issuerListener.Close()
}

func (d *devDeployment) readOrMakeAddresses(ctx context.Context) error {
	path := filepath.Join(d.dir, "dev.json")
	raw, err := os.ReadFile(path) //nolint:gosec // a path of the deployment
	if err == nil {
		if err := json.Unmarshal(raw, &d.addr); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, addr := range []*string{&d.addr.Server, &d.addr.Admin, &d.addr.Registry, &d.addr.Issuer} {
		if *addr, err = freeport.Address(ctx); err != nil {
			return err
		}
	}
	raw, err = json.MarshalIndent(d.addr, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// openIssuer opens DIR/issuer.key, or makes it. The key is in the clear: it
// signs nothing that anybody but this deployment believes.
func openIssuer(dir string, addr devAddresses) (*devissuer.Issuer, error) {
	path := filepath.Join(dir, "issuer.key")
	raw, err := os.ReadFile(path) //nolint:gosec // a path of the deployment
	if errors.Is(err, os.ErrNotExist) {
		return makeIssuer(path, addr)
	}
	if err != nil {
		return nil, err
	}
	key, err := devissuer.ParseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return devissuer.New(key, "http://"+addr.Issuer)
}

func makeIssuer(path string, addr devAddresses) (*devissuer.Issuer, error) {
	key, err := devissuer.NewKey()
	if err != nil {
		return nil, err
	}
	raw, err := devissuer.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	return devissuer.New(key, "http://"+addr.Issuer)
}

// initialise writes the server's configuration and runs its init, once.
func (d *devDeployment) initialise(ctx context.Context, env environment, server string) error {
	rootKeys := []string{"--dir", d.serverDir(), "--root-keys", filepath.Join(d.dir, "root-keys")}
	if _, err := os.Stat(filepath.Join(d.serverDir(), "hallmark.db")); err == nil {
		if _, err := os.Stat(filepath.Join(d.serverDir(), "trust", "1.root.json")); err == nil {
			return nil
		}
		return initCommand(ctx, server, append([]string{"tuf", "init"}, rootKeys...)) // it was made before there was one
	}
	if err := os.MkdirAll(d.serverDir(), 0o700); err != nil {
		return err
	}
	// What an interrupted start wrote stays: its password may open keys already.
	for name, content := range map[string]string{
		"hallmark.yaml": d.config(), "password": rand.Text() + "\n", "signing-policy.yaml": string(policyfiles.SigningPolicy),
	} {
		path := filepath.Join(d.serverDir(), name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := initCommand(ctx, server, append([]string{"init"}, rootKeys...)); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.stderr, "created a development deployment in %s\n", d.dir)
	return nil
}

func initCommand(ctx context.Context, server string, args []string) error {
	cmd := exec.CommandContext(ctx, server, args...) //nolint:gosec // our own server
	var words strings.Builder
	cmd.Stderr = &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", server, args[0], err, words.String())
	}
	return nil
}

func (d *devDeployment) config() string {
	return fmt.Sprintf(`# Written by hallmark dev. DEVELOPMENT ONLY: anybody may write to the log, and
# the token issuer gives a token to anybody who asks.
origin: %s
listen: %s
admin: %s
registry: {host: "%s", insecure: true}
password: {file: password}
policy: signing-policy.yaml
identities:
%s
# Stock clients may sign by themselves here, with a certificate that names
# their workflow: the policy has rules with the action certificate for it.
fulcio: {audience: sigstore}
# One machine, one developer: loops and load tests are nobody else's loss.
quotas: {unlimited: true}
# Provenance files of Helm charts are made here, too.
charts: {pgpKey: file}
# As new deployments: where a gate is passed, a summary says so.
signing: {verificationSummary: true}
log: {writers: open}
`, d.addr.origin(), d.addr.Server, d.addr.Admin, d.addr.Registry, strings.TrimSpace(d.issuer.Sources()))
}

// writeEnv writes DIR/env.
func (d *devDeployment) writeEnv() error {
	origin := d.addr.origin()
	var b strings.Builder
	for _, kv := range [][2]string{
		{"HALLMARK_URL", origin},
		{"HALLMARK_AUDIENCE", origin},
		{"REKOR_URL", origin},
		{"FULCIO_URL", origin},
		{"REKOR_V2_URL", origin},
		{"TSA_URL", origin + "/api/v1/timestamp"},
		{"TUF_URL", origin + "/tuf"},
		{"TUF_ROOT_JSON", filepath.Join(d.serverDir(), "trust", "1.root.json")},
		{"TRUSTED_ROOT", filepath.Join(d.serverDir(), "trust", "trusted_root.json")},
		{"SIGNING_CONFIG", filepath.Join(d.serverDir(), "trust", "signing_config.v0.2.json")},
		{"REGISTRY", d.addr.Registry},
		{"OIDC_ISSUER", "http://" + d.addr.Issuer + "/github"},
		{"ADMIN_URL", "http://" + d.addr.Admin},
	} {
		fmt.Fprintf(&b, "export %s='%s'\n", kv[0], kv[1])
	}
	return os.WriteFile(filepath.Join(d.dir, "env"), []byte(b.String()), 0o600)
}

// waitReady returns when every endpoint answers.
func (d *devDeployment) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, devReady)
	defer cancel()
	for _, url := range []string{
		"http://" + d.addr.Registry + "/v2/", "http://" + d.addr.Issuer + "/github/.well-known/openid-configuration",
		"http://" + d.addr.Admin + "/readyz", d.addr.origin() + "/api/v1/log", d.addr.origin() + "/api/v2/configuration", d.addr.origin() + "/api/v2/checkpoint", d.addr.origin() + "/hallmark/v1/trusted_root.json", d.addr.origin() + "/tuf/timestamp.json",
	} {
		if err := waitFor(ctx, url); err != nil {
			return err
		}
	}
	return nil
}

func waitFor(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
			_ = resp.Body.Close() // read to the end
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", url, err)
		case <-tick.C:
		}
	}
}

func quietLogger() *log.Logger { return log.New(io.Discard, "", 0) }
