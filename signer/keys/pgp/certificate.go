// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Certificate is the public half of a key with what the key says of itself: a
// key ring of one key. It verifies what the key has signed, also when the key is
// gone.
type Certificate struct {
	ring   []byte
	entity *openpgp.Entity
	public crypto.PublicKey
}

// ReadCertificate reads a ring as NewRing writes it: ErrRing, ErrUnsupported.
func ReadCertificate(ring []byte) (*Certificate, error) {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(ring))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRing, err)
	case len(entities) != 1 || len(entities[0].Subkeys) > 0 || entities[0].PrivateKey != nil || len(entities[0].Identities) != 1:
		return nil, fmt.Errorf("%w: want one public key with one user id and no subkey", ErrRing)
	}
	public, err := publicOf(entities[0].PrimaryKey)
	if err != nil {
		return nil, err
	}
	return &Certificate{bytes.Clone(ring), entities[0], public}, nil
}

// Fingerprints are those of a ring with any number of keys: ErrRing.
func Fingerprints(ring []byte) ([]string, error) {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(ring))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRing, err)
	}
	var all []string
	for _, e := range entities {
		all = append(all, fingerprint(e.PrimaryKey))
	}
	return all, nil
}

// Ring is the public key ring, binary.
func (c *Certificate) Ring() []byte { return bytes.Clone(c.ring) }

// Fingerprint names the key: 40 upper-case hex digits.
func (c *Certificate) Fingerprint() string { return fingerprint(c.entity.PrimaryKey) }

func fingerprint(key *packet.PublicKey) string {
	return strings.ToUpper(hex.EncodeToString(key.Fingerprint))
}

// Public is the key as X.509 knows it.
func (c *Certificate) Public() crypto.PublicKey { return c.public }

// Identity is what the ring says of the key.
func (c *Certificate) Identity() Identity { return identityOf(c.entity) }

func identityOf(entity *openpgp.Entity) Identity {
	self, name := entity.PrimarySelfSignature()
	id := Identity{Created: entity.PrimaryKey.CreationTime.UTC()}
	if name != nil {
		id.UserID = name.UserId.Id
	}
	if self != nil && self.KeyLifetimeSecs != nil && *self.KeyLifetimeSecs > 0 {
		id.Expires = id.Created.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
	}
	return id
}

// publicOf is the key of a packet as X.509 knows it, if it is of a kind that
// signs here: ErrUnsupported.
func publicOf(key *packet.PublicKey) (crypto.PublicKey, error) {
	var public crypto.PublicKey
	switch k := key.PublicKey.(type) {
	case *rsa.PublicKey:
		public = k
	case *pgpecdsa.PublicKey:
		if curve, err := key.Curve(); err != nil || curve != packet.CurveNistP256 {
			return nil, fmt.Errorf("ECDSA key on %s: %w", curve, ErrUnsupported)
		}
		parsed, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.MarshalPoint())
		if err != nil {
			return nil, fmt.Errorf("ECDSA key: %w", err)
		}
		public = parsed
	default:
		return nil, fmt.Errorf("%s: %w", algorithmName(key.PubKeyAlgo), ErrUnsupported)
	}
	// The same bounds as for keys that are made here.
	_, err := publicKey(public, key.CreationTime)
	return public, err
}

// algorithmName is what people call an algorithm of OpenPGP.
func algorithmName(algorithm packet.PublicKeyAlgorithm) string {
	switch algorithm {
	case packet.PubKeyAlgoDSA:
		return "a DSA key"
	case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return "an EdDSA key (Ed25519)"
	case packet.PubKeyAlgoElGamal, packet.PubKeyAlgoECDH:
		return "a key that only encrypts"
	}
	return fmt.Sprintf("a key of the algorithm %d", algorithm)
}
