// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

const (
	hex40  = "0123456789abcdef0123456789abcdef01234567"
	hex64  = hex40 + "89abcdef0123456789abcdef"
	hex96  = hex64 + "0123456789abcdef0123456789abcdef"
	hex128 = hex64 + hex64
)

func TestHash(t *testing.T) {
	for _, tc := range []struct{ algorithm, digest, want string }{
		{"sha256", hex64, "hash:sha256:" + hex64},
		{"SHA256", strings.ToUpper(hex64), "hash:sha256:" + hex64},
		{"sha1", hex40, "hash:sha1:" + hex40},
		{"sha384", hex96, "hash:sha384:" + hex96},
		{"sha512", hex128, "hash:sha512:" + hex128},
		{"sha256", hex40, ""},
		{"sha256", hex64 + "00", ""},
		{"sha256", hex64[1:], ""},
		{"sha256", "g" + hex64[1:], ""},
		{"sha256", "", ""},
		{"sha224", hex64, ""},
		{"md5", hex40[:32], ""},
		{"", hex64, ""},
	} {
		got, err := index.Hash(tc.algorithm, tc.digest)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s %s: %q, %v", tc.algorithm, tc.digest, got, err)
		}
		if tc.want == "" || tc.algorithm != strings.ToLower(tc.algorithm) {
			continue
		}
		raw, err := hex.DecodeString(tc.digest)
		if err != nil {
			t.Fatal(err)
		}
		h := map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[tc.algorithm]
		if got := index.HashOf(h, raw); got != tc.want {
			t.Errorf("of bytes: %q, want %q", got, tc.want)
		}
	}
	if got := index.HashOf(crypto.SHA256, make([]byte, 31)) + index.HashOf(crypto.MD5, make([]byte, 16)); got != "" {
		t.Errorf("%q for what is no digest", got)
	}
}

func TestParseHash(t *testing.T) {
	for in, want := range map[string]string{
		"sha256:" + hex64:               "hash:sha256:" + hex64,
		" " + strings.ToUpper(hex64):    "hash:sha256:" + hex64,
		hex40:                           "hash:sha1:" + hex40,
		hex96:                           "hash:sha384:" + hex96,
		hex128:                          "hash:sha512:" + hex128,
		"sha256:" + hex40:               "",
		"sha256:sha256:" + hex64:        "",
		hex64[:63]:                      "",
		"":                              "",
		":":                             "",
		strings.Repeat("z", 64):         "",
		strings.Repeat("sha256:", 1000): "",
	} {
		got, err := index.ParseHash(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%q: an error of %d bytes", in, len(err.Error()))
		}
	}
}

