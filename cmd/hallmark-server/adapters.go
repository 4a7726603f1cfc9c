// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/verifier"
)

// transparency is signer.Log over the Rekor v2 personality.
type transparency struct{ log *rekorv2.Service }

func (t transparency) Append(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	digest := attest.DigestOf(attest.PAE(e.PayloadType, e.Payload))
	entry, err := t.log.Append(ctx, digest.Bytes(), e.Signature, e.Certificate)
	switch {
	case errors.Is(err, tlog.ErrPoolFull):
		return attest.LogEntry{}, fmt.Errorf("%w: %w", signer.ErrBusy, err)
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		return attest.LogEntry{}, fmt.Errorf("%w: %w", signer.ErrNoLog, err)
	}
	return entry, err
}

// stranger is signer.Verifier over the verifier library and the trusted root
// that the service publishes.
type stranger struct{ verifier *verifier.Crypto }

func (s stranger) Check(_ context.Context, bundle []byte, want signer.Claim) error {
	fact, err := s.verifier.Facts(want.Digest, bundle)
	if err != nil {
		return err
	}
	if fact.PredicateType != want.PredicateType || fact.SAN != want.SAN || fact.Issuer != want.Issuer {
		return fmt.Errorf("the bundle says %s by %s of %s, want %s by %s of %s",
			fact.PredicateType, fact.SAN, fact.Issuer, want.PredicateType, want.SAN, want.Issuer)
	}
	return nil
}
