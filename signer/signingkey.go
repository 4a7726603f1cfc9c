// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
)

// SigningKey is a long-lived key pair under one name. Attestations are made
// with a key of their own: stock cosign takes any bundle of an accepted key for
// a signature, so a failed scan report must never be signed by the key that
// approves images. Attestations may be nil, Signatures not.
//
// A verifier by key holds a file, and does not ask for another by itself. So
// while a key is rotated the one before signs beside it: whoever holds either
// verifies all that is signed meanwhile.
type SigningKey struct {
	Signatures   crypto.Signer
	Attestations crypto.Signer
	// RetiringSignatures and RetiringAttestations are the keys before; nil but
	// during a rotation.
	RetiringSignatures   crypto.Signer
	RetiringAttestations crypto.Signer
}

// of is the key for an action; nil if there is none.
func (k SigningKey) of(action Action) crypto.Signer {
	if action == ActionAttest {
		return k.Attestations
	}
	return k.Signatures
}

// retiring is the key before that of an action; nil if there is none.
func (k SigningKey) retiring(action Action) crypto.Signer {
	if action == ActionAttest {
		return k.RetiringAttestations
	}
	return k.RetiringSignatures
}

// CheckKeys wants every key to be one that verifiers of all kinds know, and to
// have one purpose. Whoever changes Config.Keys asks it first.
func CheckKeys(keys map[string]SigningKey) error {
	seen := map[string]string{}
	for name, pair := range keys {
		if pair.Signatures == nil {
			return fmt.Errorf("signing key %q: it has no key for signatures", name)
		}
		for use, key := range map[string]crypto.Signer{
			"signatures": pair.Signatures, "attestations": pair.Attestations,
			"signatures before": pair.RetiringSignatures, "attestations before": pair.RetiringAttestations,
		} {
			if key == nil {
				continue
			}
			spki, err := spkiOf(key)
			if err != nil {
				return fmt.Errorf("signing key %q for %s: %w", name, use, err)
			}
			if other := seen[string(spki)]; other != "" {
				return fmt.Errorf("signing key %q for %s is also %s (hint: each needs a key of its own, or verifiers take one's attestations for the other's signatures)", name, use, other)
			}
			seen[string(spki)] = fmt.Sprintf("key %q for %s", name, use)
		}
	}
	return nil
}

// spkiOf is the public half of a key, which has to be ECDSA on P-256.
func spkiOf(key crypto.Signer) ([]byte, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("a key of type %T (hint: ECDSA P-256, which every verifier knows)", key.Public())
	}
	return x509.MarshalPKIXPublicKey(public)
}

// signingKey is the pair of a name at this moment.
func (s *Service) signingKey(name string) SigningKey {
	if s.cfg.Keys == nil {
		return SigningKey{}
	}
	return s.cfg.Keys()[name]
}

// longLived returns the keys of a name that sign now. One that is on its way out
// and revoked is left out: its holders have been told, and the next one signs.
func (s *Service) longLived(ctx context.Context, name string, action Action) ([]modeSigner, error) {
	pair := s.signingKey(name)
	key := pair.of(action)
	if key == nil {
		return nil, fmt.Errorf("there is no key %q to %s with (hint: signing.keys of the configuration)", name, action)
	}
	keys := []crypto.Signer{key}
	if before := pair.retiring(action); before != nil && s.refuseRevokedKey(ctx, before.Public()) == nil {
		keys = append(keys, before)
	}
	var all []modeSigner
	for _, key := range keys {
		spki, err := spkiOf(key)
		if err != nil {
			return nil, err
		}
		all = append(all, modeSigner{key: key, name: name, spki: spki})
	}
	return all, nil
}
