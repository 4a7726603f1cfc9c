// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

// OpenPGP signs with RSA by PKCS #1 v1.5, and here over SHA-256. Services can do
// that with every RSA key for signatures, but for Google's, where hash and
// padding belong to the key. Sigstore's libraries choose for themselves: that for
// Vault is right; that for AWS takes the first algorithm of a list that nobody
// promises the order of; that for Azure takes SHA-384 for 3072 bits and SHA-512
// for 4096. So AWS and Azure are asked directly (rsa.go). What comes back is
// verified as PKCS #1 v1.5 under the pin, whoever made it.

// PublicOpenPGP is Public for a key of OpenPGP: ECDSA on P-256, or RSA. Others,
// and RSA that is too weak, are keys.ErrUnsupported.
func PublicOpenPGP(ctx context.Context, ref string, cfg Config) (crypto.PublicKey, error) {
	public, p, err := publicOf(ctx, ref, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := keys.OpenPGPKindOf(public); err != nil {
		return nil, fmt.Errorf("key %s: %w (hint: make it %s, or %s)", ref, err, p.wantedRSA, p.wanted)
	}
	return public, nil
}

// OpenOpenPGP is Open for a key of OpenPGP. Its errors are the same. What it
// returns is no crypto.Signer: nothing else can be signed with it.
func OpenOpenPGP(ctx context.Context, ref string, pin crypto.PublicKey, cfg Config) (keys.OpenPGPKey, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return keys.OpenPGPKey{}, err
	}
	p, err := providerOf(ref)
	if err != nil {
		return keys.OpenPGPKey{}, err
	}
	if _, err := keys.OpenPGPKindOf(pin); err != nil {
		return keys.OpenPGPKey{}, fmt.Errorf("open key %s: the pinned key: %w (hint: make it %s, or %s)", ref, err, p.wantedRSA, p.wanted)
	}
	key, err := openPinned(ctx, ref, pin, p, cfg)
	if err != nil {
		return keys.OpenPGPKey{}, err
	}
	return keys.NewOpenPGPKey(key)
}

// howTo says how a key of the pin's kind is connected to and checked.
func howTo(pin crypto.PublicKey, p provider) (opener, func(digest, signature []byte) error) {
	start := func(ctx context.Context, ref string, cfg Config) (messageSigner, error) { return p.open(ctx, ref, cfg) }
	switch public := pin.(type) {
	case *rsa.PublicKey:
		if p.openRSA != nil {
			start = p.openRSA
		}
		return start, func(digest, signature []byte) error { return verifyRSA(public, p, digest, signature) }
	case *ecdsa.PublicKey:
		return start, func(digest, signature []byte) error {
			if !ecdsa.VerifyASN1(public, digest, signature) {
				return errOther
			}
			return nil
		}
	}
	return start, func([]byte, []byte) error { return errOther } // the kind was looked at before
}

// errOther is a signature that is not the pinned key's.
var errOther = fmt.Errorf("%w: the KMS signed with another key, or something else (hint: was the key rotated or its alias moved? bring the old version back; a new key gets a new name)", keys.ErrOtherKey)

// verifyRSA tells a key that pads in another way from another key: the first is
// a wrong choice, and the second may be an attack.
func verifyRSA(public *rsa.PublicKey, p provider, digest, signature []byte) error {
	if rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature) == nil {
		return nil
	}
	if rsa.VerifyPSS(public, crypto.SHA256, digest, signature, nil) == nil {
		return fmt.Errorf("%w for OpenPGP: the KMS pads the signatures of this key by PSS, and OpenPGP knows PKCS #1 v1.5 only (hint: make a key %s)", keys.ErrUnsupported, p.wantedRSA)
	}
	return errOther
}
