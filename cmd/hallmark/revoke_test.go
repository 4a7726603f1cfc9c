// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRevokeWithoutServer: what the command is can be asked on any machine; doing
// it there says where it is done.
func TestRevokeWithoutServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"revoke", "--help"}, exitYes, "hallmark revoke digest   --dir DIR"},
		{[]string{"revoke", "-h"}, exitYes, "All but list run hallmark-server"},
		{[]string{"help", "revoke"}, exitYes, "All but list run hallmark-server"},
		{[]string{"revoke", "digest", "--help"}, exitYes, "All but list run hallmark-server"},
		{[]string{"revoke"}, exitUsage, "which command?"},
		{[]string{"revoke", "digest", "--dir", "x", "--reason", "y", "sha256:z"}, exitUsage, "on the machine with the deployment's folder"},
		{[]string{"revoke", "list", "--help"}, exitYes, "--server"},
		{[]string{"dev", "--help"}, exitYes, "--dir"},
	} {
		code, said := runWith(t.Context(), t, nil, tc.args...)
		if code != tc.code || !strings.Contains(said, tc.says) {
			t.Errorf("%q: exit %d: %s", tc.args, code, said)
		}
	}
}

// TestRevokeForwards: with a server at hand everything goes to it as it is, and its
// exit code comes back.
func TestRevokeForwards(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hallmark-server"), []byte("#!/bin/sh\necho \"$@\"; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, args := range [][]string{{"revoke", "digest", "--reason", "a b", "x"}, {"revoke", "key", "--help"}, {"revoke", "list", "--dir", "x"}} {
		if code, said := runWith(t.Context(), t, nil, args...); code != exitNo || !strings.Contains(said, strings.Join(args, " ")) {
			t.Errorf("%q: exit %d: %s", args, code, said)
		}
	}
}
