// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

func TestParseTerm(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{"image:registry/acme/app", "image:docker.io/registry/acme/app", ""},
		{"image:registry.example/acme/app:1.0", "image:registry.example/acme/app", ""},
		{"hash:sha256:" + hex64, "hash:sha256:" + hex64, ""},
		{"hash:" + hex64, "hash:sha256:" + hex64, ""},
		{"sha256:" + hex64, "hash:sha256:" + hex64, ""},
		{"SHA512:" + hex128, "hash:sha512:" + hex128, ""},
		{hex64, "hash:sha256:" + hex64, ""},
		{" a@b \n", "identity:a@b", ""},
		{"email:a@b", "identity:a@b", ""},
		{"IDENTITY:spiffe://cluster/ns/a", "identity:spiffe://cluster/ns/a", ""},
		{"commit:" + hex64, "commit:" + hex64, ""},
		{"publickey:" + hex64, "publickey:" + hex64, ""},

		{"", "", "hint: sha256: (or sha1:"},
		{"   ", "", "empty"},
		{"app", "", "say what it is"},
		{"registry.example/acme/app", "", "say what it is"},
		{"https://github.com/acme/app", "", `"https" is no kind`},
		{"color:red", "", "hint: sha256: (or sha1:"},
		{":x", "", "no kind"},
		{"image:", "", "nothing behind"},
		{"image: /:@", "", "no image name"},
		{"issuer:https://", "", "nothing is left"},
		{"repo:.git/", "", "nothing is left"},
		{"image:0://", "", "no name of kind"},
		{"image:a:b:c", "", "no name of kind"},
		{"commit:0123abc", "", "git rev-parse"},
		{"commit:" + strings.Repeat("z", 40), "", "whole commit id"},
		{"hash:sha256:123", "", "64 hexadecimal digits"},
		{"publickey:123", "", "SubjectPublicKeyInfo"},
		{"email:" + strings.Repeat("a", tlog.MaxKey), "", "longer than 1024 bytes"},
	} {
		got, err := index.ParseTerm(tc.in)
		if got != tc.want || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%q: %q, %v", tc.in, got, err)
		}
	}
}

// A term is normalised once and for all, fits what storage takes, and does not
// leave its kind.
func FuzzParseTerm(f *testing.F) {
	for _, s := range []string{
		"image:Registry.example:5000/a/b:c@sha256:" + hex64, "image:a", "image:docker.io/a", "image:index.docker.io:80/a", "image:a:b/c:d", "image:https://oci://x/y/",
		"repo:git@h:a/b.git", "repo:a@b@c:d:e", "repo:.git.git/", "workflow:HTTPS://A/b@c", "issuer: https:// x /", "identity:İ@ẞ", "email:\xff\xfe",
		"hash:" + hex64, "sha1:" + hex40, hex128, "a@b", "commit:" + hex40, "publickey:sha256:" + hex64, "::", "image:\u00a0a\u2028/", "repo:x ://y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := index.ParseTerm(s)
		if err != nil {
			return
		}
		again, err := index.ParseTerm(key)
		if err != nil || again != key {
			t.Errorf("%q is %q, which is %q, %v", s, key, again, err)
		}
		kind, value, _ := strings.Cut(key, ":")
		if len(key) > tlog.MaxKey || value == "" || kind == "" {
			t.Errorf("%q is %q", s, key)
		}
		if upper, err := index.ParseTerm(kind + ":" + strings.ToUpper(value)); isASCII(value) && (err != nil || upper != key) {
			t.Errorf("%q in upper case is %q, %v", key, upper, err)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}
