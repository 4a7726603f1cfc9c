// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestPinsOfThisRepository(t *testing.T) {
	pins, err := Pins()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range pins {
		names = append(names, p.Group+" "+p.Name)
	}
	want := "test registry,test cosign-v2,test cosign-v3,test rekor-cli,test helm,test source-controller,test tlog-fsck,test syft,test openid-provider,test kube/etcd,test kube/kube-apiserver,peers vault,peers local-kms,lint golangci-lint"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("pins are\n%s, want\n%s", got, want)
	}
}

// The API server's version is stamped by linker flag and pinned by go.mod: two
// places that must agree, or clients see another version than is running.
func TestAPIServerStampMatchesItsModule(t *testing.T) {
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(c.Root, "e2e", "kube", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`k8s\.io/kubernetes (v\S+)`).FindSubmatch(mod)
	if m == nil {
		t.Fatal("e2e/kube/go.mod requires no k8s.io/kubernetes")
	}
	if flag := "version.gitVersion=" + string(m[1]) + " "; !strings.Contains(pinList, flag) {
		t.Errorf("tools.txt does not stamp %q as e2e/kube/go.mod has it", flag)
	}
}

func TestParsePinsRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"too few columns", "test registry example.com/registry", "line 1: want group"},
		{"moving version", "# c\ntest a example.com/a latest", "line 2: version \"latest\""},
		{"version outside the tree", "test a example.com/a ../other", "neither vX.Y.Z nor"},
		{"name outside the cache", "test ../a example.com/a v1.0.0", "not a plain relative path"},
		{"absolute name", "test /a example.com/a v1.0.0", "not a plain relative path"},
		{"twice", "test a x.org/a v1.0.0\nlint a x.org/b v1.0.0", "pinned twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parsePins(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	pins := []Pin{{Group: "test", Name: "a"}, {Group: "lint", Name: "b"}, {Group: "test", Name: "c"}}
	got, err := Select(pins, []string{"b", "test"})
	if err != nil || len(got) != 3 || got[1].Name != "b" {
		t.Errorf("Select(b, test) = %v, %v", got, err)
	}
	if _, err := Select(pins, []string{"test", "cosing"}); err == nil {
		t.Error("a misspelt name selected nothing without an error")
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/c")
	t.Setenv(EnvDir, "")
	if dir, err := cacheDir(); err != nil || dir != "/c/hallmark/tools" {
		t.Errorf("default: %q, %v", dir, err)
	}
	t.Setenv(EnvDir, "/elsewhere")
	if dir, err := cacheDir(); err != nil || dir != "/elsewhere" {
		t.Errorf("override: %q, %v", dir, err)
	}
	t.Setenv(EnvDir, "relative")
	if _, err := cacheDir(); err == nil {
		t.Error("a relative override was accepted")
	}
}

// newTree makes a work tree with one nested module, whose program prints word.
func newTree(t *testing.T, word string) (Cache, Pin) {
	t.Helper()
	c := Cache{Dir: filepath.Join(t.TempDir(), "cache"), Root: t.TempDir()}
	writeFile(t, filepath.Join(c.Root, "e2e/hello/go.mod"), "module example.com/hello\n\ngo 1.26.0\n")
	writeFile(t, filepath.Join(c.Root, "e2e/hello/main.go"), "package main\n\nvar word = \"unset\"\n\nfunc main() { print(word) }\n")
	return c, Pin{Group: "test", Name: "sub/hello", Package: "example.com/hello", Version: "e2e/hello", LDFlags: "-X main.word=" + word}
}

func TestEnsureBuildsOnceAndAgainForAnotherPin(t *testing.T) {
	c, p := newTree(t, "first")
	if _, err := c.Path(p); !errors.Is(err, ErrStale) {
		t.Fatalf("before any build: %v, want ErrStale", err)
	}
	if log := ensure(t, c, p); !strings.Contains(log, "sub/hello e2e/hello: done") {
		t.Errorf("first call said %q, want a build", log)
	}
	wantOutput(t, c, p, "first")
	if log := ensure(t, c, p); log != "" {
		t.Errorf("second call said %q, want silence: nothing to build", log)
	}

	p.LDFlags = "-X main.word=second"
	if _, err := c.Path(p); !errors.Is(err, ErrStale) {
		t.Fatalf("after a change of flags: %v, want ErrStale", err)
	}
	ensure(t, c, p)
	wantOutput(t, c, p, "second")

	writeFile(t, filepath.Join(c.Root, "e2e/hello/go.mod"), "module example.com/hello\n\ngo 1.25.0\n")
	if _, err := c.Path(p); !errors.Is(err, ErrStale) {
		t.Errorf("after a change of go.mod: %v, want ErrStale", err)
	}
}

func TestEnsureByConcurrentCallersBuildsOnce(t *testing.T) {
	c, p := newTree(t, "once")
	const callers = 4
	logs := make([]string, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { logs[i] = ensure(t, c, p) })
	}
	wg.Wait()
	if n := strings.Count(strings.Join(logs, ""), ": building"); n != 1 {
		t.Errorf("%d builds by %d callers, want 1:\n%s", n, callers, strings.Join(logs, ""))
	}
}

func TestEnsureReportsBrokenProgram(t *testing.T) {
	c, p := newTree(t, "x")
	writeFile(t, filepath.Join(c.Root, "e2e/hello/main.go"), "package main\n\nfunc main() { undefined() }\n")
	_, err := c.Ensure(context.Background(), []Pin{p}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v, want the compiler's words", err)
	}
	left, globErr := filepath.Glob(filepath.Join(c.Dir, ".build-*"))
	if globErr != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, globErr)
	}
	if _, err := c.Path(p); !errors.Is(err, ErrStale) {
		t.Errorf("after a failed build: %v, want ErrStale", err)
	}
}

func ensure(t *testing.T, c Cache, p Pin) string {
	t.Helper()
	var log bytes.Buffer
	if _, err := c.Ensure(context.Background(), []Pin{p}, &log); err != nil {
		t.Error(err)
	}
	return log.String()
}

func wantOutput(t *testing.T, c Cache, p Pin, want string) {
	t.Helper()
	path, err := c.Path(p)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path).CombinedOutput()
	if err != nil || string(out) != want {
		t.Errorf("program printed %q, %v, want %q", out, err, want)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), fileMode); err != nil {
		t.Fatal(err)
	}
}
