// SPDX-License-Identifier: Apache-2.0

// Package tuf makes and serves the TUF repository of a deployment.
//
// A verifier believes what its trusted root says, and has to learn of a new one
// without believing the server that it asks. The Update Framework
// (theupdateframework.io, version 1.0 of its specification) gives every question
// a role with a key of its own:
//
//	root       which keys the roles have. Several people hold its keys, offline,
//	           and a threshold of them signs each version. N.root.json
//	targets    the files: trusted_root.json, revocations.json and so on, by hash
//	snapshot   which version of targets is the newest
//	timestamp  which version of snapshot is the newest. It lives some days, so
//	           that nobody can be shown an old repository for longer
//
// A client begins with one root that it was given and walks from version to
// version: each is signed by a threshold of the one before and of itself. So
// whoever takes over the server has the online keys and all that they can say,
// but cannot keep them: the holders sign a root without them.
//
// The package has two halves. Root is what the ceremony works with (hallmark
// root): make, sign, verify, next. Repository is what the server does: it signs
// targets, snapshot and timestamp, renews them long before they expire, and
// writes files in an order in which every client succeeds at every moment.
//
// Versions of the online roles are times, in seconds since 1970, and at least
// one more than the version before. A repository that is made again from a
// backup therefore never goes back behind what clients have seen.
package tuf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Role is one of the four roles.
type Role string

// The roles.
const (
	RoleRoot      Role = metadata.ROOT
	RoleTargets   Role = metadata.TARGETS
	RoleSnapshot  Role = metadata.SNAPSHOT
	RoleTimestamp Role = metadata.TIMESTAMP
)

// OnlineRoles are those whose keys the server has, in the order in which they
// are signed.
func OnlineRoles() []Role { return []Role{RoleTargets, RoleSnapshot, RoleTimestamp} }

const (
	// maxMetadata bounds a metadata file, bytes. Clients stop at half a MiB for
	// roots and at 5 MB for targets.
	maxMetadata = 512 << 10
	// maxKeys bounds the keys of a role.
	maxKeys = 32
)

// checkKey wants a key that every client in the field reads.
func checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return nil
		}
	}
	return fmt.Errorf("key of type %T (hint: ECDSA P-256 or Ed25519)", key)
}

// encodeKey is the key as metadata lists it, and its id.
func encodeKey(public crypto.PublicKey) (*metadata.Key, string, error) {
	if err := checkKey(public); err != nil {
		return nil, "", err
	}
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return nil, "", err
	}
	id, err := key.ID()
	return key, id, err
}

// KeyID is the name of a key in all metadata.
func KeyID(public crypto.PublicKey) (string, error) {
	_, id, err := encodeKey(public)
	return id, err
}

// adapter is a crypto.Signer, wherever its key is, as go-tuf wants it.
type adapter struct{ key crypto.Signer }

var _ signature.Signer = adapter{}

// PublicKey implements signature.Signer.
func (a adapter) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return a.key.Public(), nil
}

// SignMessage implements signature.Signer.
func (a adapter) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	raw, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	if _, plain := a.key.Public().(ed25519.PublicKey); plain {
		return a.key.Sign(rand.Reader, raw, crypto.Hash(0))
	}
	digest := sha256.Sum256(raw)
	return a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// sign signs metadata, and says why if that fails: go-tuf swallows the error.
func sign[T metadata.Roles](md *metadata.Metadata[T], key crypto.Signer) error {
	if err := checkKey(key.Public()); err != nil {
		return err
	}
	if _, err := md.Sign(adapter{key}); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return nil
}

// parse reads metadata of one role.
func parse[T metadata.Roles](md *metadata.Metadata[T], doc []byte) (*metadata.Metadata[T], error) {
	if len(doc) > maxMetadata {
		return nil, fmt.Errorf("larger than %d bytes", maxMetadata)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")) {
		return nil, errors.New("not a JSON object")
	}
	return md.FromBytes(doc)
}
