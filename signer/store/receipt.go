// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// OutlineRow is a row of the table of receipts: what is known of a receipt
// without its bundles, beside the intents, whose rows are as large as what was
// attested.
type OutlineRow struct {
	Seq      int64
	Finished int64 // Unix nanoseconds
	Size     int64
	Outline  string // JSON
}

// ReceiptColumns are the columns of an OutlineRow, in the order of Columns.
const ReceiptColumns = `seq, finished, size, outline`

// Columns are where the row's values go.
func (r *OutlineRow) Columns() []any { return []any{&r.Seq, &r.Finished, &r.Size, &r.Outline} }

// Receipt decodes the row.
func (r *OutlineRow) Receipt() (signer.ReceiptOutline, error) {
	out := signer.ReceiptOutline{Seq: r.Seq, Size: r.Size, Finished: time.Unix(0, r.Finished).UTC()}
	if err := json.Unmarshal([]byte(r.Outline), &out.Receipt); err != nil {
		return out, fmt.Errorf("decode outline of receipt %d: %w", r.Seq, err)
	}
	return out, nil
}

// EncodeOutline returns the row of a new receipt, without its Seq.
func EncodeOutline(r signer.Receipt, finished time.Time) (OutlineRow, error) {
	outline, size := signer.OutlineOf(r)
	encoded, err := json.Marshal(outline)
	if err != nil {
		return OutlineRow{}, fmt.Errorf("encode outline of receipt: %w", err)
	}
	return OutlineRow{Finished: finished.UnixNano(), Size: size, Outline: string(encoded)}, nil
}

// DecodeReceipt is the reverse of EncodeReceipt.
func DecodeReceipt(encoded string, bundle []byte) (signer.Receipt, error) {
	r, err := decodeReceipt(encoded, bundle)
	if err != nil {
		return signer.Receipt{}, err
	}
	return *r, nil
}

// Before is the Seq below which a query looks.
func Before(q signer.ReceiptQuery) int64 {
	if q.Before <= 0 {
		return math.MaxInt64
	}
	return q.Before
}

// NextPage is where the page of unfinished intents behind one of a length begins,
// 0 if that was the last.
func NextPage(length int, last int64) int64 {
	if length < MaxUnfinished {
		return 0
	}
	return last
}
