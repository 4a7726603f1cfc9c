// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	digestPrefix = "sha256:"
	// digestHexLen is the length of a SHA-256 in hex digits.
	digestHexLen = 2 * sha256.Size
)

// Digest names content by its SHA-256: "sha256:" and 64 lower-case hex digits.
// There is exactly one spelling for each content, so digests may be compared
// and used as map keys. The zero value is invalid and equal to no content.
type Digest string

// ParseDigest accepts the canonical spelling and nothing else: no other
// algorithm, no upper case, no white space. The error is an ErrDigest.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || !isLowerHex(digits, digestHexLen) {
		return "", fmt.Errorf("%w: %s (hint: sha256: and 64 lower-case hex digits)", ErrDigest, quote(s))
	}
	return Digest(s), nil
}

// DigestOf hashes b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// Hex returns the 64 hex digits, or "" for an invalid digest.
func (d Digest) Hex() string {
	if _, err := ParseDigest(string(d)); err != nil {
		return ""
	}
	return string(d[len(digestPrefix):])
}

// Bytes returns the 32 bytes, or nil for an invalid digest.
func (d Digest) Bytes() []byte {
	digits := d.Hex()
	if digits == "" {
		return nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil
	}
	return b
}

// isLowerHex tells whether s is exactly n lower-case hex digits.
func isLowerHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
