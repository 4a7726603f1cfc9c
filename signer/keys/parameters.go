// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto/aes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/bits"
)

// Bounds on the scrypt parameters a file may ask for. They leave room above
// what WriteEncrypted uses and stay far below what hurts a small machine.
const (
	// maxScryptMemory in bytes; scrypt needs 128·N·r.
	maxScryptMemory = 256 << 20
	// maxScryptR and maxScryptP keep the products below from overflowing.
	maxScryptR = 32
	maxScryptP = 16
	// maxScryptWork bounds 128·N·r·p, the time: about four seconds.
	maxScryptWork = 1 << 30
	// maxSalt in bytes; RFC 8018 asks for at least 8, writers use 8 to 32.
	maxSalt = 64
	// maxCiphertext in bytes; an unencrypted P-256 key takes 138, one of RSA-4096
	// about 2,380.
	maxCiphertext = 4 << 10
)

var (
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidScrypt    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo of RFC 5958 section 3.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 is PBES2-params of RFC 8018 appendix A.4.
type pbes2 struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

// scryptParameters is scrypt-params of RFC 7914 section 7.
type scryptParameters struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

// checkParameters accepts exactly one combination of algorithms and bounds
// their parameters. The decoder behind it panics on an initialisation vector
// or a ciphertext of the wrong length, and hashes with any cost it is told.
func checkParameters(der []byte) error {
	var key encryptedKey
	if err := unmarshalAll(der, &key); err != nil {
		return fmt.Errorf("%w: %v", ErrNotKey, err) //nolint:errorlint // ErrNotKey is the error; the parser's words explain it
	}
	if !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return fmt.Errorf("%w: encryption %s instead of PBES2", ErrNotKey, key.Algorithm.Algorithm)
	}
	var scheme pbes2
	if err := unmarshalAll(key.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return fmt.Errorf("%w: parameters of PBES2", ErrNotKey)
	}
	if err := checkKDF(scheme.KDF); err != nil {
		return err
	}
	return checkCipher(scheme.Cipher, key.Data)
}

func checkKDF(kdf pkix.AlgorithmIdentifier) error {
	if !kdf.Algorithm.Equal(oidScrypt) {
		return fmt.Errorf("%w: password hash %s instead of scrypt (hint: openssl pkcs8 -topk8 -scrypt converts)", ErrNotKey, kdf.Algorithm)
	}
	var p scryptParameters
	if err := unmarshalAll(kdf.Parameters.FullBytes, &p); err != nil {
		return fmt.Errorf("%w: parameters of scrypt", ErrNotKey)
	}
	switch {
	case len(p.Salt) == 0 || len(p.Salt) > maxSalt:
		return fmt.Errorf("%w: salt of %d bytes", ErrNotKey, len(p.Salt))
	case p.R < 1 || p.R > maxScryptR || p.P < 1 || p.P > maxScryptP:
		return fmt.Errorf("%w: scrypt r=%d p=%d out of bounds", ErrNotKey, p.R, p.P)
	case p.N < 2 || bits.OnesCount(uint(p.N)) != 1:
		return fmt.Errorf("%w: scrypt N=%d is not a power of two", ErrNotKey, p.N)
	case p.N > maxScryptMemory/(128*p.R) || p.N > maxScryptWork/(128*p.R*p.P):
		return fmt.Errorf("%w: scrypt N=%d r=%d p=%d costs too much", ErrNotKey, p.N, p.R, p.P)
	case p.KeyLength != 0 && p.KeyLength != aes256KeyLength:
		return fmt.Errorf("%w: key length %d", ErrNotKey, p.KeyLength)
	}
	return nil
}

// aes256KeyLength in bytes.
const aes256KeyLength = 32

func checkCipher(cipher pkix.AlgorithmIdentifier, ciphertext []byte) error {
	if !cipher.Algorithm.Equal(oidAES256CBC) {
		return fmt.Errorf("%w: cipher %s instead of AES-256-CBC (hint: openssl pkcs8 -topk8 -scrypt -v2 aes-256-cbc converts)", ErrNotKey, cipher.Algorithm)
	}
	var iv []byte
	if err := unmarshalAll(cipher.Parameters.FullBytes, &iv); err != nil || len(iv) != aes.BlockSize {
		return fmt.Errorf("%w: initialisation vector", ErrNotKey)
	}
	if n := len(ciphertext); n == 0 || n > maxCiphertext || n%aes.BlockSize != 0 {
		return fmt.Errorf("%w: ciphertext of %d bytes", ErrNotKey, n)
	}
	return nil
}

// unmarshalAll parses DER and refuses bytes after it.
func unmarshalAll(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes of trailing data", len(rest))
	}
	return nil
}
