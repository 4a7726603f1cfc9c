// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"crypto"
	"errors"
	"fmt"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// Rekor v2 had a kind of entry for DSSE envelopes, dsse 0.0.2, and dropped it
// (rekor-tiles v2.3.0, PR #744): the envelope went over the wire for a log of
// hashes. sigstore-go up to 1.1.4, and with it cosign 2.6 and 3.0, still sends
// dsseRequestV002. What such a client gets is what a newer one would have got
// for the same signature: a hashedrekord whose digest is that of the envelope's
// PAE, the bytes that DSSE signs. It keeps the entry without looking at its
// kind, and verifiers of either age accept it in the bundle.

// checkDSSE verifies a DSSE request and turns it into an entry. The envelope
// has one signature, and the request what verifies it: a hashedrekord has no
// room for more. Pure Ed25519, which those clients use for DSSE, signs no
// digest and is refused. Its errors are *Invalid.
//
//nolint:staticcheck // deprecated upstream, and still sent
func checkDSSE(req *pb.DSSERequestV002) (entry, error) {
	envelope, verifiers := req.GetEnvelope(), req.GetVerifiers()
	if n, m := len(envelope.GetSignatures()), len(verifiers); n != 1 || m != 1 {
		return entry{}, &Invalid{kind: "dsse", err: fmt.Errorf("%d signatures and %d verifiers, want one of each", n, m)}
	}
	hash, err := hashOf(verifiers[0].GetKeyDetails())
	if err != nil {
		return entry{}, &Invalid{kind: "dsse", err: err}
	}
	if hash == crypto.Hash(0) {
		return entry{}, &Invalid{kind: "dsse", err: errors.New("pure Ed25519 signs no digest; sign with ECDSA or Ed25519ph")}
	}
	h := hash.New()
	h.Write(attest.PAEHeader(envelope.GetPayloadType(), len(envelope.GetPayload())))
	h.Write(envelope.GetPayload())
	e, err := check(&pb.HashedRekordRequestV002{
		Digest:    h.Sum(nil),
		Signature: &pb.Signature{Content: envelope.GetSignatures()[0].GetSig(), Verifier: verifiers[0]},
	})
	if err != nil {
		return entry{}, &Invalid{kind: "dsse", err: errors.Unwrap(err)}
	}
	e.about = append(e.about, index.OfPayload(envelope.GetPayloadType(), envelope.GetPayload())...)
	return e, nil
}
