// SPDX-License-Identifier: Apache-2.0

package writers

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A holder is somebody outside the signing service to whom this deployment has
// issued a certificate on request: a stock client that signs by itself, and
// has to log by itself.
//
// It is the one writer whom strangers could imitate for nothing: what a
// certificate is for is to be shown, and under its ECDSA key anybody can make
// signatures of meaningless digests. What closes this is that nobody but the
// holder knows the certificate before its first entry is in the log. So a
// certificate is good for one signature, and the first entry says which:
//
//   - once in a log of each kind, because a client may write to both;
//   - in one spelling of the entry, because a stranger can write others: of the
//     signature (see spelling.go), of the certificate, of a DSSE envelope, and
//     one digest as entries of several kinds;
//   - within the certificate's ten minutes;
//   - of the two kinds that say one thing about one signature, hashedrekord and
//     dsse, and by nobody else beside;
//   - if the certificate was recorded when it was issued, so that what somebody
//     issues with a stolen key in another place cannot be logged here.
//
// Where the signature is the same the digest is: to find another digest that an
// ECDSA signature fits is to compute a discrete logarithm.

// Uses remembers which signature a certificate was used for.
type Uses interface {
	// UseCertificate returns true, and remembers, if the certificate was recorded
	// as issued on request and neither another signature was logged with it nor
	// another leaf in a log of that kind. The same again is true again. All
	// servers of a deployment share the memory, and calls at the same time have
	// one order. certificate is the SHA-256 of its TBSCertificate.
	UseCertificate(ctx context.Context, certificate, signature [sha256.Size]byte, kind string, leaf [sha256.Size]byte) (bool, error)
}

// Requested tells of certificates that this deployment issues on request.
type Requested struct {
	// Check returns the key that signed such a certificate, otherwise why it is
	// none.
	Check func(leaf *x509.Certificate) (issuer crypto.PublicKey, err error)
	Uses  Uses
}

// Addition is a new entry, as Take wants to see it.
type Addition struct {
	// Kind is that of the log: v1 or v2.
	Kind string
	// Leaf is the entry's leaf hash.
	Leaf [sha256.Size]byte
	// Signature is the entry's only one, if its kind is hashedrekord or dsse;
	// nil for every other entry.
	Signature []byte
}

// holder is the writer of a certificate that was issued on request.
type holder struct {
	certificate *x509.Certificate
	uses        Uses
	clock       func() time.Time
}

// take lets the one signature of the certificate pass.
func (h *holder) take(ctx context.Context, add Addition) error {
	if len(add.Signature) == 0 {
		return &Refused{Reason: "with a certificate that was issued on request this log takes entries of the kinds hashedrekord and dsse, with one signature"}
	}
	if now := h.clock(); now.Before(h.certificate.NotBefore) || now.After(h.certificate.NotAfter) {
		return &Refused{Reason: fmt.Sprintf("the certificate is valid from %s to %s, and it is %s (hint: sign again with a new one)",
			h.certificate.NotBefore.UTC().Format(time.RFC3339), h.certificate.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	signature, err := signatureName(h.certificate.PublicKey, add.Signature)
	if err != nil {
		return &Refused{Reason: "the signature is not in DER"}
	}
	allowed, err := h.uses.UseCertificate(ctx, sha256.Sum256(h.certificate.RawTBSCertificate), signature, add.Kind, add.Leaf)
	if err != nil {
		return fmt.Errorf("%w: look for earlier entries of the certificate: %w", tlog.ErrUnavailable, err)
	}
	if !allowed {
		return &Refused{Reason: "this certificate has logged its one signature already, or was never issued to be used like this (hint: every signature gets a certificate of its own)"}
	}
	return nil
}

// signatureName is the same for all spellings of a signature.
func signatureName(key crypto.PublicKey, signature []byte) ([sha256.Size]byte, error) {
	spellings, err := signatureSpellings(key, signature)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	least := spellings[0]
	for _, s := range spellings[1:] {
		if bytes.Compare(s, least) < 0 {
			least = s
		}
	}
	return sha256.Sum256(least), nil
}

func (r *Requested) check() error {
	if r != nil && (r.Check == nil || r.Uses == nil) {
		return errors.New("certificates on request need a check and a memory of what they were used for")
	}
	return nil
}

// holderOf returns the holder of a certificate that was issued on request, and
// who issued it.
func (w *Writers) holderOf(cert *x509.Certificate) (*holder, crypto.PublicKey, error) {
	if w.requested == nil {
		return nil, nil, errors.New("this deployment issues none on request")
	}
	issuer, err := w.requested.Check(cert)
	if err != nil {
		return nil, nil, err
	}
	return &holder{certificate: cert, uses: w.requested.Uses, clock: w.clock}, issuer, nil
}
