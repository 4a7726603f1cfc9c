// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
)

// A document of a request can be about another image of an index than the rest:
// `--scan linux/arm64=trivy-arm64.json`.

// platformFile is PLATFORM=FILE, with what --platform takes as the platform.
var platformFile = regexp.MustCompile(`^(index|all|sha256:[0-9a-f]{64}|[A-Za-z0-9]+(?:\([+A-Za-z0-9._-]*\))?/[A-Za-z0-9_-]+(?:/[A-Za-z0-9._-]+)?)=(.*)$`)

// almostPlatformFile is what somebody may have written for it.
var almostPlatformFile = regexp.MustCompile(`^[A-Za-z0-9/_.-]+[=:].*$`)

// noFile says that a flag is empty, as shells leave it of a variable that is not
// set.
func noFile(flag string) error { return usage("%s: no file name (is the variable set?)", flag) }

// noSuchFile says why a flag's file cannot be used.
func noSuchFile(flag, value string, err error) error {
	if errors.Is(err, fs.ErrNotExist) && almostPlatformFile.MatchString(value) {
		return usage("%s %s: %w (hint: %s linux/amd64=FILE)", flag, value, err, flag)
	}
	return usage("%s: %w", flag, err)
}

// cutPlatform takes a flag's value apart. A file that has that name as a whole is
// that file.
func cutPlatform(value string) (platform, path string) {
	m := platformFile.FindStringSubmatch(value)
	if m == nil {
		return "", value
	}
	if _, err := os.Lstat(value); err == nil {
		return "", value
	}
	return m[1], m[2]
}
