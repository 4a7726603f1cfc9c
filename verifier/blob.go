// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// strongHashes are the algorithms by which an artifact may be named, with in-toto's names for them. Signatures bind by these only; a
// sha1 or a git commit beside them is a label.
var strongHashes = map[string]func() hash.Hash{
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
}

// Blob is what a bundle has to speak about: any bytes, known by one or more strong digests. The zero Blob has none, and no bundle can
// speak about it.
type Blob struct {
	name    string
	digests map[string][]byte // algorithm -> digest
}

// ReadBlob hashes r to its end with every strong algorithm, in one pass and constant memory. The name is for messages.
func ReadBlob(name string, r io.Reader) (Blob, error) {
	hashes := make(map[string]hash.Hash, len(strongHashes))
	var all []io.Writer
	for alg, start := range strongHashes {
		h := start()
		hashes[alg] = h
		all = append(all, h)
	}
	if _, err := io.Copy(io.MultiWriter(all...), r); err != nil {
		return Blob{}, fmt.Errorf("read %s: %w", name, err)
	}
	b := Blob{name: name, digests: make(map[string][]byte, len(hashes))}
	for alg, h := range hashes {
		b.digests[alg] = h.Sum(nil)
	}
	return b, nil
}

// ParseBlob takes a digest, "sha256:<hex>", "sha384:<hex>" or "sha512:<hex>" in lower case, for an artifact that is not at hand. Bundles
// that name the artifact by another algorithm cannot be verified this way.
func ParseBlob(digest string) (Blob, error) {
	alg, text, ok := strings.Cut(digest, ":")
	start, known := strongHashes[alg]
	if !ok || !known {
		return Blob{}, fmt.Errorf("digest %q: want sha256:<hex>, sha384:<hex> or sha512:<hex>", digest)
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != start().Size() || hex.EncodeToString(sum) != text {
		return Blob{}, fmt.Errorf("digest %q: want %d lower-case hex digits after %q", digest, 2*start().Size(), alg+":")
	}
	return Blob{name: digest, digests: map[string][]byte{alg: sum}}, nil
}

// blobOf is the Blob of an artifact in a registry.
func blobOf(d attest.Digest) (Blob, error) {
	if _, err := attest.ParseDigest(string(d)); err != nil {
		return Blob{}, err
	}
	return Blob{name: string(d), digests: map[string][]byte{"sha256": d.Bytes()}}, nil
}

// Name returns the name for messages.
func (b Blob) Name() string { return b.name }

// Digest returns the blob's SHA-256, or its only digest when it was made from one of another algorithm.
func (b Blob) Digest() string {
	for _, alg := range slices.Sorted(maps.Keys(b.digests)) { // sha256 sorts first
		return alg + ":" + hex.EncodeToString(b.digests[alg])
	}
	return ""
}

// boundBy returns the algorithm by which the statement speaks about the blob. One subject must name it by a strong digest, and none of
// that subject's other strong digests may contradict.
func (b Blob) boundBy(st attest.Statement) (string, error) {
	for _, subject := range st.Subjects {
		bound := ""
		for _, alg := range slices.Sorted(maps.Keys(b.digests)) {
			text, named := subject.Digests[alg]
			if !named {
				continue
			}
			if text != hex.EncodeToString(b.digests[alg]) {
				bound = ""
				break
			}
			if bound == "" {
				bound = alg
			}
		}
		if bound == "sha256" && !st.Binds(attest.Digest("sha256:"+hex.EncodeToString(b.digests[bound]))) {
			continue // attest knows of a contradiction that the digests at hand cannot show
		}
		if bound != "" {
			return bound, nil
		}
	}
	return "", errors.New("no subject of the statement has its digest")
}

// holds returns the algorithm, written as Sigstore's HashAlgorithm, in in-toto's word for it; an error if the digest is not the blob's.
func (b Blob) holds(algorithm string, digest []byte) (string, error) {
	alg := strings.ToLower(strings.Replace(algorithm, "SHA2_", "sha", 1))
	own, known := b.digests[alg]
	if !known {
		return "", fmt.Errorf("the signature covers the %s digest, which is not known here (hint: give the file instead of its digest)", algorithm)
	}
	if !bytes.Equal(own, digest) {
		return "", fmt.Errorf("the signature covers %s:%x", alg, digest)
	}
	return alg, nil
}
