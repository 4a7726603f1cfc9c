// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	for _, kind := range []Kind{ECDSAP256, Ed25519} {
		key, err := Generate(kind)
		check(t, err)
		path := filepath.Join(t.TempDir(), "x.pub")
		check(t, WritePublic(path, key.Public()))
		got, err := ReadPublic(path)
		check(t, err)
		if !Equal(got, key.Public()) {
			t.Errorf("%s: read another key than was written", kind)
		}
		if is, err := PublicKindOf(got); is != kind || err != nil {
			t.Errorf("kind %q, %v; want %q", is, err, kind)
		}
		hint, err := Hint(got)
		check(t, err)
		if len(hint) != 44 {
			t.Errorf("hint %q is not the base64 of a SHA-256", hint)
		}
		other, err := Generate(kind)
		check(t, err)
		if Equal(got, other.Public()) || Equal(nil, got) {
			t.Error("two keys are one")
		}
		// A pin is never overwritten.
		if err := WritePublic(path, other.Public()); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "hint") {
			t.Errorf("second write: %v", err)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for _, key := range []any{p384.Public(), nil, "text", (*ecdsa.PublicKey)(nil)} {
		if _, err := PublicKindOf(key); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%T: %v", key, err)
		}
	}
}

func TestReadPublicRefuses(t *testing.T) {
	if _, err := ReadPublic(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	key, err := Generate(ECDSAP256)
	check(t, err)
	text, err := PublicPEM(key.Public())
	check(t, err)
	_, private := written(t, ECDSAP256)
	encrypted, err := os.ReadFile(private)
	check(t, err)
	for name, content := range map[string][]byte{
		"empty": {}, "two": append(text, text...), "junk": []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
		"private": encrypted, "large": make([]byte, maxKeyFile+1),
	} {
		path := filepath.Join(t.TempDir(), "x.pub")
		check(t, os.WriteFile(path, content, 0o600))
		if _, err := ReadPublic(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
