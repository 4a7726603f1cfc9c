// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Whoever has signed charts with GnuPG for years has verifiers that know the
// key's fingerprint. It is a hash over the public key and its time of creation,
// so that the private key alone would become another OpenPGP key: what is taken
// over is a secret key as `gpg --export-secret-keys` writes it, with its user id
// and expiry. Its other user ids, what other people have certified, and subkeys
// for encryption are left out: nothing here uses them.

var (
	// ErrImport means that a file holds no secret key that can be taken over. The
	// error says why.
	ErrImport = errors.New("this OpenPGP key cannot be imported")
	// ErrPassphrase means that the passphrase does not open the secret key, or that
	// there is none and one is needed.
	ErrPassphrase = errors.New("wrong passphrase")
)

const (
	// MaxSecret bounds a file with a secret key, bytes. A key with a photograph and
	// a hundred certifications of other people takes 100 KiB.
	MaxSecret = 256 << 10
	// maxPackets bounds what is in it.
	maxPackets = 1024
	// The packets of RFC 4880 section 4.3 that are looked at.
	tagSecretKey    = 5
	tagPublicKey    = 6
	tagSecretSubkey = 7
	// secretPlain and secretSHA1 are the two ways of keeping a secret key that are
	// read (section 5.5.3): in the clear, and as GnuPG does. The third in use, AEAD,
	// hashes the passphrase with as much memory as the file says.
	secretPlain = 0
	secretSHA1  = 254
	secretAEAD  = 253
)

// Secret is a secret key that somebody else has made.
type Secret struct {
	// Key is an *rsa.PrivateKey or an *ecdsa.PrivateKey.
	Key crypto.Signer
	// Identity is what its certificate says: the primary user id, which may be one
	// that Identity.Check does not accept, and the expiry, which may be over.
	Identity    Identity
	Fingerprint string
	// LeftOut says what of it was not taken over.
	LeftOut []string
}

// ReadSecret reads the one secret key in a file, armoured or binary. Errors:
// ErrImport, ErrPassphrase.
func ReadSecret(file, passphrase []byte, now time.Time) (s *Secret, err error) {
	defer func() {
		// The library panics on some packets that are too short.
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("%w: it is malformed: %v", ErrImport, r)
		}
	}()
	content, err := unarmour(file)
	if err != nil {
		return nil, err
	}
	if err := checkSecretPackets(content); err != nil {
		return nil, err
	}
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if len(entities) != 1 || entities[0].PrivateKey == nil {
		return nil, fmt.Errorf("%w: want one secret key in the file, there are %d keys (hint: gpg --export-secret-keys FINGERPRINT)", ErrImport, len(entities))
	}
	entity := entities[0]
	s = &Secret{Identity: identityOf(entity), Fingerprint: fingerprint(entity.PrimaryKey)}
	if s.LeftOut, err = checkEntity(entity, now); err != nil {
		return nil, err
	}
	if s.Key, err = openSecret(entity.PrivateKey, passphrase); err != nil {
		return nil, err
	}
	return s, nil
}

// unarmour bounds a file and takes the armour off.
func unarmour(file []byte) ([]byte, error) {
	if len(file) > MaxSecret {
		return nil, fmt.Errorf("%w: the file has %d bytes, the limit is %d (hint: gpg --export-options export-minimal --export-secret-keys FINGERPRINT)", ErrImport, len(file), MaxSecret)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(file), []byte("-----BEGIN")) {
		return file, nil
	}
	block, err := armor.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w: armour: %w", ErrImport, err)
	}
	if block.Type != openpgp.PrivateKeyType {
		return nil, fmt.Errorf("%w: it is a %s (hint: gpg --armor --export-secret-keys FINGERPRINT)", ErrImport, block.Type)
	}
	content, err := io.ReadAll(io.LimitReader(block.Body, MaxSecret))
	if err != nil {
		return nil, fmt.Errorf("%w: armour: %w", ErrImport, err)
	}
	if _, rest, ok := bytes.Cut(file, []byte("-----END "+openpgp.PrivateKeyType+"-----")); !ok || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: something follows the first key (hint: one key in a file)", ErrImport)
	}
	return content, nil
}

// checkSecretPackets looks at the packets one by one before anything is computed
// with their numbers.
func checkSecretPackets(content []byte) error {
	packets, keys := packet.NewOpaqueReader(bytes.NewReader(content)), 0
	for n := 0; ; n++ {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrImport, err)
		}
		if n >= maxPackets {
			return fmt.Errorf("%w: it has more than %d packets", ErrImport, maxPackets)
		}
		switch p.Tag {
		case tagPublicKey:
			return fmt.Errorf("%w: it is a public key, the secret one is not in the file (hint: gpg --export-secret-keys FINGERPRINT)", ErrImport)
		case tagSecretKey:
			if keys++; keys > 1 {
				return fmt.Errorf("%w: there is more than one key in the file (hint: gpg --export-secret-keys FINGERPRINT)", ErrImport)
			}
			if err := checkSecretKey(p); err != nil {
				return err
			}
		case tagSecretSubkey:
			if err := checkProtection(p); err != nil {
				return err
			}
		}
	}
	if keys == 0 {
		return fmt.Errorf("%w: there is no key in the file (hint: gpg --export-secret-keys FINGERPRINT)", ErrImport)
	}
	return nil
}

