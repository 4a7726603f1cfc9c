// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // registers the kind
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// treeID is that of the v1 log.
const treeID = 7716518232417

// memoryLogV1 is a Rekor v1 log in memory, made with Rekor's own entry and
// checkpoint code.
type memoryLogV1 struct {
	memoryLog
	host  string
	key   signature.Signer
	clock func() time.Time
}

func newMemoryLogV1(t *testing.T, host string, key crypto.Signer, clock func() time.Time) *memoryLogV1 {
	t.Helper()
	s, err := signature.LoadSigner(key, crypto.SHA256)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	id := sha256.Sum256(der)
	l := &memoryLogV1{memoryLog: memoryLog{id: id[:]}, host: host, key: s, clock: clock}
	l.addStrangers(t)
	return l
}

// Append implements signer.Log.
func (l *memoryLogV1) Append(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	body, err := dsseBody(ctx, e)
	if err != nil {
		return attest.LogEntry{}, err
	}
	entry, root, err := l.include(body)
	if err != nil {
		return attest.LogEntry{}, err
	}
	checkpoint, err := util.CreateAndSignCheckpoint(ctx, l.host, treeID, uint64(l.entries), root[:], l.key)
	if err != nil {
		return attest.LogEntry{}, err
	}
	entry.LogID, entry.Kind, entry.Version, entry.Checkpoint = l.id, "dsse", "0.0.1", string(checkpoint)
	entry.IntegratedTime = l.clock().Unix()
	// The members are in the order of RFC 8785 already.
	promise := fmt.Appendf(nil, `{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(body), entry.IntegratedTime, l.id, entry.LogIndex)
	entry.SignedEntryTimestamp, err = l.key.SignMessage(bytes.NewReader(promise), options.WithContext(ctx))
	return entry, err
}

// dsseBody is the leaf of a dsse 0.0.1 entry. Rekor's code verifies the
// signature on the way.
func dsseBody(ctx context.Context, e signer.Entry) ([]byte, error) {
	envelope, err := json.Marshal(map[string]any{
		"payloadType": e.PayloadType, "payload": e.Payload, "signatures": []map[string][]byte{{"sig": e.Signature}},
	})
	if err != nil {
		return nil, err
	}
	proposed, err := json.Marshal(map[string]any{"kind": "dsse", "apiVersion": "0.0.1", "spec": map[string]any{
		"proposedContent": map[string]any{
			"envelope": string(envelope), "verifiers": [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate})},
		},
	}})
	if err != nil {
		return nil, err
	}
	parsed, err := models.UnmarshalProposedEntry(bytes.NewReader(proposed), runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.CreateVersionedEntry(parsed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(ctx, entry)
}
