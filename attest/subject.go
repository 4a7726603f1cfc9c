// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"fmt"
	"strings"
)

const (
	algSHA256 = "sha256"
	// maxAlgorithm and maxDigestValue bound digests of kinds this package does
	// not know (gitCommit, dirHash, …), in bytes.
	maxAlgorithm   = 64
	maxDigestValue = 256
)

// strongAlgorithms have the number of hex digits of those digests that can
// identify an artifact.
var strongAlgorithms = map[string]int{algSHA256: 64, "sha384": 96, "sha512": 128}

// checkDigests demands at least one digest, the exact form for strong
// algorithms, and that strong algorithms are spelled as in-toto spells them:
// {"sha256": A, "SHA-256": B} would mean A to one reader and B to another.
func checkDigests(digests map[string]string) error {
	if n := len(digests); n == 0 || n > maxDigests {
		return fmt.Errorf("%d digests, not 1 to %d", n, maxDigests)
	}
	for alg, value := range digests {
		if alg == "" || len(alg) > maxAlgorithm || !isPrintableASCII(alg) {
			return fmt.Errorf("%s is not a digest algorithm", quote(alg))
		}
		if value == "" || len(value) > maxDigestValue || !isPrintableASCII(value) {
			return fmt.Errorf("digest %s: %s is not a digest value", quote(alg), quote(value))
		}
		usual := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(alg))
		digits, strong := strongAlgorithms[usual]
		if strong && alg != usual {
			return fmt.Errorf("digest algorithm %s is spelled %s", quote(alg), usual)
		}
		if strong && !isLowerHex(value, digits) {
			return fmt.Errorf("digest %s: %s is not %d lower-case hex digits", alg, quote(value), digits)
		}
	}
	return nil
}

// CheckDigests is the check of the digests of a subject, for other resources.
func CheckDigests(digests map[string]string) error { return checkDigests(digests) }

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
