// SPDX-License-Identifier: Apache-2.0

package attest

// LogEntry is one transparency log entry as a bundle carries it.
type LogEntry struct {
	LogIndex             int64
	LogID                []byte
	Kind                 string
	Version              string
	IntegratedTime       int64
	SignedEntryTimestamp []byte
	TreeSize             int64
	ProofIndex           int64
	RootHash             []byte
	Hashes               [][]byte
	Checkpoint           string
	CanonicalizedBody    []byte
}

// Bundle is what is needed to write a v0.3 bundle with a DSSE envelope.
type Bundle struct {
	Payload     []byte
	Signature   []byte
	Certificate []byte
	KeyHint     string
	Entry       LogEntry
	Timestamp   []byte
}

// Encode returns deterministic JSON.
func (b Bundle) Encode() ([]byte, error) { panic("unwritten") }

// ParseBundle is strict and bounded.
func ParseBundle(b []byte) (Bundle, error) { panic("unwritten") }
