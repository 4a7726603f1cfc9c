// SPDX-License-Identifier: Apache-2.0

// Package pgp makes OpenPGP keys and signatures out of a crypto.Signer.
//
// Helm's provenance files are signed with OpenPGP and with nothing else. An
// OpenPGP key is more than a key: its name, the fingerprint, is a hash over the
// public key and the second in which it was created, and a certificate that the
// key makes over itself says who it is and until when (RFC 4880, sections 11 and
// 12). So the time of creation is part of the identity: it is chosen once and
// kept in the public key ring, which is the pin of the key, and a ring that does
// not fit the private key is an error.
//
// The private half may be in a file or in a KMS. The libraries' constructors
// panic on a signer that is neither of their own types; here the packets are
// built by hand. Keys are RSA or ECDSA: of the others OpenPGP's implementations
// take no crypto.Signer.
package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var (
	// ErrUnsupported means that a key is of a kind that OpenPGP does not know, or
	// too weak for it.
	ErrUnsupported = errors.New("unsupported kind of key (hint: ECDSA P-256, or RSA of 3072 to 4096 bits)")
	// ErrOtherKey means that ring and private key do not belong together.
	ErrOtherKey = errors.New("the public key ring is of another key")
	// ErrRing means that a file is no public key ring of the form written here.
	ErrRing = errors.New("not a public key ring")
)

// maxUserID bounds a user id, bytes.
const maxUserID = 256

// Identity is what the certificate of a key says.
type Identity struct {
	// UserID is "Name <address>" as a rule.
	UserID string
	// Created is when the key was made. It is part of the fingerprint.
	Created time.Time
	// Expires is when it ends; zero: never.
	Expires time.Time
}

// Check says what is wrong with an identity.
func (id Identity) Check() error {
	switch {
	case strings.TrimSpace(id.UserID) == "" || len(id.UserID) > maxUserID || strings.ContainsFunc(id.UserID, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("user id %q: want one line of at most %d bytes, such as Example charts <charts@corp.example>", id.UserID, maxUserID)
	case id.Created.IsZero() || id.Created.Year() < 1971 || id.Created.Year() > 2105: // 32 bits of seconds
		return fmt.Errorf("a key cannot be created at %s", id.Created)
	case !id.Expires.IsZero() && !id.Expires.After(id.Created):
		return fmt.Errorf("a key of %s cannot expire at %s", id.Created.Format(time.RFC3339), id.Expires.Format(time.RFC3339))
	}
	return nil
}

// NewRing makes the public key ring of a key: binary, as `helm verify --keyring`
// wants it. It signs once.
func NewRing(key crypto.Signer, id Identity) ([]byte, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	id.Created = id.Created.UTC().Truncate(time.Second)
	private, err := privateKey(key, id.Created)
	if err != nil {
		return nil, err
	}
	var lifetime uint32
	if !id.Expires.IsZero() {
		lifetime = uint32(id.Expires.Sub(id.Created) / time.Second) //nolint:gosec // both fit 32 bits of seconds, checked above
	}
	primary := true
	// The certificate says what the key is for: signatures, and nothing that is
	// encrypted to it.
	self := &packet.Signature{
		Version: 4, SigType: packet.SigTypePositiveCert, PubKeyAlgo: private.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: id.Created, IssuerKeyId: &private.KeyId, IssuerFingerprint: private.Fingerprint,
		KeyLifetimeSecs: &lifetime, IsPrimaryId: &primary, FlagsValid: true, FlagSign: true, FlagCertify: true,
		PreferredHash: []uint8{sha256ID},
	}
	if err := self.SignUserId(id.UserID, &private.PublicKey, private, config(id.Created)); err != nil {
		return nil, fmt.Errorf("certify the key: %w", err)
	}
	var ring bytes.Buffer
	if err := private.PublicKey.Serialize(&ring); err != nil {
		return nil, err
	}
	if err := (&packet.UserId{Id: id.UserID}).Serialize(&ring); err != nil {
		return nil, err
	}
	if err := self.Serialize(&ring); err != nil {
		return nil, err
	}
	// Somebody else has to be able to read what was just written.
	if _, err := readRing(ring.Bytes()); err != nil {
		return nil, err
	}
	return ring.Bytes(), nil
}

// sha256ID is SHA-256 in OpenPGP (RFC 4880, section 9.4).
const sha256ID = 8

func config(now time.Time) *packet.Config {
	plain := false
	return &packet.Config{
		DefaultHash: crypto.SHA256, Time: func() time.Time { return now },
		NonDeterministicSignaturesViaNotation: &plain, // GnuPG shows notations to people
	}
}

// Key signs.
type Key struct {
	ring    []byte
	entity  *openpgp.Entity // of the ring: public only
	private *packet.PrivateKey
	signer  crypto.Signer
}

// Open opens a key with its ring: ErrOtherKey if they do not fit, ErrRing,
// ErrUnsupported.
func Open(key crypto.Signer, ring []byte) (*Key, error) {
	entity, err := readRing(ring)
	if err != nil {
		return nil, err
	}
	private, err := privateKey(key, entity.PrimaryKey.CreationTime)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(private.Fingerprint, entity.PrimaryKey.Fingerprint) {
		return nil, fmt.Errorf("%w: the ring is of %X, the key is %X", ErrOtherKey, entity.PrimaryKey.Fingerprint, private.Fingerprint)
	}
	return &Key{ring: bytes.Clone(ring), entity: entity, private: private, signer: key}, nil
}

// Ring is the public key ring, binary.
func (k *Key) Ring() []byte { return bytes.Clone(k.ring) }

// Fingerprint names the key: 40 upper-case hex digits.
func (k *Key) Fingerprint() string { return strings.ToUpper(hex.EncodeToString(k.private.Fingerprint)) }

// Public is the key as X.509 knows it.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// Identity is what the ring says of the key.
func (k *Key) Identity() Identity {
	self, name := k.entity.PrimarySelfSignature()
	id := Identity{Created: k.entity.PrimaryKey.CreationTime.UTC()}
	if name != nil {
		id.UserID = name.UserId.Id
	}
	if self != nil && self.KeyLifetimeSecs != nil && *self.KeyLifetimeSecs > 0 {
		id.Expires = id.Created.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
	}
	return id
}

func readRing(ring []byte) (*openpgp.Entity, error) {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(ring))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRing, err)
	case len(entities) != 1 || len(entities[0].Subkeys) > 0 || entities[0].PrivateKey != nil || len(entities[0].Identities) != 1:
		return nil, fmt.Errorf("%w: want one public key with one user id and no subkey", ErrRing)
	}
	return entities[0], nil
}

