// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto"
	_ "crypto/sha1" //nolint:gosec // digests of git and of old entries are looked up, not trusted
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashNames are the algorithms of digests that are indexed. Their lengths
// differ, so that a bare digest says which it is.
const hashNames = "sha1, sha256, sha384, sha512"

// nameOf names an algorithm; "" if its digests are not indexed.
func nameOf(h crypto.Hash) string {
	switch h {
	case crypto.SHA1:
		return "sha1"
	case crypto.SHA256:
		return "sha256"
	case crypto.SHA384:
		return "sha384"
	case crypto.SHA512:
		return "sha512"
	}
	return ""
}

// hashOf is the reverse of nameOf.
func hashOf(name string) (crypto.Hash, bool) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA512, crypto.SHA384, crypto.SHA1} {
		if nameOf(h) == name {
			return h, true
		}
	}
	return 0, false
}

// Hash returns the key of a digest: "hash:sha256:<lower case hex>". The
// algorithm is sha1, sha256, sha384 or sha512, in any case; the digest must
// have its length.
func Hash(algorithm, hexDigest string) (string, error) {
	name := lower(algorithm)
	h, ok := hashOf(name)
	if !ok {
		return "", fmt.Errorf("hash algorithm %q is none of %s", clip(algorithm), hashNames)
	}
	digest := lower(hexDigest)
	if len(digest) != 2*h.Size() {
		return "", fmt.Errorf("a %s digest has %d hexadecimal digits, not %d", name, 2*h.Size(), len(digest))
	}
	if _, err := hex.DecodeString(digest); err != nil {
		return "", fmt.Errorf("digest %q is not hexadecimal", clip(hexDigest))
	}
	return join(KindHash, name+":"+digest), nil
}

// HashOf is Hash of a digest in bytes. The hash must be one that is indexed;
// others give "", which Collect drops.
func HashOf(h crypto.Hash, digest []byte) string {
	name := nameOf(h)
	if name == "" || len(digest) != h.Size() {
		return ""
	}
	return join(KindHash, name+":"+hex.EncodeToString(digest))
}

// ParseHash returns the key of a digest as people write it: "sha256:<hex>", or
// bare hexadecimal digits, whose number says the algorithm.
func ParseHash(s string) (string, error) {
	s = strings.TrimSpace(s)
	if algorithm, digest, ok := strings.Cut(s, ":"); ok {
		return Hash(algorithm, digest)
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if len(s) == 2*h.Size() {
			return Hash(nameOf(h), s)
		}
	}
	return "", fmt.Errorf("%q is no digest: want sha256:<64 hexadecimal digits>, or the digits of a SHA-1, 256, 384 or 512", clip(s))
}

// clip shortens what came from outside for an error.
func clip(s string) string {
	const enough = 80
	if len(s) > enough {
		return strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}