func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{index.Identity("Dev@Corp.Example"), "identity:dev@corp.example"},
		{index.Identity("https://github.com/Acme/app/.github/workflows/x.yml@refs/heads/main"), "identity:https://github.com/acme/app/.github/workflows/x.yml@refs/heads/main"},
		{index.Issuer("https://Token.Actions.GithubUserContent.com/"), "issuer:token.actions.githubusercontent.com"},
		{index.Issuer("https://idp.example:8443/realms/a"), "issuer:idp.example:8443/realms/a"},
		{index.Repository("https://github.com/Acme/App"), "repository:github.com/acme/app"},
		{index.Repository("https://github.com/acme/app.git/"), "repository:github.com/acme/app"},
		{index.Repository("git@github.com:acme/app.git"), "repository:github.com/acme/app"},
		{index.Repository("git+https://github.com/acme/app"), "repository:github.com/acme/app"},
		{index.Repository("ssh://git@github.com/acme/app"), "repository:github.com/acme/app"},
		{index.Repository("github.com/acme/app"), "repository:github.com/acme/app"},
		{index.Repository("https://git.example:8443/acme/app"), "repository:git.example:8443/acme/app"},
		{index.Commit(strings.ToUpper(hex40)), "commit:" + hex40},
		{index.Workflow("https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v1"), "workflow:github.com/acme/app/.github/workflows/x.yml@refs/tags/v1"},
		{index.Image("registry.example/acme/app"), "image:registry.example/acme/app"},
		{index.Image("registry.example/acme/app:1.0"), "image:registry.example/acme/app"},
		{index.Image("registry.example:5000/acme/app:1.0@sha256:" + hex64), "image:registry.example:5000/acme/app"},
		{index.Image("registry.example:5000/app"), "image:registry.example:5000/app"},
		{index.Image("oci://Registry.Example/charts/app"), "image:registry.example/charts/app"},
		{index.Image("localhost/app"), "image:localhost/app"},
		{index.Image("alpine"), "image:docker.io/library/alpine"},
		{index.Image("alpine:3.20"), "image:docker.io/library/alpine"},
		{index.Image("acme/app"), "image:docker.io/acme/app"},
		{index.Image("index.docker.io/library/alpine"), "image:docker.io/library/alpine"},
		{index.Image("docker.io/alpine"), "image:docker.io/library/alpine"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

func TestCollect(t *testing.T) {
	long := strings.Repeat("x", tlog.MaxKey)
	got := index.Collect([]string{"b", "a", "b", ""}, nil, []string{"a", long + "x", long, "c"})
	if want := []string{"b", "a", long, "c"}; !slices.Equal(got, want) {
		t.Errorf("got %.40q", got)
	}
	var many []string
	for i := range 2 * tlog.MaxKeys {
		many = append(many, fmt.Sprint(i), fmt.Sprint(i))
	}
	got = index.Collect(many, []string{"last"})
	if len(got) != tlog.MaxKeys || got[0] != "0" || got[tlog.MaxKeys-1] != fmt.Sprint(tlog.MaxKeys-1) {
		t.Errorf("%d keys: %q", len(got), got)
	}
	if got := index.Collect(); len(got) != 0 {
		t.Errorf("nothing gives %q", got)
	}
}

func TestPublicKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	want := "publickey:" + hex.EncodeToString(sum[:])
	if got, err := index.PublicKey(key.Public()); err != nil || got != want || index.RawKey(spki) != want {
		t.Errorf("%q, %v", got, err)
	}
	for name, none := range map[string]crypto.PublicKey{
		"text":                "no key",
		"point off the curve": &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, //nolint:staticcheck // that is the point
		"no point":            &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)},   //nolint:staticcheck // as above
	} {
		if key, err := index.PublicKey(none); err == nil {
			t.Errorf("%s has the key %q", name, key)
		}
	}
}

// Keys of any kind are found by the hash of what crypto/x509 writes, whoever
// wrote it.
func TestPublicKeysAreSPKI(t *testing.T) {
	var keys []crypto.PublicKey
	for range 64 { // now and then one coordinate is short
		keys = append(keys, keyOn(t, elliptic.P256()).Public())
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P384(), elliptic.P521()} {
		keys = append(keys, keyOn(t, curve).Public())
	}
	base := elliptic.P256().Params()
	minusY := new(big.Int).Sub(base.P, base.Gy)
	keys = append(keys,
		&ecdsa.PublicKey{Curve: elliptic.P256(), X: base.Gx, Y: base.Gy}, //nolint:staticcheck // a point that is known
		&ecdsa.PublicKey{Curve: elliptic.P256(), X: base.Gx, Y: minusY},  //nolint:staticcheck // as above
		ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)), &rsa.PublicKey{N: base.N, E: 65537},
	)
	for i, key := range keys {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := index.PublicKey(key); err != nil || got != index.RawKey(spki) {
			t.Errorf("key %d, %T: %q, %v", i, key, got, err)
		}
	}
}

func keyOn(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPayload(t *testing.T) {
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[` +
		`{"name":"a","digest":{"sha512":"` + hex128 + `","sha256":"` + hex64 + `","gitTree":"` + hex40 + `","sha1":"short"}},{"digest":null},{"digest":{"sha1":"` + hex40 + `"}}]}`)
	sum := sha256.Sum256(payload)
	self := "hash:sha256:" + hex.EncodeToString(sum[:])
	got := index.OfPayload("application/vnd.in-toto+json", payload)
	if want := []string{self, "hash:sha256:" + hex64, "hash:sha512:" + hex128, "hash:sha1:" + hex40}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := index.OfPayload("text/plain", payload); !slices.Equal(got, []string{self}) {
		t.Errorf("of another type: %q", got)
	}
	for _, bad := range []string{"", "{", "[]", `{"subject":7}`, `{"subject":[{"digest":[]}]}`} {
		if got := index.OfPayload("application/vnd.in-toto+json", []byte(bad)); len(got) != 1 {
			t.Errorf("%s: %q", bad, got)
		}
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `,{"digest":{"sha256":"%064x"}}`, i)
	}
	if got := index.OfPayload("application/vnd.in-toto+json", []byte(`{"subject":[`+many.String()[1:]+`]}`)); len(got) != tlog.MaxKeys {
		t.Errorf("%d keys", len(got))
	}
}
