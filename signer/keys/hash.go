// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/scrypt"
)

// A deployment has ten keys and more, all under one password, and hashing that
// takes a quarter of a second of CPU. So the files of a folder have one salt,
// and the password is hashed once per process instead of once per file: who
// guesses at it needs one file anyway, and tries each guess once. Every file
// has an initialisation vector of its own.

// hashCost is that of files that are written. OpenSSL refuses scrypt with 32
// MiB or more of memory, so that N is as large as a stock `openssl pkcs8` can
// follow (16 MiB), and P makes up for it: together one of the settings OWASP
// recommends.
var hashCost = scryptParameters{N: 1 << 14, R: 8, P: 5}

// saltLength in bytes, of files that are written.
const saltLength = 16

// maxHashes bounds how many hashed passwords are remembered. A deployment has
// one, and one more while its password changes.
const maxHashes = 8

// hashes remembers hashed passwords, by a digest of what they are made from. A
// process that has the keys may have what opens them.
var hashes struct {
	mu   sync.Mutex // held while hashing: who wants the same waits for it
	done map[[sha256.Size]byte][]byte
}

func init() {
	pkcs8.RegisterKDF(oidScrypt, func() pkcs8.KDFParameters { return new(scryptParameters) })
}

// DeriveKey implements pkcs8.KDFParameters.
func (p scryptParameters) DeriveKey(password []byte, size int) ([]byte, error) {
	name := p.name(password, size)
	hashes.mu.Lock()
	defer hashes.mu.Unlock()
	if key, ok := hashes.done[name]; ok {
		return slices.Clone(key), nil
	}
	key, err := scrypt.Key(password, p.Salt, p.N, p.R, p.P, size)
	if err != nil {
		return nil, err
	}
	if hashes.done == nil || len(hashes.done) >= maxHashes {
		hashes.done = map[[sha256.Size]byte][]byte{}
	}
	hashes.done[name] = slices.Clone(key)
	return key, nil
}

// name tells hashes apart.
func (p scryptParameters) name(password []byte, size int) [sha256.Size]byte {
	var text []byte
	for _, number := range []int{p.N, p.R, p.P, size, len(p.Salt)} {
		text = binary.BigEndian.AppendUint64(text, uint64(number)) //nolint:gosec // bounded by checkKDF, and positive
	}
	return sha256.Sum256(slices.Concat(text, p.Salt, password))
}

// hashWith is how the password of a new file is hashed. It implements
// pkcs8.KDFOpts, whose salt, new for each file, it does not use.
type hashWith struct{ scryptParameters }

// DeriveKey implements pkcs8.KDFOpts.
func (h hashWith) DeriveKey(password, _ []byte, size int) ([]byte, pkcs8.KDFParameters, error) {
	key, err := h.scryptParameters.DeriveKey(password, size)
	return key, h.scryptParameters, err
}

// GetSaltSize implements pkcs8.KDFOpts.
func (h hashWith) GetSaltSize() int { return len(h.Salt) }

// OID implements pkcs8.KDFOpts.
func (h hashWith) OID() asn1.ObjectIdentifier { return oidScrypt }

// hashFor is the hash of a new file in a folder: that of the files that are
// there already, or one with a new salt.
func hashFor(folder string) (hashWith, error) {
	others, err := filepath.Glob(filepath.Join(folder, "*.key"))
	if err != nil {
		return hashWith{}, err
	}
	for _, path := range others {
		if p, ok := hashOf(path); ok {
			return hashWith{p}, nil
		}
	}
	fresh := hashCost
	fresh.Salt = make([]byte, saltLength)
	if _, err := rand.Read(fresh.Salt); err != nil {
		return hashWith{}, fmt.Errorf("read random salt: %w", err)
	}
	return hashWith{fresh}, nil
}

// hashOf is the hash of a file that this package has written; false for
// anything else.
func hashOf(path string) (scryptParameters, bool) {
	content, err := readSecret(path, maxKeyFile)
	if err != nil {
		return scryptParameters{}, false
	}
	block, _ := pem.Decode(content)
	if block == nil || checkParameters(block.Bytes) != nil {
		return scryptParameters{}, false
	}
	var key encryptedKey
	var scheme pbes2
	var p scryptParameters
	if unmarshalAll(block.Bytes, &key) != nil || unmarshalAll(key.Algorithm.Parameters.FullBytes, &scheme) != nil ||
		unmarshalAll(scheme.KDF.Parameters.FullBytes, &p) != nil {
		return scryptParameters{}, false
	}
	return p, p.N == hashCost.N && p.R == hashCost.R && p.P == hashCost.P && len(p.Salt) == saltLength
}
