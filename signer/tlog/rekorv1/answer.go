// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// The JSON of an answered entry, LogEntryAnon of Rekor's openapi.yaml. Clients
// dereference every part of verification without a check.
type (
	entryJSON struct {
		Body           []byte           `json:"body"`
		IntegratedTime int64            `json:"integratedTime"`
		LogID          string           `json:"logID"`
		LogIndex       int64            `json:"logIndex"`
		Verification   verificationJSON `json:"verification"`
	}
	verificationJSON struct {
		InclusionProof       proofJSON `json:"inclusionProof"`
		SignedEntryTimestamp []byte    `json:"signedEntryTimestamp"`
	}
	proofJSON struct {
		Checkpoint string   `json:"checkpoint"`
		Hashes     []string `json:"hashes"`
		LogIndex   int64    `json:"logIndex"`
		RootHash   string   `json:"rootHash"`
		TreeSize   int64    `json:"treeSize"`
	}
)

// id is the entry id of a record.
func (rec record) id() entryID {
	return entryID{tree: rec.log.Row().TreeID, leaf: merkle.RecordHash(rec.body)}
}

// globalIndex counts the entries of earlier shards.
func (rec record) globalIndex() int64 { return rec.log.Row().FirstIndex + rec.in.Index }

// timestamp makes the record's signed entry timestamp.
func (rec record) timestamp() ([]byte, error) {
	return EntryTimestamp(rec.log, tlog.Entry{Index: rec.in.Index, Time: rec.in.Time, Body: rec.body})
}

// EntryTimestamp makes the signed entry timestamp of an entry of a v1 log: the
// log's signature over the RFC 8785 form of body, time, log and global index
// (rekor, SignedEntryTimestamp). Verifiers rebuild these bytes, so neither index
// nor time may change once they have been told.
func EntryTimestamp(l *tlog.Log, e tlog.Entry) ([]byte, error) {
	b64 := base64.StdEncoding
	const frame = 200 // what is not the body
	b := make([]byte, 0, frame+b64.EncodedLen(len(e.Body)))
	b = append(b, `{"body":"`...)
	b = b64.AppendEncode(b, e.Body)
	b = append(b, `","integratedTime":`...)
	b = strconv.AppendInt(b, e.Time, 10)
	b = append(b, `,"logID":"`...)
	b = hex.AppendEncode(b, l.ID())
	b = append(b, `","logIndex":`...)
	b = strconv.AppendInt(b, l.Row().FirstIndex+e.Index, 10)
	b = append(b, '}')
	set, err := l.Sign(b)
	if err != nil {
		return nil, fmt.Errorf("sign entry timestamp: %w", err)
	}
	return set, nil
}

// encode returns {"<entry id>": entry} and the entry id.
func (rec record) encode() (body []byte, id string, err error) {
	set, err := rec.timestamp()
	if err != nil {
		return nil, "", err
	}
	id = rec.id().String()
	body, err = json.Marshal(map[string]entryJSON{id: {
		Body:           rec.body,
		IntegratedTime: rec.in.Time,
		LogID:          hex.EncodeToString(rec.log.ID()),
		LogIndex:       rec.globalIndex(),
		Verification: verificationJSON{
			InclusionProof: proofJSON{
				Checkpoint: string(rec.in.Checkpoint),
				Hashes:     hexHashes(rec.in.Proof),
				LogIndex:   rec.in.Index,
				RootHash:   hex.EncodeToString(rec.in.Root[:]),
				TreeSize:   rec.in.TreeSize,
			},
			SignedEntryTimestamp: set,
		},
	}})
	return body, id, err
}

// logEntry is a record as a bundle carries it.
func (rec record) logEntry(kind, version string) (attest.LogEntry, error) {
	set, err := rec.timestamp()
	if err != nil {
		return attest.LogEntry{}, err
	}
	proof := make([][]byte, len(rec.in.Proof))
	for i := range rec.in.Proof {
		proof[i] = rec.in.Proof[i][:]
	}
	return attest.LogEntry{
		LogIndex: rec.globalIndex(), LogID: rec.log.ID(), Kind: kind, Version: version,
		IntegratedTime: rec.in.Time, SignedEntryTimestamp: set,
		TreeSize: rec.in.TreeSize, ProofIndex: rec.in.Index, RootHash: rec.in.Root[:], Hashes: proof,
		Checkpoint: string(rec.in.Checkpoint), CanonicalizedBody: rec.body,
	}, nil
}

// hexHashes is never nil: clients want a list.
func hexHashes(hashes []tlog.Hash) []string {
	all := make([]string, len(hashes))
	for i := range hashes {
		all[i] = hex.EncodeToString(hashes[i][:])
	}
	return all
}
