// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// onIndex decides about an index whose images are for these platforms; of each, names joined by "+" are for the same image. evidence are the
// numbers of the images that have an SBOM, 0 is the index itself.
func onIndex(t *testing.T, require string, platforms []string, evidence ...int) *policy.Refusal {
	t.Helper()
	var documents []policy.Document
	about := func(i int) string { return fmt.Sprintf("sha256:%064x", i) }
	for _, i := range evidence {
		documents = append(documents, doc(policy.EvidenceSBOM, func(d *policy.Document) {
			if i > 0 {
				d.Digest = about(i)
			}
		}))
	}
	return decideOn(parse(t, gated(require)), documents, func(in *policy.Input) {
		in.Kind, in.PlatformNames = policy.KindIndex, map[string][]string{}
		for i, names := range platforms {
			in.Platforms = append(in.Platforms, about(i+1))
			if names != "?" {
				in.PlatformNames[about(i+1)] = strings.Split(names, "+")
			}
		}
	}).Refusal()
}

// TestNamedPlatforms: each image for a named platform needs the evidence, whatever the index calls the platform; others are not asked about.
func TestNamedPlatforms(t *testing.T) {
	const two = "sbom: true\nplatforms: [linux/amd64, linux/arm64]"
	for name, tc := range map[string]struct {
		require   string
		platforms []string
		evidence  []int
		says      string // of a refusal
	}{
		"both":                           {two, []string{"linux/amd64", "linux/arm64"}, []int{1, 2}, ""},
		"one lacks it":                   {two, []string{"linux/amd64", "linux/arm64"}, []int{1}, "platform linux/arm64 sha256:000000000000: none"},
		"the index has it":               {two, []string{"linux/amd64", "linux/arm64"}, []int{0}, "platform linux/amd64 sha256:000000000000: none"},
		"another platform":               {two, []string{"linux/amd64", "linux/s390x"}, []int{1}, ""},
		"another platform, and one bad":  {two, []string{"linux/amd64", "linux/s390x"}, []int{2}, "not asked about: linux/s390x"},
		"one that is named is not there": {two, []string{"linux/amd64"}, []int{1}, ""},
		"none of them is there":          {two, []string{"linux/s390x", "windows/amd64"}, []int{1, 2}, "has none of the platforms that the policy asks about (linux/amd64, linux/arm64); it has linux/s390x sha256:000000000000, windows/amd64"},
		"no image":                       {two, nil, []int{0}, "names no platform"},
		"other words for arm64":          {two, []string{"linux/amd64", "linux/aarch64"}, []int{1}, "linux/aarch64"},
		"in capitals":                    {two, []string{"linux/amd64", "Linux/ARM64"}, []int{1}, "Linux/ARM64"},
		"every variant":                  {two, []string{"linux/amd64", "linux/amd64/v3", "linux/arm64/v8", "linux/arm64/v9"}, []int{1, 3, 4}, "linux/amd64/v3"},
		"no platform may be any":         {two, []string{"linux/amd64", "/"}, []int{1}, "platform / sha256"},
		"nobody knows":                   {two, []string{"linux/amd64", "?"}, []int{1}, "platform sha256"},
		"an unknown architecture":        {two, []string{"linux/amd64", "linux/unknown"}, []int{1}, "linux/unknown"},
		"hidden behind another name":     {two, []string{"linux/amd64", "plan9/mips+linux/arm64"}, []int{1}, "plan9/mips+linux/arm64"},
		"every Windows":                  {"sbom: true\nplatforms: [windows/amd64]", []string{"windows/amd64", "windows/amd64"}, []int{1}, "platform windows/amd64"},
		"a variant":                      {"sbom: true\nplatforms: [linux/arm/v7]", []string{"linux/arm/v6", "linux/arm/v7"}, []int{2}, ""},
		"arm is v7":                      {"sbom: true\nplatforms: [linux/arm/v7]", []string{"linux/arm/v6", "linux/arm"}, []int{1}, "platform linux/arm sha256"},
		"armhf is v7":                    {"sbom: true\nplatforms: [linux/arm/v7]", []string{"linux/armhf", "linux/arm/7"}, []int{1}, "platform linux/arm/7"},
		"arm64 is v8":                    {"sbom: true\nplatforms: [linux/arm64/v8]", []string{"linux/arm64", "linux/arm64/v9"}, []int{2}, "platform linux/arm64 sha256"},
		"amd64 runs 386":                 {"sbom: true\nplatforms: [linux/amd64]", []string{"linux/amd64/v3", "linux/386"}, []int{1}, "platform linux/386"},
		"arm64 runs arm":                 {two, []string{"linux/amd64", "linux/arm/v6"}, []int{1}, "platform linux/arm/v6"},
		"amd64 has its own":              {two, []string{"linux/amd64", "linux/arm64/v8", "linux/386", "linux/arm/v7"}, []int{1, 2}, ""},
		"its own for some machines only": {two, []string{"linux/amd64/1", "linux(+x)/amd64", "linux/arm64/v9", "linux/386", "linux/arm"}, []int{1, 2, 3}, "platform linux/386"},
		"a lower variant":                {"sbom: true\nplatforms: [linux/amd64, linux/arm/v7]", []string{"linux/amd64", "linux/arm/v6"}, []int{1}, "platform linux/arm/v6"},
		"i386 alone":                     {"sbom: true\nplatforms: [linux/amd64]", []string{"linux/i386", "linux/s390x"}, []int{1}, ""},
		"features of another machine":    {"sbom: true\nplatforms: [linux/amd64]", []string{"linux/amd64", "linux(+x)/amd64"}, []int{1}, `platform "linux(+x)/amd64"`},
		"Windows runs 386":               {"sbom: true\nplatforms: [windows/amd64]", []string{"windows/amd64", "windows/386"}, []int{1}, "platform windows/386"},
		"either, the index":              {two + "\nindex: either", []string{"linux/amd64", "linux/arm64", "linux/s390x"}, []int{0}, ""},
		"either, the images":             {two + "\nindex: either", []string{"linux/amd64", "linux/arm64", "linux/s390x"}, []int{1, 2}, ""},
		"either, one lacks it":           {two + "\nindex: either", []string{"linux/amd64", "linux/arm64", "linux/s390x"}, []int{1, 3}, "platform linux/arm64"},
		"either, of one not asked about": {two + "\nindex: either", []string{"linux/amd64", "linux/s390x"}, []int{2}, "evidence.sbom: none"},
		"platforms without names":        {"sbom: true\nindex: platforms", []string{"linux/amd64", "linux/s390x"}, []int{1}, "platform linux/s390x"},
	} {
		refusal := onIndex(t, tc.require, tc.platforms, tc.evidence...)
		if (refusal == nil) != (tc.says == "") || (refusal != nil && !strings.Contains(refusal.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", name, refusal, tc.says)
		}
	}
	// What is no index is asked about itself.
	p := parse(t, gated(two))
	if r := decideOn(p, []policy.Document{doc(policy.EvidenceSBOM, nil)}).Refusal(); r != nil {
		t.Errorf("an image: %v", r)
	}
	if decideOn(p, nil).Refusal() == nil {
		t.Error("an image without evidence is signed")
	}
	if needs := p.Needs(func() policy.Input { in := request(); in.Kind = policy.KindIndex; return in }()); !needs.Platforms {
		t.Error("the platforms are not gathered")
	}
}

// TestPlatformNews: what became known of a named image since counts beside what is said of the index; of others it does not.
func TestPlatformNews(t *testing.T) {
	p := parse(t, gated("scan: {maxAge: 24h}\nindex: either\nplatforms: [linux/amd64]\nconditions:\n- {name: clean, expression: evidence.scan.findings.size() == 0, message: update}"))
	for platform, refused := range map[string]bool{"linux/amd64": true, "linux/s390x": false} {
		newer := scanOf(func(d *policy.Document) { d.Digest, d.At = otherImage, d.At.Add(1); d.Scan.FinishedAt = d.At }, finding("CVE-2026-1", "low"))
		got := decideOn(p, []policy.Document{scanOf(nil), newer}, func(in *policy.Input) {
			in.Kind, in.Platforms, in.PlatformNames = policy.KindIndex, []string{otherImage}, map[string][]string{otherImage: {platform}}
		}).Refusal()
		if (got != nil) != refused {
			t.Errorf("%s: %v", platform, got)
		}
	}
}

func TestPlatformsParse(t *testing.T) {
	var many []string
	for i := range 33 {
		many = append(many, fmt.Sprintf("linux/arm/v%d", i))
	}
	for require, says := range map[string]string{
		"platforms: [linux/amd64]\nindex: index":        "index: index asks for none of them",
		"platforms: [linux]":                            "must be a platform such as",
		"platforms: [linux/arm/v7/x]":                   "must be a platform such as",
		"platforms: [Linux/amd64]":                      "must be a platform such as",
		`platforms: ["linux/"]`:                         "must be a platform such as",
		`platforms: ["linux/*"]`:                        "must be a platform such as",
		"platforms: [unknown/unknown]":                  "is no platform",
		"platforms: [linux/amd64, linux/amr64]":         `platforms[1]: "linux/amr64": no architecture is called "amr64" (hint: arm64)`,
		"platforms: [linus/amd64]":                      `"linus/amd64": no operating system is called "linus" (hint: linux)`,
		"platforms: [amd64/linux]":                      `no operating system is called "amd64" (hint: such as linux/amd64)`,
		"platforms: [linux/sparkle]":                    `no architecture is called "sparkle" (hint: `,
		"platforms: [linux/arm64, linux/aarch64]":       "is there already",
		"platforms: [linux/arm/v7, linux/armhf/v7]":     "is there already",
		"platforms: [" + strings.Join(many, ", ") + "]": "more than 32",
		"platforms: linux/amd64":                        "platforms",
	} {
		if _, err := policy.ParseSigningPolicy([]byte(gated("sbom: true\n" + require))); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "platforms") {
			t.Errorf("%.60s: %v", require, err)
		}
	}
	// Other words for the same, and what Go has few images for, are names.
	for _, name := range []string{"linux/aarch64", "linux/x86_64", "linux/i386", "linux/armhf", "macos/arm64", "wasi/wasm", "linux/riscv64", "linux/loong64", "windows/amd64", "linux/ppc64le/power9", "freebsd/amd64"} {
		if _, err := policy.ParseSigningPolicy([]byte(gated("sbom: true\nplatforms: [" + name + "]"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := policy.ParseSigningPolicy([]byte(gated("platforms: [linux/amd64]"))); err == nil {
		t.Error("platforms alone require something")
	}
}
