// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
)

// Names of key algorithms in dev.sigstore.common.v1.PublicKeyDetails.
const (
	detailsECDSAP256 = "PKIX_ECDSA_P256_SHA_256"
	detailsEd25519   = "PKIX_ED25519"
)

// keyInfo is a log's key as the trusted root describes it.
type keyInfo struct {
	spki    []byte
	details string
	id      []byte
}

// transparencyKey describes the key of a transparency log. Its id is what a
// log entry in a bundle refers to: SHA-256 of the SPKI for ECDSA, the id of the
// signed note (C2SP signed-note, 32 bytes) for Ed25519.
func transparencyKey(log Log) (keyInfo, error) {
	if err := checkOrigin(log.Origin()); err != nil {
		return keyInfo{}, err
	}
	info, err := describeKey(log.Key)
	if err != nil {
		return keyInfo{}, err
	}
	if _, info.id, err = note.KeyHash(log.Origin(), log.Key); err != nil {
		return keyInfo{}, err
	}
	return info, nil
}

// certificateLogKey describes the key of a certificate log (RFC 6962): ECDSA
// P-256, id SHA-256 of the SPKI.
func certificateLogKey(log Log) (keyInfo, error) {
	info, err := describeKey(log.Key)
	if err != nil {
		return keyInfo{}, err
	}
	if info.details != detailsECDSAP256 {
		return keyInfo{}, errors.New("key is not ECDSA P-256")
	}
	id := sha256.Sum256(info.spki)
	info.id = id[:]
	return info, nil
}

func describeKey(key crypto.PublicKey) (keyInfo, error) {
	var info keyInfo
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return keyInfo{}, errors.New("elliptic curve of the key is not P-256")
		}
		info.details = detailsECDSAP256
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return keyInfo{}, fmt.Errorf("Ed25519 key of %d bytes", len(k))
		}
		info.details = detailsEd25519
	default:
		return keyInfo{}, fmt.Errorf("key is %T (hint: ECDSA P-256 or Ed25519)", key)
	}
	var err error
	info.spki, err = x509.MarshalPKIXPublicKey(key)
	return info, err
}

// checkOrigin wants a name that can stand in the first line of a checkpoint
// (C2SP tlog-checkpoint), in lower case because verifiers compare bytes.
func checkOrigin(origin string) error {
	if origin == "" || strings.ContainsAny(origin, " +\t\r\n") || origin != strings.ToLower(origin) {
		return fmt.Errorf("host name %q cannot be a checkpoint's origin (hint: lower case, no spaces, no plus signs)", origin)
	}
	return nil
}

// checkChain wants every certificate signed by the next one, the last by
// itself, and the first to be of the right kind. Validity is not checked: past
// keys belong here too.
func checkChain(chain []*x509.Certificate, first func(*x509.Certificate) error) error {
	if len(chain) == 0 {
		return errors.New("has no certificates")
	}
	if err := first(chain[0]); err != nil {
		return fmt.Errorf("certificate %q %w (hint: root goes last)", chain[0].Subject, err)
	}
	for i, cert := range chain {
		parent := chain[min(i+1, len(chain)-1)]
		if err := cert.CheckSignatureFrom(parent); err != nil {
			return fmt.Errorf("certificate %q is not signed by %q: %w", cert.Subject, parent.Subject, err)
		}
	}
	return nil
}

func checkIssuing(cert *x509.Certificate) error {
	if !cert.IsCA {
		return errors.New("is not a CA")
	}
	return nil
}

func checkTimestamping(cert *x509.Certificate) error {
	if cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping {
		return errors.New("is not a leaf for timeStamping")
	}
	return nil
}
