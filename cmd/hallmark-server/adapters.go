// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
)

// logOfV1 is signer.Log over the Rekor v1 face: the entry is the envelope
// (dsse 0.0.1).
type logOfV1 struct{ face *rekorv1.Service }

func (l logOfV1) Append(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	entry, err := l.face.Append(ctx, rekorv1.Envelope{
		PayloadType: e.PayloadType, Payload: e.Payload, Signature: e.Signature, Certificate: e.Certificate, PublicKey: e.PublicKey, Keys: artifactKeys(e),
	})
	return entry, signerError(err)
}

// AppendMessage implements signer.TagLog: hashedrekord 0.0.1.
func (l logOfV1) AppendMessage(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	entry, err := l.face.AppendMessage(ctx, rekorv1.Message{
		Digest: sha256.Sum256(e.Payload), Signature: e.Signature, Certificate: e.Certificate, PublicKey: e.PublicKey, Keys: artifactKeys(e),
	})
	return entry, signerError(err)
}

// logOfV2 is signer.Log over the Rekor v2 face: the entry is the digest of what
// was signed, the DSSE PAE (hashedrekord 0.0.2).
type logOfV2 struct{ face *rekorv2.Service }

func (l logOfV2) Append(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	digest := attest.DigestOf(attest.PAE(e.PayloadType, e.Payload))
	if e.PublicKey != nil {
		entry, err := l.face.AppendByKey(ctx, digest.Bytes(), e.Signature, e.PublicKey, artifactKeys(e))
		return entry, signerError(err)
	}
	entry, err := l.face.Append(ctx, digest.Bytes(), e.Signature, e.Certificate, artifactKeys(e))
	return entry, signerError(err)
}

// artifactKeys are what an entry is found by besides what is in it: the
// artifact and the repository that it is in.
func artifactKeys(e signer.Entry) []string {
	keys := []string{index.Image(e.Artifact.Registry + "/" + e.Artifact.Repository)}
	if key, err := index.ParseHash(string(e.Artifact.Digest)); err == nil {
		keys = append(keys, key)
	}
	return keys
}

// signerError translates the engine's errors for the flow.
func signerError(err error) error {
	switch {
	case errors.Is(err, tlog.ErrPoolFull):
		return fmt.Errorf("%w: %w", signer.ErrBusy, err)
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed), errors.Is(err, tlog.ErrFrozen), errors.Is(err, tlog.ErrNoLog):
		return fmt.Errorf("%w: %w", signer.ErrNoLog, err)
	}
	return err
}
