// SPDX-License-Identifier: Apache-2.0

// Package pgp makes OpenPGP keys and signatures out of keys that are elsewhere.
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
// take no crypto.Signer. A key that somebody has made with GnuPG can be taken
// over, with its time of creation and so with its fingerprint (secret.go).
package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

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
	case strings.TrimSpace(id.UserID) == "" || len(id.UserID) > maxUserID || !utf8.ValidString(id.UserID) || strings.ContainsFunc(id.UserID, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("user id %.300q: want one line of UTF-8, at most %d bytes, such as Example charts <charts@corp.example>", id.UserID, maxUserID)
	case id.Created.IsZero() || id.Created.Year() < 1971 || id.Created.Year() > 2105: // 32 bits of seconds
		return fmt.Errorf("a key cannot be created at %s", id.Created)
	case !id.Expires.IsZero() && !id.Expires.After(id.Created):
		return fmt.Errorf("a key of %s cannot expire at %s", id.Created.Format(time.RFC3339), id.Expires.Format(time.RFC3339))
	}
	return nil
}

// Signer is a private key that signs digests of SHA-256: RSA by PKCS #1 v1.5,
// ECDSA as ASN.1.
type Signer interface {
	Public() crypto.PublicKey
	SignOpenPGP(digest []byte) ([]byte, error)
}

// asCrypto is a Signer as the library knows it, for one signature.
type asCrypto struct {
	Signer
	// err is why it did not sign: the library loses the error of an RSA key, and
	// says later that there is no signature.
	err error
}

// instead returns why the key did not sign, or else err.
func (s *asCrypto) instead(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

// Sign implements crypto.Signer.
func (s *asCrypto) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("%w: it signs SHA-256 digests only", ErrUnsupported)
	}
	signature, err := s.SignOpenPGP(digest)
	s.err = err
	return signature, err
}

// NewRing makes the public key ring of a key: binary, as `helm verify --keyring`
// wants it. It signs once.
func NewRing(key Signer, id Identity) ([]byte, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	id.Created = id.Created.UTC().Truncate(time.Second)
	signer := &asCrypto{Signer: key}
	private, err := privateKey(signer, id.Created)
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
	if err := self.SignUserId(id.UserID, &private.PublicKey, private, config(id.Created)); signer.instead(err) != nil {
		return nil, fmt.Errorf("certify the key: %w", signer.instead(err))
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
	// Somebody else has to be able to read what was just written, which verifies
	// the signature.
	if _, err := ReadCertificate(ring.Bytes()); err != nil {
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
	*Certificate
	signer Signer
}

// Open opens a key with its ring: ErrOtherKey if they do not fit, ErrRing,
// ErrUnsupported.
func Open(key Signer, ring []byte) (*Key, error) {
	certificate, err := ReadCertificate(ring)
	if err != nil {
		return nil, err
	}
	private, err := privateKey(&asCrypto{Signer: key}, certificate.entity.PrimaryKey.CreationTime)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(private.Fingerprint, certificate.entity.PrimaryKey.Fingerprint) {
		return nil, fmt.Errorf("%w: the ring is of %X, the key is %X", ErrOtherKey, certificate.entity.PrimaryKey.Fingerprint, private.Fingerprint)
	}
	return &Key{certificate, key}, nil
}

// privateKey builds what the library wants, around any signer.
func privateKey(key *asCrypto, created time.Time) (*packet.PrivateKey, error) {
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
		if key.E < 65537 || key.E%2 == 0 { // FIPS 186-5, A.1.1
			return nil, fmt.Errorf("RSA key with the exponent %d: %w", key.E, ErrUnsupported)
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