// checkSecretKey looks at the kind and the size of the primary key.
func checkSecretKey(p *packet.OpaquePacket) error {
	if len(p.Contents) == 0 || p.Contents[0] != 4 {
		return fmt.Errorf("%w: want a key of version 4, which all of OpenPGP's programs read", ErrImport)
	}
	parsed, err := p.Parse()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImport, err)
	}
	key, ok := parsed.(*packet.PrivateKey)
	if !ok {
		return fmt.Errorf("%w: a secret key that is a %T", ErrImport, parsed)
	}
	if _, err := publicOf(&key.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrImport, err)
	}
	return checkProtection(p)
}

// checkProtection wants a secret key that is kept in a way which takes bounded
// memory to open. Keys that this package cannot parse are left to the caller.
func checkProtection(p *packet.OpaquePacket) error {
	parsed, err := p.Parse()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImport, err)
	}
	key, ok := parsed.(*packet.PrivateKey)
	if !ok {
		return nil
	}
	var public bytes.Buffer
	if err := key.PublicKey.Serialize(&public); err != nil {
		return fmt.Errorf("%w: %w", ErrImport, err)
	}
	head, err := packet.NewOpaqueReader(&public).Next()
	if err != nil || len(head.Contents) >= len(p.Contents) {
		return fmt.Errorf("%w: there is nothing secret in its secret key", ErrImport)
	}
	switch usage := p.Contents[len(head.Contents)]; usage {
	case secretPlain, secretSHA1:
		return nil
	case secretAEAD:
		return fmt.Errorf("%w: its passphrase is hashed with as much memory as the file says (hint: let GnuPG import it and export it again)", ErrImport)
	default:
		return fmt.Errorf("%w: its secret key is kept in a way that is out of use, %d (hint: let GnuPG import it and export it again)", ErrImport, usage)
	}
}

// checkEntity refuses a key that does not sign by itself, and says what will be
// left out.
func checkEntity(entity *openpgp.Entity, now time.Time) (leftOut []string, err error) {
	self, name := entity.PrimarySelfSignature()
	switch {
	case entity.PrivateKey.Dummy():
		return nil, fmt.Errorf("%w: the secret part of its primary key is not in the file: it is on a card, or was kept offline (hint: export where the primary key is)", ErrImport)
	case len(entity.Revocations) > 0 || entity.Revoked(now):
		return nil, fmt.Errorf("%w: it is revoked", ErrImport)
	case name == nil || self == nil:
		return nil, fmt.Errorf("%w: it has certified no user id", ErrImport)
	case entity.PrimaryKey.CreationTime.After(now):
		return nil, fmt.Errorf("%w: it says that it was created at %s, which is to come", ErrImport, entity.PrimaryKey.CreationTime.UTC().Format(time.RFC3339))
	case self.FlagsValid && !self.FlagSign:
		return nil, fmt.Errorf("%w: its primary key does not sign, subkeys do: verifiers know signatures by the subkey's fingerprint, which would not stay (hint: a key whose primary key has the usage S in gpg --list-secret-keys)", ErrImport)
	}
	encrypts := 0
	for _, sub := range entity.Subkeys {
		if sub.Sig == nil || !sub.Sig.FlagsValid || sub.Sig.FlagSign || sub.Sig.FlagCertify {
			return nil, fmt.Errorf("%w: it has the subkey %s, which signs: GnuPG would sign with it instead of the primary key, and its fingerprint would not stay (hint: a copy of the key without that subkey, if the charts' signatures are by the primary key)",
				ErrImport, fingerprint(sub.PublicKey))
		}
		encrypts++
	}
	if encrypts > 0 {
		leftOut = append(leftOut, fmt.Sprintf("%d subkeys that do not sign", encrypts))
	}
	if more := len(entity.Identities) - 1; more > 0 {
		leftOut = append(leftOut, fmt.Sprintf("%d other user ids", more))
	}
	return leftOut, nil
}

// openSecret decrypts a secret key and holds it against its public half.
func openSecret(key *packet.PrivateKey, passphrase []byte) (crypto.Signer, error) {
	if key.Encrypted {
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("%w: the key is protected by one, and none was given", ErrPassphrase)
		}
		if err := key.Decrypt(passphrase); err != nil {
			return nil, fmt.Errorf("%w, or the file is damaged", ErrPassphrase)
		}
	}
	var private crypto.Signer
	switch k := key.PrivateKey.(type) {
	case *rsa.PrivateKey:
		if err := k.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImport, err)
		}
		private = k
	case *pgpecdsa.PrivateKey:
		scalar := make([]byte, elliptic.P256().Params().BitSize/8)
		if k.D == nil || k.D.BitLen() > 8*len(scalar) {
			return nil, fmt.Errorf("%w: its secret number is too large", ErrImport)
		}
		parsed, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.D.FillBytes(scalar))
		clear(scalar)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImport, err)
		}
		private = parsed
	default:
		return nil, fmt.Errorf("%w: %s", ErrImport, algorithmName(key.PubKeyAlgo))
	}
	public, err := publicOf(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if equal, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(private.Public()) {
		return nil, fmt.Errorf("%w: its secret and its public half do not belong together", ErrImport)
	}
	return private, nil
}

// JoinRings puts rings of one key each together, as `helm verify --keyring` and
// GnuPG read them.
func JoinRings(rings ...[]byte) []byte { return slices.Concat(rings...) }
