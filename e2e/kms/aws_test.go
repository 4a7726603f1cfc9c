// SPDX-License-Identifier: Apache-2.0

//go:build peers

package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// aws is a running AWS KMS.
type aws struct {
	direct string // its URL on loopback
	host   string // host:port over TLS, as in references
}

// startAWS starts local-kms, puts TLS before it as AWS has it, and sets what
// AWS's SDK reads from its environment: an account's keys, the region, and the
// certificate to believe.
func startAWS(t *testing.T) *aws {
	t.Helper()
	listen := lab.FreeAddress(t)
	_, port, err := net.SplitHostPort(listen)
	fatal(t, err)
	home := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, stock.Tool(t, "local-kms"))
	cmd.Env = []string{"HOME=" + home, "PORT=" + port, "KMS_DATA_PATH=" + filepath.Join(home, "data"), "KMS_REGION=eu-central-1"}
	var output lab.Output
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // ends by our signal
	}()
	t.Cleanup(func() {
		cancel()
		<-exited
		if t.Failed() {
			t.Logf("local-kms:\n%s", output.String())
		}
	})
	a := &aws{direct: "http://" + listen}
	for deadline := time.Now().Add(vaultStart); ; time.Sleep(20 * time.Millisecond) {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listen)
		if err == nil {
			_ = connection.Close() // only that it was accepted counts
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("local-kms does not answer")
		}
	}
	inner, err := url.Parse(a.direct)
	fatal(t, err)
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(inner))
	t.Cleanup(front.Close)
	a.host = front.Listener.Addr().String()
	bundle := filepath.Join(home, "ca.pem")
	fatal(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIAHALLMARK", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	return a
}

// call asks for one action of AWS KMS, as its administrator.
func (a *aws) call(t *testing.T, action string, body map[string]any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(body)
	fatal(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.direct, bytes.NewReader(encoded))
	fatal(t, err)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+action)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAADMIN/20260101/eu-central-1/kms/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	fatal(t, err)
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	fatal(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("AWS KMS %s: %s: %s", action, resp.Status, raw)
	}
	var answer map[string]any
	if len(raw) > 0 {
		fatal(t, json.Unmarshal(raw, &answer))
	}
	return answer
}

// create makes a key and returns its id.
func (a *aws) create(t *testing.T, spec string) string {
	t.Helper()
	answer := a.call(t, "CreateKey", map[string]any{"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"})
	metadata, _ := answer["KeyMetadata"].(map[string]any)
	id, ok := metadata["KeyId"].(string)
	if !ok {
		t.Fatalf("AWS KMS made no key: %v", answer)
	}
	return id
}

func (a *aws) ref(alias string) string { return "awskms://" + a.host + "/alias/" + alias }

// TestAWS: the certificate authority's key and the keys of key mode are in AWS
// KMS, by alias and by id; stock cosign accepts what they sign, and an alias
// that is moved to another key is an error, not another identity.
func TestAWS(t *testing.T) {
	a := startAWS(t)
	for _, alias := range []string{"hallmark-ca", "release", "release-attestations"} {
		a.call(t, "CreateAlias", map[string]any{"AliasName": "alias/" + alias, "TargetKeyId": a.create(t, "ECC_NIST_P256")})
	}
	log := "awskms://" + a.host + "/" + a.create(t, "ECC_NIST_P256")
	l := lab.Start(t, lab.Options{
		Policy:  bytes.Replace(policyfiles.SigningPolicy, []byte("- name: acme-github\n"), []byte("- name: acme-github\n  keys: [release]\n"), 1),
		Config:  fmt.Sprintf("kms: {timeout: 5s}\nkeys: {ca: %q, log-v1: %q}\n", a.ref("hallmark-ca"), log),
		Signing: fmt.Sprintf("legacyTags: true, keys: [{name: release, signatures: %q, attestations: %q}]", a.ref("release"), a.ref("release-attestations")),
	})
	for _, role := range []string{"ca", "log-v1"} {
		if _, err := os.Stat(filepath.Join(l.Dir, "keys", role+".key")); !os.IsNotExist(err) {
			t.Errorf("key %s is on the disk as well: %v", role, err)
		}
	}
	job := l.Token(t, devissuer.GitHub)
	image := l.PushSmall(t, "acme/app", "signed")
	if r := sign(t, l, job, image); r.Code != 0 {
		t.Fatalf("sign: %s\n%s", r.Stderr, l.Log())
	}
	public := key(t, l)
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for _, args := range [][]string{
			{"--key", public},
			{"--certificate-identity", appWorkflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub)},
		} {
			if got := stock.Cosign(t, version, append(append([]string{"verify"}, args...), "--trusted-root", l.TrustedRoot(), image)...); got.Code != 0 {
				t.Errorf("%s %v: %s", version, args, got.Stderr)
			}
		}
	}

	a.call(t, "UpdateAlias", map[string]any{"AliasName": "alias/release", "TargetKeyId": a.create(t, "ECC_NIST_P256")})
	after := l.PushSmall(t, "acme/app", "after")
	if r := sign(t, l, job, after); r.Code != 3 || !strings.Contains(l.Log(), "not the key that was pinned") {
		t.Errorf("sign with an alias that was moved: exit code %d, want 3: %s\n%s", r.Code, r.Stderr, l.Log())
	}
	l.Stop(t)
	l.Fsck(t)
}
