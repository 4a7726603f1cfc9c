// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	merkle "golang.org/x/mod/sumdb/tlog"
)

// algEd25519 is the signature type byte of C2SP signed-note.
const algEd25519 = 1

// Checkpoint is what a log commits to: the C2SP tlog-checkpoint body.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// String is the text that is signed.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseCheckpoint checks that signed carries a signature of key under origin's
// name and returns what it commits to. Other lines of text are refused. Other
// signatures, such as those of witnesses, are allowed and not looked at, but
// not under an origin of Rekor v1: its clients fail at a second one.
func ParseCheckpoint(signed []byte, origin string, key crypto.PublicKey) (Checkpoint, error) {
	k, err := newNoteKey(origin, key)
	if err != nil {
		return Checkpoint{}, err
	}
	return k.open(signed)
}

// KeyID is the 32-byte id of a checkpoint key as Rekor v2 clients compute it
// (rekor-tiles pkg/note); the first four bytes are the hint on the signature
// line. For ECDSA it is SHA-256 of the SubjectPublicKeyInfo and does not depend
// on the origin, for Ed25519 it follows C2SP signed-note.
func KeyID(origin string, key crypto.PublicKey) ([]byte, error) {
	k, err := newNoteKey(origin, key)
	if err != nil {
		return nil, err
	}
	return k.id, nil
}

// noteKey signs and verifies the checkpoints of one origin. It implements
// note.Verifier, and note.Signer if signer is set.
type noteKey struct {
	origin string
	name   string // on the signature line
	isV1   bool
	id     []byte
	spki   []byte
	public crypto.PublicKey
	signer crypto.Signer
}

func newNoteKey(origin string, key crypto.PublicKey) (*noteKey, error) {
	if !validOrigin(origin) {
		return nil, fmt.Errorf("checkpoint key: bad origin %q", origin)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	k := &noteKey{origin: origin, spki: spki, public: key}
	k.name, k.isV1 = noteName(origin)
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("checkpoint key: curve %s is not P-256", key.Curve.Params().Name)
		}
		sum := sha256.Sum256(spki)
		k.id = sum[:]
	case ed25519.PublicKey:
		if k.isV1 {
			return nil, errors.New("checkpoint key: clients of Rekor v1 know ECDSA only, this is Ed25519")
		}
		sum := sha256.Sum256(append([]byte(origin+"\n"+string(rune(algEd25519))), key...))
		k.id = sum[:]
	default:
		return nil, fmt.Errorf("checkpoint key: %T is neither ECDSA P-256 nor Ed25519", key)
	}
	return k, nil
}

// Name implements note.Verifier and note.Signer.
func (k *noteKey) Name() string { return k.name }

// KeyHash implements note.Verifier and note.Signer.
func (k *noteKey) KeyHash() uint32 { return binary.BigEndian.Uint32(k.id) }

// Sign implements note.Signer: ASN.1 ECDSA over SHA-256, or pure Ed25519.
func (k *noteKey) Sign(msg []byte) ([]byte, error) {
	if _, ok := k.public.(ed25519.PublicKey); ok {
		return k.signer.Sign(rand.Reader, msg, crypto.Hash(0))
	}
	digest := sha256.Sum256(msg)
	return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// Verify implements note.Verifier.
func (k *noteKey) Verify(msg, sig []byte) bool {
	switch key := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, msg, sig)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(msg)
		return ecdsa.VerifyASN1(key, digest[:], sig)
	}
	return false
}

// sign makes a checkpoint and checks it: a key service that answers with the
// wrong key must not get a wrong note into the log.
func (k *noteKey) sign(c Checkpoint) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: c.String()}, k)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if _, err := k.open(signed); err != nil {
		return nil, fmt.Errorf("check the checkpoint just signed: %w", err)
	}
	return signed, nil
}

// open verifies and parses a checkpoint.
func (k *noteKey) open(signed []byte) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(k))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verify checkpoint: %w", err)
	}
	if lines := bytes.Count(signed[len(n.Text):], []byte("\n")) - 1; k.isV1 && lines != 1 {
		return Checkpoint{}, fmt.Errorf("verify checkpoint: %d signatures, Rekor v1 has one", lines)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("parse checkpoint: not three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: bad size %q", lines[1])
	}
	root, err := merkle.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: bad root %q", lines[2])
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if c.Origin != k.origin {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: origin %q instead of %q", c.Origin, k.origin)
	}
	if !bytes.Equal([]byte(c.String()), []byte(n.Text)) {
		return Checkpoint{}, errors.New("parse checkpoint: not in canonical form")
	}
	return c, nil
}
