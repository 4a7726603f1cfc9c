// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
)

// hostile describes an encrypted key file; the zero value of a member takes
// what WriteEncrypted would have written.
type hostile struct {
	n, r, p    int
	salt, iv   []byte
	keyLength  int
	kdf        asn1.ObjectIdentifier
	cipher     asn1.ObjectIdentifier
	algorithm  asn1.ObjectIdentifier
	ciphertext []byte
	trailing   []byte
}

func (h hostile) encode(t testing.TB) []byte {
	t.Helper()
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	or := func(v, standard asn1.ObjectIdentifier) asn1.ObjectIdentifier {
		if v == nil {
			return standard
		}
		return v
	}
	if h.salt == nil {
		h.salt = make([]byte, saltLength)
	}
	if h.iv == nil {
		h.iv = make([]byte, 16)
	}
	if h.ciphertext == nil {
		h.ciphertext = make([]byte, 144)
	}
	if h.n == 0 {
		h.n, h.r, h.p = 2, 1, 1 // as cheap as it gets
	}
	scheme := pbes2{
		KDF:    pkix.AlgorithmIdentifier{Algorithm: or(h.kdf, oidScrypt), Parameters: marshal(scryptParameters{h.salt, h.n, h.r, h.p, h.keyLength})},
		Cipher: pkix.AlgorithmIdentifier{Algorithm: or(h.cipher, oidAES256CBC), Parameters: marshal(h.iv)},
	}
	der := marshal(encryptedKey{pkix.AlgorithmIdentifier{Algorithm: or(h.algorithm, oidPBES2), Parameters: marshal(scheme)}, h.ciphertext})
	return append(der.FullBytes, h.trailing...)
}

func TestParametersAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  hostile
		says string
	}{
		{"N takes a gigabyte", hostile{n: 1 << 20, r: 8, p: 1}, "costs too much"},
		{"N overflows", hostile{n: 1 << 62, r: 32, p: 16}, "costs too much"},
		{"p takes minutes", hostile{n: 1 << 18, r: 8, p: 16}, "costs too much"},
		{"p out of bounds", hostile{n: 2, r: 1, p: 1 << 30}, "out of bounds"},
		{"r out of bounds", hostile{n: 2, r: 1 << 30, p: 1}, "out of bounds"},
		{"r zero", hostile{n: 2, r: 0, p: 1}, "out of bounds"},
		{"p negative", hostile{n: 2, r: 1, p: -1}, "out of bounds"},
		{"N negative", hostile{n: -2, r: 1, p: 1}, "power of two"},
		{"N one", hostile{n: 1, r: 1, p: 1}, "power of two"},
		{"N odd", hostile{n: 3, r: 1, p: 1}, "power of two"},
		{"no salt", hostile{salt: []byte{}}, "salt"},
		{"long salt", hostile{salt: make([]byte, maxSalt+1)}, "salt"},
		{"short key", hostile{keyLength: 16}, "key length"},
		{"short vector", hostile{iv: make([]byte, 8)}, "vector"},
		{"no ciphertext", hostile{ciphertext: []byte{}}, "ciphertext"},
		{"partial block", hostile{ciphertext: make([]byte, 17)}, "ciphertext"},
		{"long ciphertext", hostile{ciphertext: make([]byte, maxCiphertext+16)}, "ciphertext"},
		{"PBKDF2", hostile{kdf: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}}, "instead of scrypt"},
		{"3DES", hostile{cipher: asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}}, "instead of AES-256-CBC"},
		{"PBES1", hostile{algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3}}, "instead of PBES2"},
		{"trailing data", hostile{trailing: []byte{0}}, "trailing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: tt.key.encode(t)})
			_, err := decrypt(file, password)
			if !errors.Is(err, ErrNotKey) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want ErrNotKey with %q", err, tt.says)
			}
		})
	}
}

func TestGarbageUnderGoodParametersIsAWrongPassword(t *testing.T) {
	file := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: hostile{}.encode(t)})
	if _, err := decrypt(file, password); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("error %v, want ErrWrongPassword", err)
	}
}

// FuzzDecrypt plants files. Whatever is in one, opening it ends in an error of
// this package or in a key that can be stored again, and never in a panic: the
// decoder behind checkParameters has several.
func FuzzDecrypt(f *testing.F) {
	f.Add(hostile{}.encode(f))
	f.Add(hostile{iv: make([]byte, 8)}.encode(f))
	f.Add(hostile{ciphertext: make([]byte, 17)}.encode(f))
	_, path := written(f, Ed25519)
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(content)
	f.Add(block.Bytes)
	f.Fuzz(func(t *testing.T, der []byte) {
		if checkParameters(der) == nil && !bytes.Contains(der, []byte{2, 1, 1, 2, 1, 1}) {
			// Every other cost is within bounds, and too slow for a fuzzer.
			return
		}
		got, err := decrypt(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), password)
		switch {
		case err == nil:
			if _, err := KindOf(got); err != nil {
				t.Errorf("a key that cannot be stored: %v", err)
			}
		case !errors.Is(err, ErrNotKey) && !errors.Is(err, ErrWrongPassword) && !errors.Is(err, ErrUnsupported):
			t.Errorf("error without a kind: %v", err)
		}
	})
}
