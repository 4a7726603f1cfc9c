// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// EnvDir overrides where built programs are kept: an absolute path.
const EnvDir = "HALLMARK_TOOLS"

// ErrStale is returned by Cache.Path for a program that is missing or was
// built from another pin.
var ErrStale = errors.New("not built from its pin (hint: make tools)")

// Cache is a folder of built programs, shared by all work trees of a user.
type Cache struct {
	// Dir holds the programs under their pins' names.
	Dir string
	// Root is the work tree, where nested modules are found.
	Root string
}

// Open finds the cache and the work tree around the current folder. It creates
// nothing.
func Open() (Cache, error) {
	dir, err := cacheDir()
	if err != nil {
		return Cache{}, err
	}
	root, err := workTree()
	if err != nil {
		return Cache{}, err
	}
	return Cache{Dir: dir, Root: root}, nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		if !filepath.IsAbs(dir) {
			// Tests run in their own folders and would each look elsewhere.
			return "", fmt.Errorf("find tools cache: %s=%q is not an absolute path", EnvDir, dir)
		}
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find tools cache: %w (hint: set %s)", err, EnvDir)
	}
	return filepath.Join(base, "hallmark", "tools"), nil
}

// workTree walks up to the folder that holds this package's pin list.
func workTree() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find work tree: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "tools", "tools.txt")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find work tree: no folder above %s has e2e/tools/tools.txt", start)
		}
	}
}

// Path returns where the program of p is, if it was built from exactly that
// pin; else an error wrapping ErrStale.
func (c Cache) Path(p Pin) (string, error) {
	want, err := c.stamp(p)
	if err != nil {
		return "", err
	}
	path := c.program(p)
	got, err := os.ReadFile(c.stampFile(p))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("look up %s: %w", p.Name, err)
	}
	if _, statErr := os.Stat(path); statErr != nil || string(got) != want {
		return "", fmt.Errorf("look up %s in %s: %w", p.Name, c.Dir, ErrStale)
	}
	return path, nil
}

func (c Cache) program(p Pin) string { return filepath.Join(c.Dir, filepath.FromSlash(p.Name)) }

func (c Cache) stampFile(p Pin) string { return c.program(p) + ".stamp" }

// stamp describes, readably, everything a build of p depends on. The compiler
// is this program's own: `go run` and `go test` use the go on the PATH.
func (c Cache) stamp(p Pin) (string, error) {
	version := p.Version
	if p.nested() {
		sum, err := moduleHash(filepath.Join(c.Root, filepath.FromSlash(p.Version)))
		if err != nil {
			return "", fmt.Errorf("pin %s: %w", p.Name, err)
		}
		version += " sha256:" + sum
	}
	pkg := "package " + p.Package
	if p.Tags != "" {
		pkg += " tags " + p.Tags
	}
	return strings.Join([]string{
		pkg,
		"version " + version,
		"ldflags " + p.LDFlags,
		"go " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + " CGO_ENABLED=0 -trimpath",
		"",
	}, "\n"), nil
}

// moduleHash covers the files that decide a nested module's build: those with
// its pins and, if it has a program of its own, that.
func moduleHash(dir string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if name == "main.go" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil && (name == "go.mod" || !errors.Is(err, os.ErrNotExist)) {
			return "", fmt.Errorf("read nested module: %w", err)
		}
		h.Write(fmt.Appendf(nil, "%s %d\n", name, len(b)))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
