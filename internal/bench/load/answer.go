// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Answer is what a log said about an entry, of either API.
type Answer struct {
	// LogID is the 32-byte id of the log's key.
	LogID []byte
	// EntryID is the tree id and leaf hash of Rekor v1, hex; empty in v2.
	EntryID string
	// Global is the index over all shards, Index that in the proof's tree. In
	// v2 they are the same.
	Global, Index int64
	// Time and Promise are the integrated time and the signed entry timestamp
	// of v1; v2 has none.
	Time       int64
	Promise    []byte
	TreeSize   int64
	Root       merkle.Hash
	Proof      []merkle.Hash
	Checkpoint string
	// Body is the canonical entry, the leaf.
	Body []byte
}

// number is an integer that v2 writes as a string.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(raw []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	*n = number(v)
	return err
}

// ParseAnswer reads the body of a 201.
func ParseAnswer(kind Kind, body []byte) (Answer, error) {
	if kind.V1() {
		return parseV1(body)
	}
	return parseV2(body)
}

func parseV2(body []byte) (Answer, error) {
	var w struct {
		LogIndex number
		LogID    struct{ KeyID []byte }
		Proof    struct {
			LogIndex, TreeSize number
			RootHash           []byte
			Hashes             [][]byte
			Checkpoint         struct{ Envelope string }
		} `json:"inclusionProof"`
		Body []byte `json:"canonicalizedBody"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Answer{}, fmt.Errorf("parse answer: %w", err)
	}
	a := Answer{
		LogID: w.LogID.KeyID, Global: int64(w.LogIndex), Index: int64(w.Proof.LogIndex), TreeSize: int64(w.Proof.TreeSize),
		Checkpoint: w.Proof.Checkpoint.Envelope, Body: w.Body,
	}
	return a, a.hashes(w.Proof.RootHash, w.Proof.Hashes)
}

func parseV1(body []byte) (Answer, error) {
	var w map[string]struct {
		Body           []byte
		IntegratedTime int64
		LogID          string
		LogIndex       int64
		Verification   struct {
			Promise []byte `json:"signedEntryTimestamp"`
			Proof   struct {
				LogIndex, TreeSize int64
				RootHash           string
				Hashes             []string
				Checkpoint         string
			} `json:"inclusionProof"`
		}
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Answer{}, fmt.Errorf("parse answer: %w", err)
	}
	if len(w) != 1 {
		return Answer{}, fmt.Errorf("parse answer: %d entries", len(w))
	}
	for id, e := range w {
		proof := e.Verification.Proof
		raw := make([][]byte, 0, len(proof.Hashes)+2)
		for _, h := range append([]string{e.LogID, proof.RootHash}, proof.Hashes...) {
			b, err := hex.DecodeString(h)
			if err != nil {
				return Answer{}, fmt.Errorf("parse answer: %w", err)
			}
			raw = append(raw, b)
		}
		a := Answer{
			EntryID: id, LogID: raw[0], Global: e.LogIndex, Index: proof.LogIndex, Time: e.IntegratedTime, Promise: e.Verification.Promise,
			TreeSize: proof.TreeSize, Checkpoint: proof.Checkpoint, Body: e.Body,
		}
		return a, a.hashes(raw[1], raw[2:])
	}
	return Answer{}, errors.New("unreachable: one entry")
}

// hashes sets root and proof.
func (a *Answer) hashes(root []byte, proof [][]byte) error {
	a.Proof = make([]merkle.Hash, len(proof))
	for i, h := range proof {
		if copy(a.Proof[i][:], h) != merkle.HashSize || len(h) != merkle.HashSize {
			return errors.New("parse answer: a hash of the proof is not 32 bytes")
		}
	}
	if copy(a.Root[:], root) != merkle.HashSize || len(root) != merkle.HashSize {
		return errors.New("parse answer: the root is not 32 bytes")
	}
	return nil
}

// promised is what a signed entry timestamp signs: RFC 8785, which sorts
// members and knows no white space.
func (a *Answer) promised() []byte {
	return fmt.Appendf(nil, `{"body":%q,"integratedTime":%d,"logID":"%x","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(a.Body), a.Time, a.LogID, a.Global)
}

// Holds says whether the entry is the request's: its digest and signature.
func (a *Answer) Holds(r *Request) error {
	for _, mark := range r.marks {
		if !bytes.Contains(a.Body, []byte(mark)) {
			return fmt.Errorf("the entry at %d is another one: no %q in %.300s", a.Index, mark, a.Body)
		}
	}
	return nil
}
