// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadPassword(t *testing.T) {
	const env = "HALLMARK_TEST_PASSWORD"
	file := func(content string, mode fs.FileMode) string {
		path := filepath.Join(t.TempDir(), "password")
		check(t, os.WriteFile(path, []byte(content), 0o600))
		check(t, os.Chmod(path, mode))
		return path
	}
	for _, tt := range []struct {
		name, file, env, value string
		want                   string
		err                    error
	}{
		{name: "file", file: file("secret", 0o600), want: "secret"},
		{name: "line end", file: file("secret\n", 0o400), want: "secret"},
		{name: "line end of Windows", file: file("secret\r\n", 0o600), want: "secret"},
		{name: "one line end only", file: file("secret \n\n", 0o600), want: "secret \n"},
		{name: "file before environment", file: file("secret", 0o600), env: env, value: "other", want: "secret"},
		{name: "environment", env: env, value: "other", want: "other"},
		{name: "empty environment", env: env, err: ErrNoPassword},
		{name: "nothing", err: ErrNoPassword},
		{name: "empty file", file: file("\n", 0o600), err: ErrNoPassword},
		{name: "open file", file: file("secret", 0o644), err: ErrTooOpen},
		{name: "no file, but environment", file: filepath.Join(t.TempDir(), "none"), env: env, value: "other", err: fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(env, tt.value)
			got, err := ReadPassword(tt.file, tt.env)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), "hint") {
				t.Errorf("error %q has no hint", err)
			}
		})
	}
}

func TestReadPasswordIsBounded(t *testing.T) {
	const env = "HALLMARK_TEST_PASSWORD"
	long := strings.Repeat("x", maxPassword+1)
	path := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(path, []byte(long), 0o600))
	t.Setenv(env, long)
	if _, err := ReadPassword(path, ""); err == nil {
		t.Error("long file was accepted")
	}
	if _, err := ReadPassword("", env); err == nil {
		t.Error("long environment variable was accepted")
	}
}
