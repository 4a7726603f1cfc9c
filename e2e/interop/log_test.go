// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// memoryLog is a Rekor v2 log in memory, made with Rekor's own entry and note
// code: what the formats mean is decided there and not by our log engine.
type memoryLog struct {
	origin  string
	id      []byte
	signer  note.Signer
	hashes  []tlog.Hash
	entries int64
}

func newMemoryLog(t *testing.T, origin string, key crypto.Signer) *memoryLog {
	t.Helper()
	s, err := signature.LoadDefaultSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	noteSigner, err := rekornote.NewNoteSigner(t.Context(), origin, s)
	if err != nil {
		t.Fatal(err)
	}
	_, id, err := rekornote.KeyHash(origin, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	l := &memoryLog{origin: origin, id: id, signer: noteSigner}
	l.addStrangers(t)
	return l
}

// addStrangers adds entries of others before ours: a proof in a tree of one
// leaf is empty and would prove little.
func (l *memoryLog) addStrangers(t *testing.T) {
	t.Helper()
	for i := range 6 {
		if err := l.add(fmt.Appendf(nil, "entry %d of somebody else", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// ReadHashes implements tlog.HashReader.
func (l *memoryLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *memoryLog) add(leaf []byte) error {
	hashes, err := tlog.StoredHashes(l.entries, leaf, l)
	if err != nil {
		return err
	}
	l.hashes = append(l.hashes, hashes...)
	l.entries++
	return nil
}

// Append implements signer.Log.
func (l *memoryLog) Append(_ context.Context, e signer.Entry) (attest.LogEntry, error) {
	body, err := hashedRekordBody(e)
	if err != nil {
		return attest.LogEntry{}, err
	}
	entry, root, err := l.include(body)
	if err != nil {
		return attest.LogEntry{}, err
	}
	checkpoint, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n",
		l.origin, l.entries, base64.StdEncoding.EncodeToString(root[:]))}, l.signer)
	if err != nil {
		return attest.LogEntry{}, err
	}
	entry.LogID, entry.Kind, entry.Version, entry.Checkpoint = l.id, "hashedrekord", "0.0.2", string(checkpoint)
	return entry, nil
}

// include adds a leaf and proves it.
func (l *memoryLog) include(body []byte) (entry attest.LogEntry, root tlog.Hash, err error) {
	index := l.entries
	if err := l.add(body); err != nil {
		return entry, root, err
	}
	if root, err = tlog.TreeHash(l.entries, l); err != nil {
		return entry, root, err
	}
	proof, err := tlog.ProveRecord(l.entries, index, l)
	if err != nil {
		return entry, root, err
	}
	entry = attest.LogEntry{LogIndex: index, TreeSize: l.entries, ProofIndex: index, RootHash: bytes.Clone(root[:]), CanonicalizedBody: body}
	for _, h := range proof {
		entry.Hashes = append(entry.Hashes, bytes.Clone(h[:]))
	}
	return entry, root, nil
}

// hashedRekordBody is the leaf of a hashedrekord 0.0.2 entry. Rekor's code
// verifies the signature on the way.
func hashedRekordBody(e signer.Entry) ([]byte, error) {
	if _, err := x509.ParseCertificate(e.Certificate); err != nil {
		return nil, err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]protocommon.PublicKeyDetails{
		protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
	})
	if err != nil {
		return nil, err
	}
	entry, err := hashedrekord.ToLogEntry(&pb.HashedRekordRequestV002{
		Digest: attest.DigestOf(attest.PAE(e.PayloadType, e.Payload)).Bytes(),
		Signature: &pb.Signature{
			Content: e.Signature,
			Verifier: &pb.Verifier{
				Verifier: &pb.Verifier_X509Certificate{
					X509Certificate: &protocommon.X509Certificate{RawBytes: e.Certificate},
				},
				KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			},
		},
	}, algorithms)
	if err != nil {
		return nil, err
	}
	encoded, err := protojson.Marshal(entry)
	if err != nil {
		return nil, err
	}
	return jsoncanonicalizer.Transform(encoded)
}
