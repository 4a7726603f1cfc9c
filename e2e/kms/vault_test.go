// SPDX-License-Identifier: Apache-2.0

//go:build peers

package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	// rootToken is that of an administrator. Hallmark gets another.
	rootToken = "root"
	// vaultStart bounds the wait for Vault's first answer.
	vaultStart = 60 * time.Second
)

// signOnly is what Hallmark may do in Vault, as docs/OPERATIONS.md has it.
const signOnly = `
path "transit/keys/*" { capabilities = ["read"] }
path "transit/sign/*" { capabilities = ["update"] }
`

// vault is a running Vault with a transit engine.
type vault struct {
	address string
}

// startVault starts Vault in its development mode: in memory, unsealed, on
// loopback.
func startVault(t *testing.T) *vault {
	t.Helper()
	listen := lab.FreeAddress(t)
	v := &vault{address: "http://" + listen}
	home := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, stock.Tool(t, "vault"), "server", "-dev", "-dev-no-store-token", "-dev-root-token-id="+rootToken, "-dev-listen-address="+listen)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "SKIP_SETCAP=1"}
	var output lab.Output
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // ends by our signal; an early end shows below
	}()
	t.Cleanup(func() {
		cancel()
		<-exited
		if t.Failed() {
			t.Logf("vault:\n%s", output.String())
		}
	})
	for deadline := time.Now().Add(vaultStart); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(v.address + "/v1/sys/health") //nolint:noctx // bounded by the deadline
		if err == nil {
			_ = resp.Body.Close() // nothing in it
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-exited:
			t.Fatal("vault has ended")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("vault does not answer")
		}
	}
	v.call(t, http.MethodPost, "/v1/sys/mounts/transit", map[string]any{"type": "transit"})
	v.call(t, http.MethodPut, "/v1/sys/policies/acl/hallmark", map[string]any{"policy": signOnly})
	return v
}

// call speaks to Vault as its administrator.
func (v *vault) call(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(body)
	fatal(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, v.address+path, bytes.NewReader(encoded))
	fatal(t, err)
	req.Header.Set("X-Vault-Token", rootToken)
	resp, err := http.DefaultClient.Do(req)
	fatal(t, err)
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	fatal(t, err)
	if resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("vault %s %s: %s: %s", method, path, resp.Status, raw)
	}
	var answer map[string]any
	if len(raw) > 0 {
		fatal(t, json.Unmarshal(raw, &answer))
	}
	return answer
}

// create makes a key.
func (v *vault) create(t *testing.T, kind string, names ...string) {
	t.Helper()
	for _, name := range names {
		v.call(t, http.MethodPost, "/v1/transit/keys/"+name, map[string]any{"type": kind})
	}
}

// token makes a token that may sign and nothing else, and writes it to a file.
func (v *vault) token(t *testing.T, path string) (token string) {
	t.Helper()
	answer := v.call(t, http.MethodPost, "/v1/auth/token/create", map[string]any{"policies": []string{"hallmark"}, "ttl": "1h"})
	auth, _ := answer["auth"].(map[string]any)
	token, ok := auth["client_token"].(string)
	if !ok {
		t.Fatalf("vault gives no token: %v", answer)
	}
	draft := path + ".new"
	fatal(t, os.WriteFile(draft, []byte(token+"\n"), 0o600))
	fatal(t, os.Rename(draft, path))
	return token
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) { lab.Main(m) }

// tokenFile is in a folder of its own: the deployment's is made later.
func tokenFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "vault-token")
}
