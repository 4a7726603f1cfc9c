// SPDX-License-Identifier: Apache-2.0

package platform_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest/platform"
)

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		wanted, name string
		covers       bool
	}{
		{"linux/arm64", "linux/arm64/v8", true}, {"linux/arm64", "linux/arm64/v9", true}, {"linux/arm64/v8", "linux/arm64", true}, {"linux/arm64/v8", "linux/arm64/v9", false},
		{"linux/aarch64", "linux/arm64/v8", true}, {"linux/x86_64", "Linux/AMD64", true}, {"linux/amd64/v1", "linux/amd64", true}, {"linux/amd64", "linux/amd64/v3", true},
		{"linux/arm", "linux/arm/v6", true}, {"linux/arm/7", "linux/armhf", true}, {"macos/arm64", "darwin/arm64", true}, {"linux/amd64", "linux(+x)/amd64", true},
		{"linux/amd64", "windows/amd64", false}, {"linux/amd64", "linux/386", false},
	} {
		if got := platform.Want(tc.wanted).Covers(platform.Read(tc.name)); got != tc.covers {
			t.Errorf("%s covers %s: %t", tc.wanted, tc.name, got)
		}
	}
}

func TestParse(t *testing.T) {
	for name, says := range map[string]string{
		"linux/amd64": "", "linux/arm/v7": "", "linux/i386": "", "wasi/wasm": "",
		"linux/amr64": `"linux/amr64": no architecture is called "amr64" (hint: arm64)`, "linuks/amd64": `no operating system is called "linuks" (hint: linux)`,
		"linux": "must be a platform", "": "must be a platform", "linux/": "must be a platform", "linux/amd64/v1/x": "must be a platform", strings.Repeat(" ", 1) + "linux/amd64": "must be a platform",
		"Linux/amd64": "must be a platform", "linux/\x1b[2J": "must be a platform", "linux/" + strings.Repeat("a", 64): "must be a platform", "linux/unknown": "is no platform",
	} {
		if _, err := platform.Parse(name); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
}
