// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// How much of each kind of witness a bundle needs at least. One of each is what Sigstore's own clients demand of keyless signatures; v2
// log entries carry no time, so with them the observer's time is an RFC 3161 timestamp.
const (
	needSCTs          = 1
	needLogEntries    = 1
	needObserverTimes = 1
)

// Crypto makes facts of bundles. It is the half that knows no policy. It is immutable and safe for concurrent use.
type Crypto struct {
	root *trust.Root
	// sigstore[n-1] wants n log entries to verify. sigstore-go passes over entries that do not (an unknown log, a wrong SET)
	// as long as enough others do, and says not which; so every bundle is held to the number of entries it shows. It counts logs,
	// so that two entries of one log fail this as well.
	sigstore [maxEntries]*verify.Verifier
	clock    func() time.Time

	revocations    *trust.Revocations
	revocationsAge time.Duration // 0: any
}

// NewCrypto makes a Crypto that trusts the root. Of the options only WithClock and WithRevocations concern it.
func NewCrypto(root *trust.Root, opts ...Option) (*Crypto, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errors.New("new verifier: no trusted root (hint: trust.FromFile)")
	}
	c := &Crypto{root: root, clock: cfg.clock, revocations: cfg.revocations, revocationsAge: cfg.revocationsAge}
	for i := range c.sigstore {
		// The predicate is read from the signed bytes, strictly, by attest; sigstore-go need not build a second copy of a large SBOM.
		c.sigstore[i], err = verify.NewVerifier(root.Material(),
			verify.WithSignedCertificateTimestamps(needSCTs),
			verify.WithTransparencyLog(max(i+1, needLogEntries)),
			verify.WithObserverTimestamps(needObserverTimes),
			verify.WithoutStatementPredicate())
		if err != nil {
			return nil, fmt.Errorf("new verifier: %w", err)
		}
	}
	return c, nil
}

// Facts returns what the bundle proves about the artifact with this digest. The error is a *Refusal when the bundle was judged and
// proves nothing; the Fact is then the zero value.
//
// Facts says nothing about whether the signer is trusted. Give the fact to a policy.
func (c *Crypto) Facts(digest attest.Digest, bundle []byte) (policy.Fact, error) {
	blob, err := blobOf(digest)
	if err != nil {
		return policy.Fact{}, err
	}
	return c.BlobFacts(blob, bundle)
}

// BlobFacts is Facts for an artifact that may be known by other digests than SHA-256. The fact of a signature over the blob itself,
// without a statement, has no predicate type.
func (c *Crypto) BlobFacts(blob Blob, bundle []byte) (policy.Fact, error) {
	if err := c.fresh(); err != nil {
		return policy.Fact{}, err
	}
	return c.fact(context.Background(), blob, bundle, nil)
}

// fact is BlobFacts, or with a key the same of a bundle in key mode. A fact in key mode names the key instead of a person, and must not
// reach a policy: a policy compares names, and names of two kinds must not meet. It ends with the context, after the step under way.
func (c *Crypto) fact(ctx context.Context, blob Blob, bundle []byte, key *Key) (policy.Fact, error) {
	// 1. Read it, once and strictly. Everything below looks at this one result.
	e, err := readBundle(bundle, key)
	if err != nil {
		return policy.Fact{}, err
	}
	if err := e.loggedByKey(); err != nil {
		return policy.Fact{}, err
	}
	if err := c.blobNotRevoked(blob); err != nil {
		return policy.Fact{}, err
	}

	// 2. Is it signed at all, by somebody whom an authority of ours knows? Until then it may be 30 MiB of junk that anybody attached, and
	// must cost no more than hashing.
	if err := ctx.Err(); err != nil {
		return policy.Fact{}, err
	}
	if err := c.plausible(e); err != nil {
		return policy.Fact{}, err
	}

	// 3. What does it say, and does it speak about this artifact? This can only refuse as well, and is the most useful thing to say about
	// somebody else's bundle.
	if err := ctx.Err(); err != nil {
		return policy.Fact{}, err
	}
	if err := e.readStatement(); err != nil {
		return policy.Fact{}, err
	}
	algorithm, err := e.speaksAbout(blob)
	if err != nil {
		return policy.Fact{}, refuse(ReasonOtherArtifact, "speaks about another artifact: %w", err)
	}

	// 4. Signature, certificate chain, SCT, log inclusion and timestamps, by sigstore-go, for exactly this digest.
	//
	// WithoutIdentitiesUnsafe IS DELIBERATE AND SAFE ONLY HERE: sigstore-go then accepts ANY signer that the trusted root's
	// authorities vouch for. Crypto proves who signed and leaves to package policy whether that signer will do; a trust policy
	// cannot be made without identities, and a Fact that no policy has judged allows nothing.
	//
	// With a key, the key takes the place of certificate and SCT.
	if err := ctx.Err(); err != nil {
		return policy.Fact{}, err
	}
	artifact := verify.WithArtifactDigest(algorithm, blob.digests[algorithm])
	var result *verify.VerificationResult
	if key != nil {
		result, err = c.verifyKeyed(e, artifact)
	} else {
		result, err = c.sigstore[len(e.entries)-1].Verify(e.bundle, verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe()))
	}
	if err != nil {
		return policy.Fact{}, refuse(ReasonUnverified, "%w", err)
	}

	// 5. When: every time that it shows was proven, and none lies in the future.
	times, err := c.proveTimes(e, result.VerifiedTimestamps)
	if err != nil {
		return policy.Fact{}, err
	}

	// 6. Where: the log entries are the entries of this signature, in logs whose keys were in use at those times.
	if err := c.checkEntries(e, times.forKeys(c.clock)); err != nil {
		return policy.Fact{}, err
	}

	// 7. Who: one signer, one issuer; or the key.
	who, err := e.signer()
	if err != nil {
		return policy.Fact{}, err
	}

	// 8. Does it still count? Revocations name times, so everything must be proven first.
	if err := c.signerNotRevoked(e, who, times.earliest); err != nil {
		return policy.Fact{}, err
	}

	return policy.Fact{
		PredicateType: e.statement.PredicateType,
		Bound:         true, // steps 3 and 4; a bundle about something else is no fact
		SAN:           who.san,
		Issuer:        who.issuer,
		Extensions:    who.extensions,
		OnRequest:     who.onRequest,
		SignedAt:      times.earliest,
		LogIndex:      e.entries[0].LogIndex(),
		LogID:         hex.EncodeToString([]byte(e.entries[0].LogKeyID())),
		Bundle:        string(attest.DigestOf(bundle)),
		Predicate:     e.statement.Predicate,
		Statement:     string(attest.DigestOf(e.payload)),
	}, nil
}

// signer returns who signed, after everything was verified.
func (e *evidence) signer() (signer, error) {
	if e.key != nil {
		return signer{san: e.key.Hint()}, nil
	}
	return readSigner(e.leaf)
}

// speaksAbout returns the algorithm by which the unverified content names the blob.
func (e *evidence) speaksAbout(blob Blob) (string, error) {
	if e.message != nil {
		return blob.holds(e.message.algorithm, e.message.digest)
	}
	return blob.boundBy(e.statement)
}
