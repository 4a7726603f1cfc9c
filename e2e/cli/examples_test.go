// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/policy"
)

// TestYAML reads every YAML block of the documents as what it is.
func TestYAML(t *testing.T) {
	kinds := map[string]int{}
	for _, f := range fences(t, "yaml") {
		var members map[string]any
		if err := yaml.UnmarshalStrict([]byte(f.text), &members); err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		var err error
		kind, _ := members["kind"].(string) // a part of a file has none
		switch {
		case kind == "SigningPolicy":
			_, err = policy.ParseSigningPolicy([]byte(f.text))
		case kind == "ImageTrustPolicy":
			_, err = policy.ParseTrustPolicy([]byte(f.text))
		case members["sbom"] != nil || members["scan"] != nil || members["tests"] != nil || members["reports"] != nil || members["provenance"] != nil || members["chartImages"] != nil:
			kind = "gate" // each is run by TestWorkedGates of package policy
		case kind == "HelmChart": // e2e/charts has Flux's controller fetch such a one
			for _, part := range []string{"apiVersion: source.toolkit.fluxcd.io/v1\n", "  verify: {provider: cosign, secretRef: {name: "} {
				if !strings.Contains(f.text, part) {
					t.Errorf("%s: has no %q", f, part)
				}
			}
		case members["volumes"] != nil:
			kind = "pod"
			var pod corev1.PodSpec
			err = yaml.UnmarshalStrict([]byte(f.text), &pod)
		case members["quotas"] != nil:
			kind = "quotas"
			serveWith(t, "quotas:\n", "signing:\n", f.text)
		case members["registry"] != nil:
			kind = "registries"
			serveWith(t, "registry:", "password:", f.text)
		case members["identities"] != nil:
			kind = "configuration"
			serveWith(t, "identities:\n", "signing:\n", f.text)
		case members["log"] != nil:
			kind = "registered keys"
			serveWith(t, "log:\n", "", f.text)
		case members["database"] != nil:
			kind = "database"
			wantNoDatabase(t, f.text)
		case filepath.Base(f.file) == "CI.md":
			kind = "CI job"
			if !strings.Contains(f.text, "hallmark sign registry.corp.example/acme/app") || !strings.Contains(f.text, "HALLMARK_URL: https://hallmark.corp.example") {
				t.Errorf("%s: the job does not sign", f)
			}
		default:
			t.Errorf("%s: this test does not know what it is", f)
		}
		kinds[kind]++
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, kind := range []string{"SigningPolicy", "ImageTrustPolicy", "pod", "configuration", "quotas", "registries", "registered keys", "database", "CI job"} {
		if kinds[kind] == 0 {
			t.Errorf("the documents have no example of a %s", kind)
		}
	}
}

// serveWith has the service start with a part of its configuration, from one
// line to before another, replaced by that of a document. Files of a pod are
// replaced by files of the deployment; nobody is asked for keys before the first
// token comes.
func serveWith(t *testing.T, from, to, part string) {
	t.Helper()
	dir := initialised(t)
	path := filepath.Join(dir, "hallmark.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(raw), from)
	if to != "" {
		_, rest, last := strings.Cut(after, to)
		after, found = to+rest, found && last
	} else {
		after = ""
	}
	if !found {
		t.Fatalf("init's configuration has no %q before %q:\n%s", from, to, raw)
	}
	part = strings.NewReplacer(
		"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "certs/ca-chain.pem",
		"/var/run/secrets/kubernetes.io/serviceaccount/token", "password",
		"corp-ca.pem", "certs/ca-chain.pem", "/run/secrets/registry", "password",
	).Replace(part)
	for file, content := range map[string]string{path: before + part + after, filepath.Join(dir, "keys", "release.pub"): publicKey(t)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := launch(dir, nil, lab.Program(t, "hallmark-server"), "serve", "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	serveOnce(t, p)
}

// initialised makes a deployment at free ports and returns its folder.
func initialised(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hallmark")
	made := lab.Run(t, "", nil, lab.Program(t, "hallmark-server"), "init", "--dir", dir, "--origin", "https://hallmark.corp.example", "--registry", "registry.corp.example")
	if made.Code != 0 {
		t.Fatal(made.Stderr)
	}
	usePorts(t, filepath.Join(dir, "hallmark.yaml"))
	return dir
}

// wantNoDatabase has the service read a configuration with a database that is
// not there: it understands it, and cannot reach it. Servers on PostgreSQL are
// the subject of e2e/rekor.
func wantNoDatabase(t *testing.T, part string) {
	t.Helper()
	dir := initialised(t)
	path := filepath.Join(dir, "hallmark.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := strings.Replace(part, "db.corp.example", "127.0.0.1:1", 1)
	for file, content := range map[string]string{path: string(raw) + nowhere, filepath.Join(dir, "db-password"): "secret\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := lab.Run(t, "", nil, lab.Program(t, "hallmark-server"), "serve", "--dir", dir)
	if got.Code != 3 || !strings.Contains(got.Stderr, "127.0.0.1:1") {
		t.Errorf("serve with a database that is not there: exit code %d, want 3: %s", got.Code, got.Stderr)
	}
}

// publicKey is a new one in PEM.
func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// usePorts replaces init's default addresses by free ones.
func usePorts(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("127.0.0.1:8080", lab.FreeAddress(t), "127.0.0.1:8081", lab.FreeAddress(t)).Replace(string(raw))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveOnce waits until a service is ready and stops it.
func serveOnce(t *testing.T, p *program) {
	t.Helper()
	if err := p.waitReady(); err != nil {
		t.Error(err)
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		_, words := p.output()
		t.Errorf("exit code %d: %s", code, words)
	}
}

// TestGo compiles every Go block of the documents inside a function, with the
// packages that it names, by way of a file that only the compiler sees.
func TestGo(t *testing.T) {
	imports := map[string]string{
		"oci": "attest/oci", "policy": "policy", "trust": "verifier/trust", "verifier": "verifier",
	}
	for _, f := range fences(t, "go") {
		t.Run(f.String(), func(t *testing.T) {
			var source strings.Builder
			source.WriteString("package example\n\nimport (\n\"context\"\n")
			for name, path := range imports {
				if strings.Contains(f.text, name+".") {
					source.WriteString("\"github.com/hallmark-dev/hallmark/" + path + "\"\n")
				}
			}
			source.WriteString(")\n\nfunc _(ctx context.Context, policyFile []byte) {\n" + f.text + "}\n")
			compile(t, source.String())
		})
	}
}

func compile(t *testing.T, source string) {
	t.Helper()
	module, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	file, overlay := filepath.Join(t.TempDir(), "example.go"), filepath.Join(t.TempDir(), "overlay.json")
	seen, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(module, "e2e/cli/example/example.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{file: []byte(source), overlay: seen} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-overlay", overlay, "./e2e/cli/example")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, source)
	}
}
