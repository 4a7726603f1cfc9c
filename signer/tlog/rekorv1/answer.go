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
	const frame = 200 // what is not the body
	return signTimestamp(l, appendTimestamped(make([]byte, 0, frame+b64Len(e.Body)), l, e))
}

// appendTimestamped writes what an entry timestamp is made over.
func appendTimestamped(b []byte, l *tlog.Log, e tlog.Entry) []byte {
	b = append(b, `{"body":`...)
	b = appendBase64(b, e.Body)
	b = append(b, `,"integratedTime":`...)
	b = strconv.AppendInt(b, e.Time, 10)
	b = append(b, `,"logID":"`...)
	b = hex.AppendEncode(b, l.ID())
	b = append(b, `","logIndex":`...)
	b = strconv.AppendInt(b, l.Row().FirstIndex+e.Index, 10)
	return append(b, '}')
}

func signTimestamp(l *tlog.Log, timestamped []byte) ([]byte, error) {
	set, err := l.Sign(timestamped)
	if err != nil {
		return nil, fmt.Errorf("sign entry timestamp: %w", err)
	}
	return set, nil
}

// encode returns {"<entry id>": entry}, LogEntry of Rekor's openapi.yaml, and
// the entry id. Clients dereference every part of verification without a check.
// What is timestamped is the beginning of the entry as it is answered, and so
// written once.
func (rec record) encode() (body []byte, id string, err error) {
	const frame = 1024 // what is neither body, proof nor checkpoint
	id = rec.id().String()
	b := make([]byte, 0, frame+b64Len(rec.body)+len(rec.in.Proof)*(2*len(tlog.Hash{})+3)+len(rec.in.Checkpoint)*5/4)
	b = append(b, `{"`+id+`":`...)
	start := len(b)
	b = appendTimestamped(b, rec.log, tlog.Entry{Index: rec.in.Index, Time: rec.in.Time, Body: rec.body})
	set, err := signTimestamp(rec.log, b[start:])
	if err != nil {
		return nil, "", err
	}
	checkpoint, err := json.Marshal(string(rec.in.Checkpoint))
	if err != nil {
		return nil, "", fmt.Errorf("encode checkpoint: %w", err)
	}
	b = append(b[:len(b)-1], `,"verification":{"inclusionProof":{"checkpoint":`...)
	b = append(b, checkpoint...)
	b = append(b, `,"hashes":[`...)
	for i := range rec.in.Proof {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = hex.AppendEncode(b, rec.in.Proof[i][:])
		b = append(b, '"')
	}
	b = append(b, `],"logIndex":`...)
	b = strconv.AppendInt(b, rec.in.Index, 10)
	b = append(b, `,"rootHash":"`...)
	b = hex.AppendEncode(b, rec.in.Root[:])
	b = append(b, `","treeSize":`...)
	b = strconv.AppendInt(b, rec.in.TreeSize, 10)
	b = append(b, `},"signedEntryTimestamp":`...)
	b = appendBase64(b, set)
	return append(b, "}}}"...), id, nil
}

func b64Len(data []byte) int { return base64.StdEncoding.EncodedLen(len(data)) }

// appendBase64 writes a JSON string.
func appendBase64(b, data []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// logEntry is a record as a bundle carries it.
func (rec record) logEntry(kind string) (attest.LogEntry, error) {
	set, err := rec.timestamp()
	if err != nil {
		return attest.LogEntry{}, err
	}
	proof := make([][]byte, len(rec.in.Proof))
	for i := range rec.in.Proof {
		proof[i] = rec.in.Proof[i][:]
	}
	return attest.LogEntry{
		LogIndex: rec.globalIndex(), LogID: rec.log.ID(), Kind: kind, Version: version001,
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
