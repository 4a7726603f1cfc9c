// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/youmark/pkcs8"
)

var password = []byte("correct horse battery staple")

// check fails the test on an unexpected error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written makes a key of the kind and stores it at next to no cost: the real
// one takes seconds under the race detector.
func written(t testing.TB, kind Kind) (crypto.Signer, string) {
	t.Helper()
	key, err := Generate(kind)
	check(t, err)
	path := filepath.Join(t.TempDir(), "test.key")
	block, err := encrypt(key, password, pkcs8.ScryptOpts{SaltSize: saltLength, CostParameter: 2, BlockSize: 1, ParallelizationParameter: 1})
	check(t, err)
	check(t, writeNew(path, block))
	return key, path
}

// TestWriteEncrypted is the one test at full cost, with OpenSSL's view of it.
func TestWriteEncrypted(t *testing.T) {
	key, err := Generate(ECDSAP256)
	check(t, err)
	path := filepath.Join(t.TempDir(), "test.key")
	check(t, WriteEncrypted(path, key, password))
	openssl(t, nil, "pkey", "-in", path, "-passin", "pass:"+string(password), "-noout")
	got, err := ReadEncrypted(path, password)
	check(t, err)
	if cryptoutils.EqualKeys(got.Public(), key.Public()) != nil {
		t.Error("read another key than was written")
	}
	content, err := os.ReadFile(path)
	check(t, err)
	if err := WriteEncrypted(path, got, password); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "hint") {
		t.Errorf("second write: error %v, want fs.ErrExist with a hint", err)
	}
	after, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(content, after) {
		t.Error("an existing file was changed")
	}
}

func TestRoundTrip(t *testing.T) {
	for _, kind := range []Kind{ECDSAP256, Ed25519} {
		t.Run(string(kind), func(t *testing.T) {
			key, path := written(t, kind)
			got, err := ReadEncrypted(path, password)
			check(t, err)
			if gotKind, err := KindOf(got); gotKind != kind || err != nil {
				t.Errorf("kind %q, %v; want %q", gotKind, err, kind)
			}
			equal, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
			if !ok || !equal.Equal(got.Public()) {
				t.Error("read another key than was written")
			}
			info, err := os.Stat(path)
			check(t, err)
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("mode %04o, want 0600", mode)
			}
			content, err := os.ReadFile(path)
			check(t, err)
			plain, err := x509.MarshalPKCS8PrivateKey(key)
			check(t, err)
			block, _ := pem.Decode(content)
			if block == nil || bytes.Contains(block.Bytes, plain[len(plain)-32:]) {
				t.Error("key is in the file in the clear")
			}
		})
	}
}

// TestOpenSSL holds the format against another implementation, both ways.
func TestOpenSSL(t *testing.T) {
	for _, kind := range []Kind{ECDSAP256, Ed25519} {
		t.Run(string(kind), func(t *testing.T) {
			key, path := written(t, kind)
			want, err := x509.MarshalPKIXPublicKey(key.Public())
			check(t, err)
			got := openssl(t, nil, "pkey", "-in", path, "-passin", "pass:"+string(password), "-pubout", "-outform", "DER")
			if !bytes.Equal(got, want) {
				t.Error("openssl reads another key than was written")
			}

			plain, err := x509.MarshalPKCS8PrivateKey(key)
			check(t, err)
			theirs := filepath.Join(t.TempDir(), "openssl.key")
			openssl(t, plain, "pkcs8", "-topk8", "-inform", "DER", "-scrypt", "-scrypt_N", "1024", "-v2", "aes-256-cbc", "-passout", "pass:"+string(password), "-out", theirs)
			check(t, os.Chmod(theirs, 0o600))
			read, err := ReadEncrypted(theirs, password)
			check(t, err)
			spki, err := x509.MarshalPKIXPublicKey(read.Public())
			check(t, err)
			if !bytes.Equal(spki, want) {
				t.Error("read another key than openssl wrote")
			}
		})
	}
}

func openssl(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s(hint: these tests need the openssl program)", args[0], err, stderr.String())
	}
	return out
}

func TestReadEncryptedRefuses(t *testing.T) {
	_, good := written(t, ECDSAP256)
	content, err := os.ReadFile(good)
	check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	for _, tt := range []struct {
		name     string
		content  []byte // nil: no file
		mode     fs.FileMode
		password []byte
		want     error
		hint     string
	}{
		{"no file", nil, 0, password, fs.ErrNotExist, "no file "},
		{"wrong password", content, 0o600, []byte("guess"), ErrWrongPassword, "damaged"},
		{"empty password", content, 0o600, nil, ErrNoPassword, "hint"},
		{"group may read", content, 0o640, password, ErrTooOpen, "chmod 600"},
		{"world may read", content, 0o604, password, ErrTooOpen, "chmod 600"},
		{"plain key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), 0o600, password, ErrNotKey, pemType},
		{"plain key under the label", pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: plain}), 0o600, password, ErrNotKey, ""},
		{"two keys", append(bytes.Clone(content), content...), 0o600, password, ErrNotKey, "nothing else"},
		{"empty file", []byte{}, 0o600, password, ErrNotKey, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.key")
			if tt.content != nil {
				check(t, os.WriteFile(path, tt.content, 0o600))
				check(t, os.Chmod(path, tt.mode))
			}
			got, err := ReadEncrypted(path, tt.password)
			if !errors.Is(err, tt.want) || got != nil {
				t.Fatalf("key %v, error %v; want %v", got, err, tt.want)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("error %q does not name the file and %q", err, tt.hint)
			}
		})
	}
}

func TestReadEncryptedRefusesLargeFilesAndFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.key")
	check(t, os.WriteFile(path, bytes.Repeat([]byte("a"), maxKeyFile+1), 0o600))
	if _, err := ReadEncrypted(path, password); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("large file: %v", err)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	check(t, os.Mkdir(folder, 0o700))
	if _, err := ReadEncrypted(folder, password); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("folder: %v", err)
	}
}

// handle is a key that lives elsewhere, as in a KMS.
type handle struct{ crypto.Signer }

func TestWriteEncryptedRefuses(t *testing.T) {
	key, err := Generate(ECDSAP256)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for _, tt := range []struct {
		name     string
		key      crypto.Signer
		password []byte
		want     error
	}{
		{"empty password", key, nil, ErrNoPassword},
		{"key of a KMS", handle{key}, password, ErrUnsupported},
		{"P-384", p384, password, ErrUnsupported},
	} {
		path := filepath.Join(t.TempDir(), "x.key")
		if err := WriteEncrypted(path, tt.key, tt.password); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was left behind", tt.name)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, kind := range []Kind{ECDSAP256, Ed25519} {
		key, err := Generate(kind)
		check(t, err)
		message := sha256.Sum256([]byte("message"))
		hash := crypto.Hash(0)
		if kind == ECDSAP256 {
			hash = crypto.SHA256
		}
		if _, err := key.Sign(rand.Reader, message[:], hash); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := Generate("rsa-1024"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}
