// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// identityExtensions name who was behind a signature beside the certificate's own name: the workflow (attestations are made by the service, for
// it), the workflow that called it, its repository, and the token's subject.
func identityExtensions() []string {
	return []string{"buildSignerURI", "buildConfigURI", "sourceRepositoryURI", "tokenSubject"}
}

// ErrStaleRevocations says that the revocations are older than allowed, so that nothing can be decided: a newer list may deny it.
var ErrStaleRevocations = errors.New("the revocations are too old")

// WithRevocations makes revoked artifacts, identities and keys count for nothing. The list does not change: for a newer one make another
// verifier. With maxAge above zero a list that is older, or no list, is an error of every call, ErrStaleRevocations; with zero whatever is
// there is used.
func WithRevocations(list *trust.Revocations, maxAge time.Duration) Option {
	return func(cfg *config) error {
		if maxAge < 0 {
			return errors.New("new verifier: the maximum age of revocations is negative")
		}
		cfg.revocations, cfg.revocationsAge = list, maxAge
		return nil
	}
}

// fresh says whether the revocations may be used.
func (c *Crypto) fresh() error {
	if c.revocationsAge == 0 {
		return nil
	}
	if c.revocations == nil {
		return fmt.Errorf("%w: there are none, and an age of at most %s is demanded", ErrStaleRevocations, policy.Age(c.revocationsAge))
	}
	if age := c.clock().Sub(c.revocations.AsOf()); age > c.revocationsAge {
		return fmt.Errorf("%w: as of %s, %s are allowed (hint: does the trust repository answer?)",
			ErrStaleRevocations, c.revocations.AsOf().UTC().Format(time.RFC3339), policy.Age(c.revocationsAge))
	}
	return nil
}

// blobNotRevoked refuses whatever is said about a revoked artifact.
func (c *Crypto) blobNotRevoked(blob Blob) error {
	for algorithm, digest := range blob.digests {
		if r, revoked := c.revocations.Digest(algorithm + ":" + hex.EncodeToString(digest)); revoked {
			return refuse(ReasonRevoked, "%s", r)
		}
	}
	return nil
}

// signerNotRevoked refuses a signature by an identity or a key that was revoked at its time, or in a log whose key was. The time is the earliest
// that was proven; nobody who stole a key can move it back without a timestamp authority or a log.
func (c *Crypto) signerNotRevoked(e *evidence, who signer, signed time.Time) error {
	if c.revocations == nil {
		return nil
	}
	if e.key == nil {
		names := []string{who.san}
		for _, extension := range identityExtensions() {
			names = append(names, who.extensions[extension])
		}
		for _, name := range names {
			if r, revoked := c.revocations.Identity(name, signed); name != "" && revoked {
				return refuse(ReasonRevoked, "%s", r)
			}
		}
	}
	for _, id := range e.keyIDs() {
		if r, revoked := c.revocations.Key(id, signed); revoked {
			return refuse(ReasonRevoked, "%s", r)
		}
	}
	return nil
}

// keyIDs are the keys that the evidence rests on: the signer's and the logs'.
func (e *evidence) keyIDs() []string {
	var ids []string
	if e.key != nil {
		if raw, err := base64.StdEncoding.DecodeString(e.key.Hint()); err == nil {
			ids = append(ids, "sha256:"+hex.EncodeToString(raw))
		}
	} else if spki, err := x509.MarshalPKIXPublicKey(e.leaf.PublicKey); err == nil {
		sum := sha256.Sum256(spki)
		ids = append(ids, "sha256:"+hex.EncodeToString(sum[:]))
	}
	for _, entry := range e.entries {
		ids = append(ids, "sha256:"+hex.EncodeToString([]byte(entry.LogKeyID())))
	}
	return ids
}
