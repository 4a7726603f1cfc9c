// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
)

// A document of a request can be about another image of an index than the rest:
// `--scan linux/arm64=trivy-arm64.json`.

// platformFile is PLATFORM=FILE, with what --platform takes as the platform.
var platformFile = regexp.MustCompile(`^(index|all|sha256:[0-9a-f]{64}|[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9.]+)?)=(.+)$`)

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
