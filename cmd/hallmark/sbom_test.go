// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// pushRandom pushes an image and returns its reference by tag and its digest.
func pushRandom(t *testing.T) (image, digest string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	image = strings.TrimPrefix(server.URL, "http://") + "/acme/app:v1"
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	content, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, content); err != nil {
		t.Fatal(err)
	}
	hash, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return image, hash.String()
}

// TestSBOMTooLarge: a program that writes for ever is ended, and nothing is left.
func TestSBOMTooLarge(t *testing.T) {
	maker := sbomMaker{format: "cyclonedx-json", limit: 1 << 20}
	folder := t.TempDir()
	artifact := oci.Artifact{Registry: "127.0.0.1:1", Repository: "acme/app", Digest: attest.DigestOf(nil)}
	path, _, err := maker.make(t.Context(), stubProgram(t, "cat /dev/zero"), artifact, folder)
	if path != "" || !isNo(err) || !strings.Contains(err.Error(), "has more than 1048576 bytes") {
		t.Errorf("%q, %v", path, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestFinding: a word is found wherever the writes divide it, and only the word.
func TestFinding(t *testing.T) {
	const text = "aababaabc"
	for word, want := range map[string]bool{"babaabc": true, "aababaabc": true, "c": true, "bab": true, "bb": false, "abcd": false} {
		for size := 1; size <= len(text); size++ {
			f := &finding{word: []byte(word)}
			for part := range slices.Chunk([]byte(text), size) {
				if n, err := f.Write(part); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
			if f.found != want {
				t.Errorf("%q in parts of %d: %t", word, size, f.found)
			}
		}
	}
}

// stubProgram writes a shell script that stands for syft.
func stubProgram(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "syft")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func runSBOM(t *testing.T, vars map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"sbom"}, args...), environment{getenv: func(n string) string { return vars[n] }, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

func TestSBOM(t *testing.T) {
	image, digest := pushRandom(t)
	const cyclonedx = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"version":"`
	answer := cyclonedx + digest + `"}},"components":[{"name":"a"},{"name":"b"}]}`
	log := filepath.Join(t.TempDir(), "log")
	good := stubProgram(t, `{ echo "$@"; pwd; ls -A; env | grep '^SYFT_\|^HALLMARK_' | sort; } > `+log+"\ncat <<'END'\n"+answer+"\nEND")
	t.Setenv("SYFT_EXCLUDE", "./secret")
	t.Setenv("SYFT_REGISTRY_AUTH_USERNAME", "somebody")
	t.Setenv("HALLMARK_ID_TOKEN", "token")
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".syft.yaml", []byte("exclude: [./**]"), 0o600); err != nil {
		t.Fatal(err)
	}

	code, stdout, stderr := runSBOM(t, nil, image, "--syft", good)
	if code != exitYes || strings.TrimSpace(stdout) != answer || !strings.Contains(stderr, "CycloneDX of "+strings.TrimSuffix(image, ":v1")+"@"+digest+", 2 packages") {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if want := "scan registry:" + strings.TrimSuffix(image, ":v1") + "@" + digest + " --output cyclonedx-json"; seen[0] != want {
		t.Errorf("arguments %q, want %q", seen[0], want)
	}
	if !strings.Contains(seen[1], "hallmark-sbom-") {
		t.Errorf("it runs in %s", seen[1])
	}
	if got := strings.Join(seen[2:], " "); got != "SYFT_CHECK_FOR_APP_UPDATE=false SYFT_REGISTRY_AUTH_USERNAME=somebody SYFT_REGISTRY_INSECURE_USE_HTTP=true" {
		t.Errorf("files and settings that it sees: %s", got)
	}

	// Into a file, found by the environment.
	file := filepath.Join(t.TempDir(), "sbom.json")
	if code, stdout, _ = runSBOM(t, map[string]string{"HALLMARK_SYFT": good}, image, "-o", file); code != exitYes || stdout != "" {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if written, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(written)) != answer {
		t.Errorf("%s, %v", written, err)
	}

	for what, tc := range map[string]struct {
		script, format string
		code           int
		says           string
	}{
		"another format":    {"cat <<'END'\n" + answer + "\nEND", "spdx-json", exitUndecided, "is cyclonedx, not SPDX"},
		"another image":     {"cat <<'END'\n" + cyclonedx + `"}},"components":[]}` + "\nEND", "cyclonedx-json", exitUndecided, "does not name " + digest},
		"no SBOM":           {`echo '{"matches":[],"descriptor":{"name":"grype"}}'`, "cyclonedx-json", exitUndecided, "not CycloneDX"},
		"words":             {"echo hello", "cyclonedx-json", exitUndecided, "syft's answer"},
		"it fails":          {"echo 'no such image' >&2; exit 1", "cyclonedx-json", exitUndecided, "no such image"},
		"nothing":           {"cat <<'END'\n" + cyclonedx + digest + `"}},"components":[]}` + "\nEND", "cyclonedx-json", exitYes, "lists no package"},
		"an unknown format": {"", "table", exitUsage, "want cyclonedx-json or spdx-json"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		code, _, stderr := runSBOM(t, nil, image, "--syft", stubProgram(t, tc.script), "--format", tc.format, "-o", out)
		if code != tc.code || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s: exit %d, %s", what, code, stderr)
		}
		if _, err := os.Stat(out); (err == nil) != (code == exitYes) {
			t.Errorf("%s: a file is left: %v", what, err)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".hallmark-*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %q, %v", what, left, err)
		}
	}

	if code, _, stderr := runSBOM(t, nil, "oci://"+image, "--syft", good); code != exitYes {
		t.Errorf("with a scheme: exit %d, %s", code, stderr)
	}

	t.Setenv("PATH", t.TempDir())
	if code, _, stderr := runSBOM(t, nil, image); code != exitUsage || !strings.Contains(stderr, "go install github.com/anchore/syft/cmd/syft@v1.57.0") {
		t.Errorf("no syft: exit %d, %s", code, stderr)
	}
	if code, _, _ := runSBOM(t, nil, strings.Replace(image, "app", "none", 1), "--syft", good); code != exitNo {
		t.Errorf("no image: exit %d", code)
	}
	if code, _, stderr := runSBOM(t, nil, image, "--syft", good, "-o", "json"); code != exitUsage || !strings.Contains(stderr, "-o sbom.json") {
		t.Errorf("a format for a file: exit %d, %s", code, stderr)
	}
	if code, _, stderr := runSBOM(t, nil, image, "--syft", good, "-o", ""); code != exitUsage || !strings.Contains(stderr, "--output: no file name (is the variable set?)") {
		t.Errorf("a variable that is not set: exit %d, %s", code, stderr)
	}
	if code, _, stderr := runSBOM(t, nil, image, "--syft", good, "--platform", "linux/amd64"); code != exitUsage || !strings.Contains(stderr, "is no index (hint: leave the platform out)") {
		t.Errorf("a platform of an image: exit %d, %s", code, stderr)
	}
	if code, _, stderr := runSBOM(t, nil, image, "--syft", good, "--platform", "--file=x"); code != exitUsage || !strings.Contains(stderr, "is no platform") {
		t.Errorf("a flag for a platform: exit %d, %s", code, stderr)
	}
}

// TestSBOMPlatform: syft is given the image of the platform, so that the SBOM names
// it and no other.
func TestSBOMPlatform(t *testing.T) {
	r := newMovingRegistry(t)
	vars := map[string]string{"HALLMARK_SYFT": stubProgram(t, writesSBOM)}
	for platform, tc := range map[string]struct {
		code  int
		about string // that it names
		says  string
	}{
		"linux/arm64":    {exitYes, r.arm64, "CycloneDX of linux/arm64 " + r.host},
		"linux/arm64/v8": {exitYes, r.arm64, "CycloneDX of linux/arm64 " + r.host},
		"linux/x86_64":   {exitYes, r.amd64, "CycloneDX of linux/amd64 " + r.host},
		r.amd64:          {exitYes, r.amd64, "CycloneDX of linux/amd64 " + r.host},
		"":               {exitYes, r.index, "the SBOM describes one of its platforms (hint: --platform)"},
		"linux/amd46":    {exitNo, "", "--platform linux/amd46: " + r.host + "/acme/app@" + r.index + " has no such image (hint: it has linux/amd64, linux/arm64)"},
		"all":            {exitUsage, "", "--sbom auto --platform all"},
	} {
		r.restore()
		code, stdout, stderr := runSBOM(t, vars, r.host+"/acme/app:v1", "--platform", platform)
		if code != tc.code || !strings.Contains(stdout, tc.about) || !strings.Contains(stderr, tc.says) || platform != "" && strings.Contains(stderr, "describes one") {
			t.Errorf("%s: exit %d\n%s\n%s", platform, code, stdout, stderr)
		}
	}
}
