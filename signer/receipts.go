// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// An artifact has as many receipts as somebody who may attest to it likes, each
// with bundles of tens of megabytes. So they are listed without bundles, a page
// at a time, and bundles are read one by one. Whoever reads a list to its end
// has seen all of it: what does not fit is an error, never a shorter list.
// Newer evidence that hid older evidence would let anybody who may attest take
// back what others have attested.

// MaxReceiptPage is the longest page of receipts.
const MaxReceiptPage = 256

// MaxReceiptTypes is how many predicate types one artifact may have receipts of
// before they are not told apart any more.
const MaxReceiptTypes = 256

// ReceiptQuery asks for a page of the receipts about an artifact.
type ReceiptQuery struct {
	Digest attest.Digest
	// Types are the predicate types that are wanted; none: all.
	Types []string
	// Before is the Seq of the last receipt that was seen; 0 begins with the
	// newest.
	Before int64
	// Limit is the length of the page; 0, or more than MaxReceiptPage, is
	// MaxReceiptPage.
	Limit int
}

// Page returns the limit that counts.
func (q ReceiptQuery) Page() int {
	if q.Limit <= 0 || q.Limit > MaxReceiptPage {
		return MaxReceiptPage
	}
	return q.Limit
}

// ReceiptOutline is a receipt without its bundles.
type ReceiptOutline struct {
	// Receipt has everything but the bytes of bundles.
	Receipt
	// Seq orders receipts by when they were given: a larger one is newer. It never
	// changes, and new receipts have larger ones.
	Seq int64
	// Size is how many bytes all its bundles have together.
	Size int64
	// Finished is when the receipt was given, by the service's clock. Its
	// signature, and what proves when that was made, is not from later.
	Finished time.Time
}

// OutlineOf returns a receipt without bundles, and their size.
func OutlineOf(r Receipt) (outline Receipt, size int64) {
	size = int64(len(r.Bundle))
	r.Bundle = nil
	if r.Others != nil {
		others := make([]Attached, len(r.Others))
		for i, o := range r.Others {
			size += int64(len(o.Bundle))
			o.Bundle = nil
			others[i] = o
		}
		r.Others = others
	}
	return r, size
}

// ReceiptReader reads receipts from the service's own store. Its methods may be
// called concurrently, and hold nothing of the store between two calls.
type ReceiptReader interface {
	// ReceiptPage returns a page of the receipts about an artifact, newest first;
	// a page that is shorter than its limit is the last one.
	ReceiptPage(ctx context.Context, q ReceiptQuery) ([]ReceiptOutline, error)
	// ReceiptTypes returns the predicate types of the receipts about an artifact,
	// each once: at most MaxReceiptTypes, and one more if there are more.
	ReceiptTypes(ctx context.Context, digest attest.Digest) ([]string, error)
	// Receipt returns a receipt with all of its bundles. ErrNoIntent if there is
	// none of that id.
	Receipt(ctx context.Context, id string) (Receipt, error)
	// ReceiptBundle returns the first bundle of a receipt and nothing else.
	// ErrNoIntent if there is none of that id.
	ReceiptBundle(ctx context.Context, id string) ([]byte, error)
}

// TooMuchEvidence says that there is more evidence about an artifact than the
// service looks at for one decision. It does not decide by a part of it.
type TooMuchEvidence struct {
	Digest attest.Digest
	// Limit is what is exceeded, for people: "more than 4096 receipts".
	Limit string
}

// Error implements error.
func (e *TooMuchEvidence) Error() string {
	return fmt.Sprintf("too much evidence about %s: %s (hint: build and sign the image anew, and look in the audit record who attests so much)", e.Digest, e.Limit)
}

// WalkReceipts calls visit for every receipt that a query selects, newest first,
// page by page. If there are more than most it fails with a *TooMuchEvidence
// before the first one too many is visited.
func WalkReceipts(ctx context.Context, from ReceiptReader, q ReceiptQuery, most int, visit func(ReceiptOutline) error) error {
	for seen := 0; ; {
		page, err := from.ReceiptPage(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			if seen++; seen > most {
				return &TooMuchEvidence{Digest: q.Digest, Limit: fmt.Sprintf("more than %d receipts", most)}
			}
			if err := visit(r); err != nil {
				return err
			}
			q.Before = r.Seq
		}
		if len(page) < q.Page() {
			return nil
		}
	}
}
