// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
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
	// maxPartsRequest bounds the request in the first part, bytes.
	maxPartsRequest = 64 << 10
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
	// partWeight is the most that a document counts for of maxBodies: a larger one
	// is read as a stream.
	partWeight = 4 << 20
	// requestPart is the name of the first part.
	requestPart = "request"
)

// ErrEncoded says that a body is compressed: what it unpacks to is not what was
// measured.
var ErrEncoded = errors.New("a body with a content encoding is not read")

// Received is a document that the spool keeps. Close forgets it.
type Received interface {
	Document() signer.Stored
	Close()
}

// Spool keeps documents that are being received, of at most limit bytes each, and
// of at most Share bytes of one tenant.
type Spool interface {
	Receive(tenant string, r io.Reader, limit int64) (Received, error)
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

// partsRequest is the first part. huma only describes it.
type partsRequest struct {
	Image    string          `json:"image" minLength:"1" maxLength:"1024" doc:"Reference in the central registry, by digest; a tag is resolved once"`
	DryRun   bool            `json:"dryRun,omitempty" doc:"Decide and explain, and do nothing; for sign only"`
	Platform string          `json:"platform,omitempty" doc:"What of an index the documents are about: index (the default), all, a platform such as linux/amd64, or the digest of one of its images"`
	Evidence []partsEvidence `json:"evidence" maxItems:"16" doc:"The documents that follow, in any order; each at most 256 MiB"`
	Claims
}

type partsEvidence struct {
	Part string `json:"part" doc:"Name of the part with the document"`
	Name string `json:"name,omitempty" doc:"For messages and as the document's title, such as a file's name"`
	Kind string `json:"kind,omitempty" doc:"What it has to be: sbom, scan, vex, test, … or a format; a document of another kind is refused"`
	// Platform is in place of the request's.
	Platform string `json:"platform,omitempty" doc:"What of an index this document is about, in place of the request's platform: index, all, a platform, or the digest of one of its images"`
	Digest   string `json:"digest,omitempty" doc:"sha256:… of the document; another one is refused"`
	Size     int64  `json:"size,omitempty" doc:"Bytes of the document; another number is refused"`
}

// readPartsRequest takes the first part apart.
func readPartsRequest(raw []byte) (partsRequest, error) {
	var r partsRequest
	var evidence []json.RawMessage
	members := map[string]any{"image": &r.Image, "dryRun": &r.DryRun, "platform": &r.Platform, "evidence": &evidence}
	r.Claims.members(members)
	if err := readMembers(raw, members); err != nil {
		return r, fmt.Errorf("%w: part %s: %w", signer.ErrBadRequest, requestPart, err)
	}
	if r.Image == "" || len(evidence) == 0 {
		return r, fmt.Errorf("%w: part %s: image and evidence are compulsory", signer.ErrBadRequest, requestPart)
	}
	if len(evidence) > maxBodyDocuments {
		return r, fmt.Errorf("%w: part %s: more than %d documents", signer.ErrBadRequest, requestPart, maxBodyDocuments)
	}
	seen := map[string]bool{requestPart: true, "": true}
	for i, one := range evidence {
		var e partsEvidence
		err := readMembers(one, map[string]any{"part": &e.Part, "name": &e.Name, "kind": &e.Kind, "platform": &e.Platform, "digest": &e.Digest, "size": &e.Size})
		if err == nil && seen[e.Part] {
			err = errors.New("its part has no name, or that of another one")
		}
		if err == nil && e.Digest != "" {
			_, err = attest.ParseDigest(e.Digest)
		}
		if err == nil && (e.Size < 0 || e.Size > signer.MaxDocument) {
			err = fmt.Errorf("%w: %d bytes, the limit is %d", attest.ErrTooLarge, e.Size, signer.MaxDocument)
		}
		if err != nil {
			return r, fmt.Errorf("%w: part %s: evidence[%d]: %w", signer.ErrBadRequest, requestPart, i, err)
		}
		seen[e.Part] = true
		r.Evidence = append(r.Evidence, e)
	}
	return r, nil
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
	if err := wait(ctx, p.receiving, 1); err != nil {
		return nil, err
	}
	req := signer.Request{Token: bearer(r.Header.Get("Authorization")), Action: action, Origin: p.origin(ctx), Admission: admission}
	asked, received, err := p.receive(ctx, w, r, boundary, &req)
	p.receiving.Release(1)
	done()
	defer func() {
		for _, f := range received {
			f.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	var weight int64
	for i, f := range received {
		document := f.Document()
		req.Documents[i].Stored = &document
		weight += min(document.Size, partWeight)
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
		return receiptsBody{Receipts: receipts}, err
	case asked.DryRun:
		return p.Signer.DryRun(ctx, req)
	default:
		return p.Signer.Sign(ctx, req)
	}
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

// receive reads the body. Whatever it returns has to be closed.
func (p *parts) receive(ctx context.Context, w http.ResponseWriter, r *http.Request, boundary string, req *signer.Request) (asked partsRequest, received []Received, err error) {
	body := &paced{r: http.MaxBytesReader(w, r.Body, p.mostOf()), control: http.NewResponseController(w), begun: time.Now(), grace: p.BodyTimeout}
	reader := multipart.NewReader(body, boundary)
	first, err := p.next(reader)
	if err != nil {
		return asked, nil, err
	}
	if first == nil || partName(first) != requestPart {
		return asked, nil, fmt.Errorf("%w: the first part is not called %s", signer.ErrBadRequest, requestPart)
	}
	raw, err := io.ReadAll(io.LimitReader(first, maxPartsRequest+1))
	if err != nil {
		return asked, nil, truncated(err)
	}
	if len(raw) > maxPartsRequest {
		return asked, nil, fmt.Errorf("%w: part %s has more than %d bytes", ErrTooLarge, requestPart, maxPartsRequest)
	}
	if asked, err = readPartsRequest(raw); err != nil {
		return asked, nil, err
	}
	if asked.DryRun && req.Action == signer.ActionAttest {
		return asked, nil, fmt.Errorf("%w: only a signature has a dry run", signer.ErrBadRequest)
	}
	at := map[string]int{}
	req.Image, req.Platform = oci.WithoutScheme(asked.Image), asked.Platform
	if req.Claimed, err = asked.claimed(); err != nil {
		return asked, nil, err
	}
	for i, e := range asked.Evidence {
		at[e.Part] = i
		req.Documents = append(req.Documents, signer.Document{Name: e.Name, Kind: attest.EvidenceKind(e.Kind), Platform: e.Platform})
	}
	if !asked.DryRun { // its answer is the refusal
		if req.Admission, err = p.Signer.Expect(ctx, *req); err != nil {
			return asked, nil, err
		}
	}
	files := make([]Received, len(asked.Evidence))
	defer func() {
		for _, f := range files {
			if f != nil {
				received = append(received, f)
			}
		}
	}()
	for range asked.Evidence {
		part, err := p.next(reader)
		if err != nil {
			return asked, nil, err
		}
		if part == nil {
			break
		}
		name := partName(part)
		i, known := at[name]
		if !known || files[i] != nil {
			return asked, nil, fmt.Errorf("%w: part %.100q is not named in evidence, or is there twice", signer.ErrBadRequest, name)
		}
		e := asked.Evidence[i]
		if files[i], err = p.Spool.Receive(req.Admission.Tenant(), part, signer.MaxDocument); err != nil {
			files[i] = nil
			return asked, nil, fmt.Errorf("part %s: %w", e.Part, truncated(err))
		}
		if got := files[i].Document(); (e.Digest != "" && string(got.Digest) != e.Digest) || (e.Size != 0 && got.Size != e.Size) {
			return asked, nil, fmt.Errorf("%w: part %s has %d bytes and is %s, announced were %d and %s", signer.ErrBadRequest, e.Part, got.Size, got.Digest, e.Size, e.Digest)
		}
	}
	for i, f := range files {
		if f == nil {
			return asked, nil, fmt.Errorf("%w: there is no part %.100q", signer.ErrBadRequest, asked.Evidence[i].Part)
		}
	}
	return asked, nil, p.end(reader, body, boundary)
}

// end wants nothing behind the last part but white space. The reader of parts
// does not tell what it has read beyond the end.
func (p *parts) end(reader *multipart.Reader, body *paced, boundary string) error {
	part, err := p.next(reader)
	if err != nil {
		return err
	}
	if part != nil {
		return fmt.Errorf("%w: part %.100q is not named in evidence", signer.ErrBadRequest, partName(part))
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(body, maxPartsRequest)); err != nil {
		return truncated(err)
	}
	if !bytes.HasSuffix(bytes.TrimRight(body.last, " \t\r\n"), []byte("--"+boundary+"--")) {
		return fmt.Errorf("%w: something follows the last part", signer.ErrBadRequest)
	}
	return nil
}

// next is the next part as it is sent; nil: there is none.
func (p *parts) next(reader *multipart.Reader) (*multipart.Part, error) {
	part, err := reader.NextRawPart()
	if errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // the end is no error
	}
	if err != nil {
		return nil, truncated(err)
	}
	for _, header := range []string{"Content-Encoding", "Content-Transfer-Encoding"} {
		if e := part.Header.Get(header); e != "" && !strings.EqualFold(e, "binary") && !strings.EqualFold(e, "8bit") && !strings.EqualFold(e, "identity") {
			return nil, fmt.Errorf("%w: part %.100q: %.40q (hint: send it as it is)", ErrEncoded, partName(part), e)
		}
	}
	return part, nil
}

// partName is the name in a part's disposition, whatever that is called.
func partName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["name"]
}

// truncated says what an error of reading a body means for who sent it.
func truncated(err error) error {
	var large *http.MaxBytesError
	var over *signer.OverQuota
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, large.Limit)
	case errors.Is(err, signer.ErrBusy), errors.Is(err, attest.ErrTooLarge), errors.As(err, &over):
		return err
	case isTimeout(err):
		return fmt.Errorf("%w: the body came too slowly (%w)", ErrSlow, err)
	}
	return fmt.Errorf("%w: the body of parts cannot be read: %w", signer.ErrBadRequest, err)
}

// ErrSlow says that a body did not come in time.
var ErrSlow = errors.New("the request is too slow")

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// receiptsBody is the answer to a request with several statements.
type receiptsBody struct {
	Receipts []signer.Receipt `json:"receipts"`
}

// describeParts tells of bodies of parts.
func describeParts(doc *huma.OpenAPI, op *huma.Operation) {
	op.RequestBody.Content["multipart/form-data"] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{requestPart},
		Description: "First the part request, then a part for each entry of its evidence, under the name that the entry has; multipart/mixed is read alike",
		Properties: map[string]*huma.Schema{
			requestPart: doc.Components.Schemas.Schema(reflect.TypeFor[partsRequest](), true, ""),
		},
		AdditionalProperties: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A document, byte for byte as the tool wrote it"},
	}}
}
