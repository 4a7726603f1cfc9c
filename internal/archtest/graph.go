// SPDX-License-Identifier: Apache-2.0

// Package archtest holds Hallmark's architecture as rules that a test checks:
// which room may import which, what no room may link, and a few habits of the
// source that no linter knows.
//
// The rules are data (rules.go), each with the reason that its failure prints.
// A reason that no longer convinces is to be argued with in a change of that
// file, not worked around. docs/DESIGN.md tells the same in prose.
//
// Only what a program links is judged: test files may import what they need.
package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// module is the prefix of our own import paths.
const module = "github.com/hallmark-dev/hallmark"

// graph maps an import path to the paths that its non-test files import. Our
// own paths are relative to the module: "signer/ca".
type graph map[string][]string

// load lists the packages of the module around dir and all that they link.
func load(ctx context.Context, dir string) (graph, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Imports,Standard", "./...")
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("list packages: %w\n%s", err, stderr.String())
	}
	g := graph{}
	for dec := json.NewDecoder(&stdout); ; {
		var p struct {
			ImportPath string
			Imports    []string
			Standard   bool
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read go list: %w", err)
		}
		imports := make([]string, len(p.Imports))
		for i, path := range p.Imports {
			imports[i] = short(path, p.Standard)
		}
		g[short(p.ImportPath, p.Standard)] = imports
	}
}

// short makes our own paths relative to the module. The standard library has a
// folder internal too, which only it can import; it is told apart by "std".
func short(path string, byStandard bool) string {
	if byStandard && strings.HasPrefix(path, "internal/") {
		return "std/" + path
	}
	return strings.TrimPrefix(path, module+"/")
}

// ours reports whether a path of a graph belongs to the module: foreign paths
// have a dot in their first element, and the standard library has no folder of
// these names left.
func ours(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{"attest", "cmd", "deploy", "e2e", "internal", "policy", "signer", "verifier"}, first)
}

// ours returns our packages in order, so that failures come in order.
func (g graph) ours() []string {
	var out []string
	for path := range g {
		if ours(path) {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// chain returns the shortest chain of imports from a package to one that match
// accepts, or nil. With direct, only the package's own imports count.
func (g graph) chain(from string, direct bool, match func(string) bool) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && match(at) {
			return walkBack(cameFrom, at)
		}
		if direct && at != from {
			continue
		}
		for _, next := range g[at] {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func walkBack(cameFrom map[string]string, at string) []string {
	var out []string
	for ; at != ""; at = cameFrom[at] {
		out = append(out, at)
	}
	slices.Reverse(out)
	return out
}

// covers reports whether path is one of the patterns: an import path, or a
// path followed by /... for it and everything below it.
func covers(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		base, tree := strings.CutSuffix(pattern, "/...")
		return path == base || tree && strings.HasPrefix(path, base+"/")
	})
}
