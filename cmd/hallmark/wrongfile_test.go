// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongFiles: a flag that names a file which is not there, or is none, is
// wrong usage everywhere, before anybody is asked for anything.
func TestWrongFiles(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	image := "127.0.0.1:1/acme/app@sha256:" + strings.Repeat("a", 64)
	none := filepath.Join(dir, "none", "x")
	who := []string{"--certificate-identity", "https://x.example", "--certificate-oidc-issuer", "https://x.example"}
	for what, tc := range map[string]struct {
		args []string
		says string
	}{
		"a root that is none":       {append([]string{"verify", image, "--trusted-root", junk}, who...), "junk"},
		"a root that is not there":  {append([]string{"verify", image, "--trusted-root", none}, who...), "no such file"},
		"a root that is a folder":   {append([]string{"verify", image, "--trusted-root", dir}, who...), "is a directory"},
		"evidence by such a root":   {[]string{"evidence", image, "--trusted-root", junk}, "junk"},
		"the log by such a root":    {[]string{"log", "list", "--server", "http://127.0.0.1:1", "--trusted-root", junk}, "junk"},
		"provenance into no folder": {[]string{"chart", "provenance", junk, "oci://127.0.0.1:1/charts", "--out", none, "--server", "http://127.0.0.1:1"}, "--out: stat " + filepath.Dir(none)},
		"keys into no folder":       {[]string{"chart", "keyring", "--out", none, "--server", "http://127.0.0.1:1"}, "--out: stat " + filepath.Dir(none)},
		"keys into a file's folder": {[]string{"chart", "keyring", "--out", filepath.Join(junk, "x"), "--server", "http://127.0.0.1:1"}, "is a file, not a folder"},
		"keys into a folder":        {[]string{"chart", "keyring", "--out", dir, "--server", "http://127.0.0.1:1"}, "is a folder, not a file"},
	} {
		if code, said := runWith(t.Context(), t, nil, tc.args...); code != exitUsage || !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit %d: %s", what, code, said)
		}
	}
	for _, folder := range []string{none, junk} {
		if err := isFolder("--bundles", folder); err == nil || !strings.HasPrefix(err.Error(), "--bundles: ") {
			t.Errorf("%s: %v", folder, err)
		}
	}
}
