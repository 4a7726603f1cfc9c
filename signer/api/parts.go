// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// A request with large documents has a body of several parts (multipart/mixed, or
// multipart/form-data): the first is the request in JSON, the others are the
// documents, each under the name that the request's evidence gives it. The token
// is looked at before any of it, and whether the policy lets its holder bring
// documents about this image before the first document. Documents go to the spool
// while they come, so that a slow line holds a file and no memory; then the request
// waits for its turn like the others.

const (
	// maxParts bounds the bytes of a body of parts: some large documents.
	maxParts = 1 << 30
	// maxReceiving is how many requests are received at a time. Each holds a file,
	// two buffers and the headers of a part.
	maxReceiving = 32
	// maxReceivingOfOne is how many of them are one project's: documents may come
	// slowly, and nobody's keep those of all others out.
	maxReceivingOfOne = maxReceiving / 4
	// workTimeout bounds what is done with the documents of a request: pushing them
	// to a slow registry takes the longest.
	workTimeout = 15 * time.Minute
	// patience is how often a request with parts waits for its turn, turnWait each.
	patience = 6
	// sbomWeight is the most that an SBOM counts for of maxBodies: a larger one is
	// read as a stream.
	sbomWeight = signer.DefaultEmbed
)

// ErrEncoded says that a body is compressed: what it unpacks to is not what was
// measured.
var ErrEncoded = errors.New("a body with a content encoding is not read")

// Spool keeps documents that are being received. It may be called concurrently.
type Spool interface {
	// Receive keeps a document of at most limit bytes for a tenant until forget is
	// called. No room is a signer.ErrBusy, none in the tenant's share a
	// *signer.OverQuota, more than limit bytes an attest.ErrTooLarge. An error of r
	// comes back as it is; any other is the spool's own.
	Receive(tenant string, r io.Reader, limit int64) (d signer.Stored, forget func(), err error)
	// Share is how many bytes of documents one tenant may have at a time.
	Share() int64
}

// mostOf is how many bytes the body of a request may have: what its tenant's share
// could never hold is refused at once, and not told to come again.
func (p *parts) mostOf() int64 { return min(maxParts, p.Spool.Share()+2*maxPartsRequest) }

// isParts tells whether a request has a body of parts, and how they are divided.
func isParts(r *http.Request) (boundary string, is bool) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return params["boundary"], err == nil && (kind == "multipart/mixed" || kind == "multipart/form-data")
}

// checkEncoding refuses a compressed body.
func checkEncoding(encoding string) error {
	if encoding != "" && !strings.EqualFold(encoding, "identity") {
		return fmt.Errorf("%w: %.40q (hint: send it as it is)", ErrEncoded, encoding)
	}
	return nil
}

// parts serves requests with bodies of parts.
type parts struct {
	*server
	receiving *semaphore.Weighted
	each      shares
}

// serve answers such a request whose token is good.
func (p *parts) serve(w http.ResponseWriter, r *http.Request, action signer.Action, admission *signer.Admission) {
	ctx := r.Context()
	answer, err := p.answerTo(ctx, w, r, action, admission)
	if err != nil {
		answerProblem(w, p.problem(ctx, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client went away
}

func (p *parts) answerTo(ctx context.Context, w http.ResponseWriter, r *http.Request, action signer.Action, admission *signer.Admission) (any, error) {
	boundary, _ := isParts(r)
	switch {
	case boundary == "":
		return nil, fmt.Errorf("%w: the content type names no boundary", signer.ErrBadRequest)
	case p.Spool == nil:
		return nil, fmt.Errorf("%w: this service takes no documents in parts", signer.ErrBadRequest)
	case r.ContentLength > p.mostOf():
		return nil, fmt.Errorf("%w: %d bytes, the limit of one request is %d (hint: attest the documents in several calls)", ErrTooLarge, r.ContentLength, p.mostOf())
	}
	done, err := p.each.take(admission.Tenant())
	if err != nil {
		return nil, err
	}
	defer done()
	req := signer.Request{Token: bearer(r.Header.Get("Authorization")), Action: action, Origin: p.origin(ctx), Admission: admission}
	u := p.newUpload(w, r, boundary)
	defer u.Close()
	if err := p.inTurn(ctx, func() error { return u.receive(ctx, &req) }); err != nil {
		return nil, err
	}
	done()
	var weight int64
	for _, d := range req.Documents {
		weight += weightOf(d)
	}
	giveBack, err := p.patiently(ctx, weight)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(workTimeout))                      // only recorders of tests have none
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(answerTimeout)) }() // as above
	switch {
	case action == signer.ActionAttest:
		receipts, err := p.Signer.AttestDocuments(ctx, req)
		return newReceiptsBody(receipts), err
	case u.asked.DryRun:
		return p.Signer.DryRun(ctx, req)
	default:
		return p.Signer.Sign(ctx, req)
	}
}

// inTurn receives when there is a place for it.
func (p *parts) inTurn(ctx context.Context, receive func() error) error {
	if err := wait(ctx, p.receiving, 1); err != nil {
		return err
	}
	defer p.receiving.Release(1) // also if it panics
	return receive()
}

// weightOf is what a document counts for of maxBodies. What is said to be an SBOM is
// read as a stream if it is large; everything else in memory, as far as it is read.
func weightOf(d signer.Document) int64 {
	most := int64(attest.MaxEvidenceBytes)
	if d.Kind == attest.EvidenceSBOM {
		most = sbomWeight
	}
	return min(d.Stored.Size, most)
}

// patiently takes a turn. Who has sent so much waits longer than others: it costs
// a file, and sending it again costs more.
func (p *parts) patiently(ctx context.Context, weight int64) (giveBack func(), err error) {
	for range patience {
		if giveBack, err = p.turns.take(ctx, weight); err == nil || ctx.Err() != nil {
			break
		}
	}
	return giveBack, err
}
