// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/policy"
)

// VerifyBundleWithKey decides whether the holder of a long-lived key signed the bundle and whether it speaks about the blob: VerifyBundle for
// bundles without a certificate. The key changes who signed, not what must be logged: the transparency log, the strict statement and the
// proof of every time that is shown are demanded as everywhere.
//
// A key needs no proof of when it was used. A bundle that shows no time at all is judged by the log keys that are in use now, by this
// machine's clock: without a proven time, a retired log key proves nothing.
func (c *Crypto) VerifyBundleWithKey(ctx context.Context, blob Blob, ev Evidence, key Key) (Decision, error) {
	switch {
	case len(blob.digests) == 0:
		return Decision{}, errors.New("verify bundle: no artifact given (hint: ReadBlob or ParseBlob)")
	case key.public == nil:
		return Decision{}, errors.New("verify bundle: no key given (hint: NewKey)")
	}
	d := Decision{Artifact: blob.Name(), Digest: blob.Digest(), Policy: "key", At: c.clock()}
	facts, err := c.judge(ctx, &d, []Evidence{ev}, func(ctx context.Context, bundle []byte) (policy.Fact, error) { return c.fact(ctx, blob, bundle, &key) })
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: %w", blob.Name(), err)
	}
	if len(facts) != 1 {
		d.explain(nil)
		return d, nil
	}
	d.allowed = d.compare("key", matcher{exact: key.Hint()}, facts[0].SAN)
	return d, nil
}

// verifyKeyed has sigstore-go verify the bundle by the evidence's key, in each way that such keys are used. The error is that of the usual
// way.
func (c *Crypto) verifyKeyed(e *evidence, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	ways, err := e.key.verifiers(e)
	if err != nil {
		return nil, err
	}
	var first error
	for _, way := range ways {
		result, err := c.verifyOneWay(e, way, artifact)
		if err == nil {
			return result, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (c *Crypto) verifyOneWay(e *evidence, way signature.Verifier, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	opts := []verify.VerifierOption{
		verify.WithTransparencyLog(max(len(e.entries), needLogEntries)), // every entry that it shows, as in Crypto
		verify.WithoutStatementPredicate(),
	}
	if e.showsTimes() {
		opts = append(opts, verify.WithObserverTimestamps(needObserverTimes))
	} else {
		opts = append(opts, verify.WithNoObserverTimestamps())
	}
	v, err := verify.NewVerifier(keyMaterial{c.root.Material(), way}, opts...)
	if err != nil {
		return nil, err
	}
	return v.Verify(e.bundle, verify.NewPolicy(artifact, verify.WithKey()))
}

// loggedByKey says in plain words that the bundle is somebody else's, which sigstore-go reports as a log that does not add up. Nothing is
// verified yet, so this can only refuse.
func (e *evidence) loggedByKey() error {
	if e.key == nil {
		return nil
	}
	for _, entry := range e.entries {
		if by := entry.PublicKey(); !e.key.equal(by) {
			return refuse(ReasonUnverified, "signed with another key: log entry %d is of %s, expected key %s", entry.LogIndex(), keyName(by), e.key.Hint())
		}
	}
	return nil
}

// showsTimes reports whether the bundle shows any time that can be proven.
func (e *evidence) showsTimes() bool {
	for _, entry := range e.entries {
		if entry.HasInclusionPromise() {
			return true
		}
	}
	return e.tokens > 0
}

// keyMaterial is the trusted root and beside it the one key that is demanded, whatever key the bundle's hint names.
type keyMaterial struct {
	root.TrustedMaterial
	key signature.Verifier
}

// PublicKeyVerifier returns the key, without a window: whoever gives it trusts it now.
func (m keyMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return root.NewExpiringKey(m.key, time.Time{}, time.Time{}), nil
}
