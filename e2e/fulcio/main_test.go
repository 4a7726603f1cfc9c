// SPDX-License-Identifier: Apache-2.0

// Package fulcio tests the Fulcio API as CI jobs use it that have stock cosign
// and nothing else: both versions, real programs, real logs.
package fulcio

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	audience = "sigstore"
)

func TestMain(m *testing.M) { lab.Main(m) }

// job is a CI job with stock cosign, at a deployment whose Fulcio API is on.
type job struct {
	*lab.Lab
	dir string
	env []string // what verifies without a trusted root: keys in files
}

// start starts a deployment whose log takes entries of its own certificates
// only.
func start(t *testing.T, o lab.Options) *job {
	t.Helper()
	if o.Fulcio == "" {
		o.Fulcio = "{audience: " + audience + "}"
	}
	return jobAt(t, lab.Start(t, o))
}

// jobAt gives a job what cosign wants to know of a deployment that it was not
// initialised for.
func jobAt(t *testing.T, l *lab.Lab) *job {
	t.Helper()
	j := &job{Lab: l, dir: t.TempDir()}
	for name, content := range map[string][]byte{
		"SIGSTORE_REKOR_PUBLIC_KEY":       get(t, l.URL+"/api/v1/log/publicKey"),
		"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": ctKey(t, l),
		"SIGSTORE_ROOT_FILE":              get(t, l.URL+"/api/v1/rootCert"),
	} {
		path := filepath.Join(j.dir, name)
		check(t, os.WriteFile(path, content, 0o600))
		j.env = append(j.env, name+"="+path)
	}
	return j
}

// token is a CI token for stock clients.
func (j *job) token(t *testing.T, claims ...string) string {
	t.Helper()
	return mint(t, j.Lab, audience, claims...)
}

func mint(t *testing.T, l *lab.Lab, audience string, claims ...string) string {
	t.Helper()
	overrides, err := devissuer.ParseClaims(claims)
	check(t, err)
	token, err := l.Issuer.Mint(devissuer.GitHub, audience, overrides, time.Now())
	check(t, err)
	return token
}

// run runs cosign in the job.
func (j *job) run(t *testing.T, version string, env []string, args ...string) stock.Result {
	t.Helper()
	return stock.Command{Tool: version, Dir: j.dir, Env: env}.Run(t, args...)
}

// identity are the flags that verify what the job signs.
func (j *job) identity() []string {
	return []string{"--certificate-identity", workflow, "--certificate-oidc-issuer", j.Issuer.URL(devissuer.GitHub)}
}

// signingConfig is the service's, with the log of one version.
func (j *job) signingConfig(t *testing.T, version int) string {
	t.Helper()
	var config map[string]any
	check(t, json.Unmarshal(get(t, j.URL+"/hallmark/v1/signing_config.json"), &config))
	var logs []any
	all, _ := config["rekorTlogUrls"].([]any)
	for _, l := range all {
		if log, _ := l.(map[string]any); log["majorApiVersion"] == float64(version) {
			logs = append(logs, log)
		}
	}
	config["rekorTlogUrls"] = logs
	raw, err := json.Marshal(config)
	check(t, err)
	path := filepath.Join(t.TempDir(), "signing_config.json")
	check(t, os.WriteFile(path, raw, 0o600))
	return path
}

// ctKey is the key of the certificate log, out of the trusted root.
func ctKey(t *testing.T, l *lab.Lab) []byte {
	t.Helper()
	var root struct {
		Ctlogs []struct{ PublicKey struct{ RawBytes []byte } }
	}
	check(t, json.Unmarshal(get(t, l.URL+"/hallmark/v1/trusted_root.json"), &root))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: root.Ctlogs[0].PublicKey.RawBytes})
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // loopback, immediate
	check(t, err)
	defer func() { _ = resp.Body.Close() }() // read below
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	check(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, resp.Status, body)
	}
	return body
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
