// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/x509"
	"io"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/attest"
)

// Anybody who may push to a repository may attach bundles to its images, and a bundle may be large. What an unsigned bundle costs is
// therefore bounded before it is looked at closely: by its shape before it is decoded, and by its signature before its payload is walked.
// These checks can only refuse. Proof is what comes after them, and it repeats them.

// maxParts bounds members and list items of a bundle. With every other bound reached it has about 1,000. Without this, three bytes of an empty
// log entry become hundreds when decoded.
const maxParts = 4096

// checkShape counts what stands outside of strings, which is little in a bundle of any size: its payload is one string.
func checkShape(b []byte) error {
	parts := 0
	for inString := false; ; inString = !inString {
		quote := closingQuote(b, inString)
		if !inString {
			for _, c := range b[:quote] {
				if c == ',' || c == '{' || c == '[' {
					parts++
				}
			}
		}
		if parts > maxParts {
			return refuse(ReasonTooLarge, "bundle has more than %d members and list items", maxParts)
		}
		if quote == len(b) {
			return nil
		}
		b = b[quote+1:]
	}
}

// closingQuote returns where the next quote is, in a string the next one that is not escaped, or the length of b.
func closingQuote(b []byte, inString bool) int {
	for from := 0; ; {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return len(b)
		}
		at := from + n
		escapes := 0
		for inString && at-escapes > from && b[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
		from = at + 1
	}
}

// plausible refuses a payload that was not signed by the bundle's own certificate (or the key that is demanded), and a certificate that no
// trusted authority issued. It costs hashing, whatever the payload is.
func (c *Crypto) plausible(e *evidence) error {
	if e.message != nil {
		return nil // has no payload
	}
	key := e.key
	if key == nil {
		if !c.issued(e.leaf) {
			return refuse(ReasonUnverified, "its certificate was not issued by a trusted authority")
		}
		key = &Key{public: e.leaf.PublicKey}
	}
	ways, err := key.verifiers(e)
	if err != nil {
		return refuse(ReasonUnverified, "its key cannot be used: %w", err)
	}
	for _, way := range ways {
		if err = way.VerifySignature(bytes.NewReader(e.signature), e.signedBytes()); err == nil {
			return nil
		}
	}
	return refuse(ReasonUnverified, "its signature does not verify: %w", err)
}

// signedBytes reads the PAE of the payload without a copy of it.
func (e *evidence) signedBytes() io.Reader {
	header := attest.PAEHeader(attest.PayloadType, len(e.payload))
	return io.MultiReader(bytes.NewReader(header), bytes.NewReader(e.payload))
}

// issued asks whether the certificate chains to a trusted authority at all. When it was used is not known yet, so both ends of its few
// minutes will do; the proven times come later.
func (c *Crypto) issued(leaf *x509.Certificate) bool {
	own := *leaf
	// Go does not read some names that Fulcio issues; they are read by readName.
	own.UnhandledCriticalExtensions = slices.Clone(leaf.UnhandledCriticalExtensions)
	own.UnhandledCriticalExtensions = slices.DeleteFunc(own.UnhandledCriticalExtensions, cryptoutils.SANOID.Equal)
	return slices.ContainsFunc([]time.Time{leaf.NotBefore, leaf.NotAfter}, func(at time.Time) bool {
		_, err := verify.VerifyLeafCertificate(at, &own, c.root.Material())
		return err == nil
	})
}
