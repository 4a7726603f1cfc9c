// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// States of an intent, see signer.Intent. Void intents are kept as evidence.
const (
	stateRecorded = "recorded"
	stateSigned   = "signed"
	stateFinished = "finished"
	stateVoid     = "void"
)

// IntentColumns are the columns that IntentRow reads, in its order. Both engines
// have them.
const IntentColumns = `id, request_key, state, created, action, predicate_type, document, statement,
	signature, certificate, timestamp, receipt, bundle, more`

// OutlineColumns are IntentColumns without what may be large: statement and
// signatures.
const OutlineColumns = `id, request_key, state, created, action, predicate_type, document, NULL,
	NULL, NULL, NULL, NULL, NULL, NULL`

// IntentRow is an intent as it is kept. A row of IntentColumns is scanned into
// Columns.
type IntentRow struct {
	intent   signer.Intent // those members that have columns of their own
	signed   signer.Signed
	state    string
	created  int64 // Unix nanoseconds
	document string
	receipt  *string // nil for NULL
	bundle   []byte
	more     *string // nil for NULL
}

// Columns are where the row's values go.
func (r *IntentRow) Columns() []any {
	in, s := &r.intent, &r.signed
	return []any{
		&in.ID, &in.RequestKey, &r.state, &r.created, (*string)(&in.Action), &in.PredicateType, &r.document, &in.Statement,
		&s.Signature, &s.Certificate, &s.Timestamp, &r.receipt, &r.bundle, &r.more,
	}
}

// Intent returns the intent that was scanned: signed if its state says so, with
// its receipt if it is finished.
func (r *IntentRow) Intent() (signer.Intent, error) {
	in := r.intent
	if err := decodeDocument(r.document, &in); err != nil {
		return in, err
	}
	in.Created = time.Unix(0, r.created).UTC()
	if err := decodeMore(r.more, &r.signed); err != nil {
		return in, fmt.Errorf("intent %s: %w", in.ID, err)
	}
	switch r.state {
	case stateRecorded, stateVoid:
		return in, nil
	case stateSigned:
		in.Signed = &r.signed
		return in, nil
	case stateFinished:
		in.Signed = &r.signed
	default:
		return in, fmt.Errorf("intent %s is in state %q", in.ID, r.state)
	}
	if r.receipt == nil {
		return in, fmt.Errorf("finished intent %s has no receipt", in.ID)
	}
	var err error
	if in.Receipt, err = decodeReceipt(*r.receipt, r.bundle); err != nil {
		return in, fmt.Errorf("intent %s: %w", in.ID, err)
	}
	return in, nil
}

// NotNull returns b, or an empty value for nil: NULL is for what does not exist
// yet.
func NotNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// IntentError says what could not be done to an intent; nil for nil.
func IntentError(verb, id string, err error) error {
	if err != nil {
		return fmt.Errorf("%s intent %s: %w", verb, id, err)
	}
	return nil
}

// document is the part of an intent that nobody searches by. It is kept as
// JSON.
type document struct {
	Artifact     oci.Artifact
	Requester    signer.Requester
	SAN          string
	Issuer       string
	Rule         string
	PolicyDigest string
	Modes        []string `json:",omitempty"`
}

// EncodeDocument returns the part of an intent that has no column of its own.
func EncodeDocument(in signer.Intent) (string, error) {
	doc, err := json.Marshal(document{in.Artifact, in.Requester, in.SAN, in.Issuer, in.Rule, in.PolicyDigest, in.Modes})
	if err != nil {
		return "", fmt.Errorf("encode intent: %w", err)
	}
	return string(doc), nil
}

// decodeDocument sets in what EncodeDocument took from it.
func decodeDocument(doc string, in *signer.Intent) error {
	var d document
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return fmt.Errorf("decode intent %s: %w", in.ID, err)
	}
	in.Artifact, in.Requester = d.Artifact, d.Requester
	in.SAN, in.Issuer, in.Rule, in.PolicyDigest, in.Modes = d.SAN, d.Issuer, d.Rule, d.PolicyDigest, d.Modes
	return nil
}

// EncodeReceipt returns a receipt without the first log's bundle, which is kept
// beside it: not as base64 inside, as those of other logs are.
func EncodeReceipt(r signer.Receipt) (string, error) {
	r.Bundle = nil
	encoded, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode receipt: %w", err)
	}
	return string(encoded), nil
}

// decodeReceipt is the reverse of EncodeReceipt.
func decodeReceipt(encoded string, bundle []byte) (*signer.Receipt, error) {
	r := new(signer.Receipt)
	if err := json.Unmarshal([]byte(encoded), r); err != nil {
		return nil, fmt.Errorf("decode receipt: %w", err)
	}
	r.Bundle = bundle
	return r, nil
}
