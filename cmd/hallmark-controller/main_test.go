// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandLine checks what the program says before it talks to anybody. What it does then is tested on a whole cluster in e2e/cluster.
func TestCommandLine(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(garbage, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{"--registry=registry.corp.example", "--trusted-root=" + garbage, "--webhook-certs=" + t.TempDir()}
	without := func(prefix string, more ...string) []string {
		var kept []string
		for _, arg := range all {
			if !strings.HasPrefix(arg, prefix) {
				kept = append(kept, arg)
			}
		}
		return append(kept, more...)
	}
	tests := map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no registry":           {without("--registry"), exitUsage, "hint: --registry"},
		"no trusted root":       {without("--trusted-root"), exitUsage, "hint: --trusted-root"},
		"no certificates":       {without("--webhook-certs"), exitUsage, "hint: --webhook-certs"},
		"unknown flag":          {append(all, "--fail-open"), exitUsage, "--fail-open"},
		"argument":              {append(all, "serve"), exitUsage, "serve"},
		"bad address":           {append(all, "--webhook-address=9443"), exitUsage, "--webhook-address"},
		"bad port":              {append(all, "--webhook-address=:0"), exitUsage, `port "0"`},
		"bad log level":         {append(all, "--log-level=loud"), exitUsage, "log-level"},
		"trusted root missing":  {without("--trusted-root", "--trusted-root=/nowhere/root.json"), exitUndecided, "/nowhere/root.json"},
		"trusted root unusable": {all, exitUndecided, "trusted root"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if code != test.code || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, stderr %q; want %d and %q", code, stderr.String(), test.code, test.stderr)
			}
			if stdout.Len() != 0 {
				t.Errorf("stdout: %q", stdout.String())
			}
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, flag := range []string{"--registry host[:port]", "--insecure-registry host:port", "--trusted-root file", "--webhook-certs directory", "--webhook-address address", "--metrics-address", "--health-address", "--kubeconfig file", "--log-level"} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help lacks %q:\n%s", flag, stdout.String())
		}
	}
}