// privateKey builds what the library wants, around any signer.
func privateKey(key crypto.Signer, created time.Time) (*packet.PrivateKey, error) {
	public, err := publicKey(key.Public(), created)
	if err != nil {
		return nil, err
	}
	return &packet.PrivateKey{PublicKey: *public, PrivateKey: key}, nil
}

func publicKey(key crypto.PublicKey, created time.Time) (*packet.PublicKey, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 3072 || bits > 4096 {
			return nil, fmt.Errorf("RSA key of %d bits: %w", bits, ErrUnsupported)
		}
		return packet.NewRSAPublicKey(created, key), nil
	case *ecdsa.PublicKey:
		return ecdsaKey(key, created)
	}
	return nil, fmt.Errorf("%T: %w", key, ErrUnsupported)
}

// oidP256 is the curve as RFC 6637 section 11 writes it. Larger curves would want
// larger hashes, and keys elsewhere sign SHA-256.
var oidP256 = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// ecdsaKey writes the packet of an ECDSA key (RFC 6637, section 9) and has the
// library read it: its own type of ECDSA keys cannot be made from outside.
func ecdsaKey(key *ecdsa.PublicKey, created time.Time) (*packet.PublicKey, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("ECDSA key on %s: %w", key.Curve.Params().Name, ErrUnsupported)
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	const (
		version4  = 4
		ecdsaAlgo = 19
		newFormat = 0xc0 | 6 // tag 6: a public key
	)
	body := []byte{version4}
	body = binary.BigEndian.AppendUint32(body, uint32(created.Unix())) //nolint:gosec // checked to fit
	body = append(body, ecdsaAlgo, byte(len(oidP256)))                 //nolint:gosec // it is 8
	body = append(body, oidP256...)
	// An uncompressed point begins with 4: three bits less than its bytes have.
	body = binary.BigEndian.AppendUint16(body, uint16(8*len(point)-5)) //nolint:gosec // 65 bytes
	body = append(body, point...)
	read, err := packet.Read(bytes.NewReader(append([]byte{newFormat, byte(len(body))}, body...))) //nolint:gosec // 81 bytes
	if err != nil {
		return nil, fmt.Errorf("ECDSA key: %w", err)
	}
	public, ok := read.(*packet.PublicKey)
	if !ok {
		return nil, fmt.Errorf("ECDSA key: it is read as a %T", read)
	}
	return public, nil
}
