// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/youmark/pkcs8"
)

// TestOneSalt: the files of a folder share a salt, so that a server hashes its
// password once; nothing else of them is the same, and a file of weaker make is
// not imitated.
func TestOneSalt(t *testing.T) {
	dir := t.TempDir()
	password, other := []byte("correct horse"), []byte("battery staple")
	weak, err := encrypt(newKey(t), password, pkcs8.ScryptOpts{SaltSize: saltLength, CostParameter: 2, BlockSize: 1, ParallelizationParameter: 1})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "a.key"), weak, fileMode))
	check(t, os.WriteFile(filepath.Join(dir, "b.key"), []byte("not a key"), fileMode))

	hashes.done = nil
	names := []string{"c.key", "d.key", "e.key"}
	passwords := [][]byte{password, password, other}
	for i, name := range names {
		check(t, WriteEncrypted(filepath.Join(dir, name), newKey(t), passwords[i]))
	}
	vectors := map[string]bool{}
	var salt string
	for i, name := range names {
		p, ok := hashOf(filepath.Join(dir, name))
		if !ok || (salt != "" && salt != string(p.Salt)) {
			t.Errorf("%s: hash %+v, want that of the files before", name, p)
		}
		salt = string(p.Salt)
		vectors[vector(t, filepath.Join(dir, name))] = true
		if _, err := ReadEncrypted(filepath.Join(dir, name), passwords[i]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ReadEncrypted(filepath.Join(dir, name), passwords[(i+2)%3]); (i == 1) != (err == nil) || (err != nil && !errors.Is(err, ErrWrongPassword)) {
			t.Errorf("%s with the password of another file: %v", name, err)
		}
	}
	if len(vectors) != len(names) {
		t.Error("two files have one initialisation vector")
	}
	if len(hashes.done) != 2 {
		t.Errorf("%d hashes were made of two passwords", len(hashes.done))
	}
}

// TestHashesAreBounded: who tries passwords fills no memory.
func TestHashesAreBounded(t *testing.T) {
	cheap := scryptParameters{Salt: make([]byte, saltLength), N: 2, R: 1, P: 1}
	for i := range 10 * maxHashes {
		first, err := cheap.DeriveKey([]byte{byte(i)}, aes256KeyLength)
		check(t, err)
		again, err := cheap.DeriveKey([]byte{byte(i)}, aes256KeyLength)
		check(t, err)
		if string(first) != string(again) {
			t.Fatal("a remembered hash is another one")
		}
		clear(first) // the caller's copy
	}
	if len(hashes.done) > maxHashes {
		t.Errorf("%d hashes are remembered", len(hashes.done))
	}
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := Generate(ECDSAP256)
	check(t, err)
	return key
}

func vector(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	check(t, err)
	block, _ := pem.Decode(content)
	var key encryptedKey
	check(t, unmarshalAll(block.Bytes, &key))
	var scheme pbes2
	check(t, unmarshalAll(key.Algorithm.Parameters.FullBytes, &scheme))
	return string(scheme.Cipher.Parameters.FullBytes)
}
