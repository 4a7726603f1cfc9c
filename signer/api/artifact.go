// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// Anybody may ask what was signed for an artifact, and the answer has bundles
// of tens of megabytes. So it comes in pages, of so many receipts and so many
// bytes, and is written one receipt at a time: what is in memory is one bundle
// for each answer under way.
const (
	// maxPage and defaultPage are receipts of one answer.
	maxPage     = 200
	defaultPage = 64
	// maxPageBytes bounds one answer, bytes, unless it has one receipt alone.
	maxPageBytes = 40 << 20
	// aroundBundles is how much of an answer each receipt is without its bundles.
	aroundBundles = 4 << 10
	// maxLookupBytes bounds the bundles that all answers hold together, bytes: two
	// of the largest receipts, or eight bundles of SBOMs of 16 MiB.
	maxLookupBytes = 128 << 20
)

// ErrBadCursor says that a cursor is not one of this list.
var ErrBadCursor = fmt.Errorf("%w: the cursor is not one that this list of receipts gave (hint: pass \"next\" of the page before, with the same digest and predicateType)", ErrBadQuery)

type artifactInput struct {
	Digest        string `path:"digest" maxLength:"128" doc:"sha256:<64 hex digits>"`
	PredicateType string `query:"predicateType" maxLength:"1024" doc:"receipts of this predicate type only: URI, or one of cosign's short names" example:"https://spdx.dev/Document"`
	Limit         int    `query:"limit" default:"64" doc:"receipts in the answer, 1 to 200; there may be fewer, because their bytes are bounded as well"`
	Cursor        string `query:"cursor" maxLength:"64" doc:"\"next\" of the page before"`
}

// artifactBody describes the answer, which is written by hand.
type artifactBody struct {
	Receipts []signer.Receipt `json:"receipts" doc:"newest first"`
	Next     string           `json:"next,omitempty" doc:"where the next page begins: the value of \"cursor\"; absent at the end"`
}

// artifactPage is an answer before its bundles are read.
type artifactPage struct {
	outlines []signer.ReceiptOutline
	next     string
}

func (s *server) registerArtifact(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "artifact", Method: http.MethodGet, Path: "/hallmark/v1/artifacts/{digest}", Summary: "Receipts of an artifact, newest first, in pages",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable}, Middlewares: huma.Middlewares{s.lookups()},
	}, s.artifact)
	doc := api.OpenAPI()
	doc.Paths["/hallmark/v1/artifacts/{digest}"].Get.Responses["200"] = &huma.Response{
		Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: doc.Components.Schemas.Schema(reflect.TypeFor[artifactBody](), true, "")}},
	}
}

func (s *server) artifact(ctx context.Context, in *artifactInput) (*huma.StreamResponse, error) {
	page, err := s.artifactPage(ctx, in)
	if err != nil {
		return nil, err
	}
	// The first receipt is read before there is a status, so that a database that
	// does not answer is an error like any other.
	var first signer.Receipt
	release := func() {}
	if len(page.outlines) > 0 {
		if first, release, err = s.receipt(ctx, page.outlines[0]); err != nil {
			return nil, s.problem(ctx, err)
		}
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "application/json")
		err := s.writePage(ctx, hctx.BodyWriter(), page, first, release)
		if err != nil {
			s.Logger.WarnContext(ctx, "an answer about an artifact was not finished", "request", s.RequestID(ctx), "artifact", in.Digest, "error", err)
			// Nobody must take half a list for a whole one.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// artifactPage finds what the answer will have.
func (s *server) artifactPage(ctx context.Context, in *artifactInput) (artifactPage, error) {
	digest, err := attest.ParseDigest(in.Digest)
	if err != nil {
		return artifactPage{}, huma.Error400BadRequest(err.Error())
	}
	if in.Limit < 1 || in.Limit > maxPage {
		return artifactPage{}, s.problem(ctx, fmt.Errorf("%w: limit is %d, not 1 to %d", ErrBadQuery, in.Limit, maxPage))
	}
	query := signer.ReceiptQuery{Digest: digest, Limit: in.Limit + 1}
	if in.PredicateType != "" {
		kind, err := attest.CanonicalPredicateType(in.PredicateType)
		if err != nil {
			return artifactPage{}, s.problem(ctx, fmt.Errorf("%w: predicateType: %w", ErrBadQuery, err))
		}
		query.Types = []string{kind}
	}
	if in.Cursor != "" {
		if query.Before, err = readCursor(query, in.Cursor); err != nil {
			return artifactPage{}, s.problem(ctx, err)
		}
	}
	found, err := s.Receipts.ReceiptPage(ctx, query)
	if err != nil {
		return artifactPage{}, s.problem(ctx, err)
	}
	if len(found) == 0 && in.Cursor == "" {
		return artifactPage{}, huma.Error404NotFound("nothing was signed or attested for " + in.Digest + ofType(query))
	}
	page := artifactPage{outlines: found[:pageLength(found, in.Limit)]}
	if n := len(page.outlines); n < len(found) {
		page.next = newCursor(query, page.outlines[n-1].Seq)
	}
	return page, nil
}

func ofType(q signer.ReceiptQuery) string {
	if len(q.Types) == 0 {
		return ""
	}
	return " with predicate type " + q.Types[0]
}

// pageLength is how many receipts fit into an answer, one at least.
func pageLength(found []signer.ReceiptOutline, limit int) int {
	var size int64
	for i, r := range found {
		size += int64(base64.StdEncoding.EncodedLen(int(r.Size))) + aroundBundles
		if i == limit || (i > 0 && size > maxPageBytes) {
			return i
		}
	}
	return len(found)
}

// receipt reads a receipt when there is room for it.
func (s *server) receipt(ctx context.Context, outline signer.ReceiptOutline) (r signer.Receipt, release func(), err error) {
	// The other bundles are kept in base64 and are there in both forms for a moment.
	n := min(3*outline.Size+aroundBundles, maxLookupBytes)
	if err := wait(ctx, s.lookupBytes, n); err != nil {
		return r, nil, err
	}
	release = func() { s.lookupBytes.Release(n) }
	if r, err = s.Receipts.Receipt(ctx, outline.ID); err != nil {
		release()
	}
	return r, release, err
}

func newLookupBytes() *semaphore.Weighted { return semaphore.NewWeighted(maxLookupBytes) }

// writePage writes an artifactBody. It releases the first receipt.
func (s *server) writePage(ctx context.Context, to io.Writer, page artifactPage, first signer.Receipt, release func()) error {
	w := bufio.NewWriter(to)
	_, _ = w.WriteString(`{"receipts":[`) // a bufio.Writer keeps its first error
	for i, outline := range page.outlines {
		r := first
		if i > 0 {
			_ = w.WriteByte(',')
			var err error
			if r, release, err = s.receipt(ctx, outline); err != nil {
				return err
			}
		}
		err := writeReceipt(w, r)
		first = signer.Receipt{}
		release()
		if err != nil {
			return err
		}
	}
	_ = w.WriteByte(']')
	if page.next != "" {
		_, _ = fmt.Fprintf(w, `,"next":%q`, page.next)
	}
	_, _ = w.WriteString("}\n")
	return w.Flush()
}

// noBundle is what the encoding of a receipt has in the place of each bundle that
// was taken out. No text in it does: quotes inside are escaped.
var noBundle = []byte(`"bundle":null`)

// writeReceipt writes what json.Marshal would, without making a second copy of
// the bundles.
func writeReceipt(w *bufio.Writer, r signer.Receipt) error {
	outline, _ := signer.OutlineOf(r)
	encoded, err := json.Marshal(outline)
	if err != nil {
		return err
	}
	for _, bundle := range append([][]byte{r.Bundle}, others(r)...) {
		before, behind, found := bytes.Cut(encoded, noBundle)
		if !found {
			return errors.New("the encoding of a receipt has no place for its bundle")
		}
		_, _ = w.Write(before)
		if bundle == nil {
			_, _ = w.Write(noBundle)
		} else {
			_, _ = w.WriteString(`"bundle":"`)
			encoder := base64.NewEncoder(base64.StdEncoding, w)
			if _, err := encoder.Write(bundle); err != nil {
				return err
			}
			if err := encoder.Close(); err != nil {
				return err
			}
			_ = w.WriteByte('"')
		}
		encoded = behind
	}
	_, err = w.Write(encoded)
	return err
}

func others(r signer.Receipt) (bundles [][]byte) {
	for _, o := range r.Others {
		bundles = append(bundles, o.Bundle)
	}
	return bundles
}

// A cursor is the number of the last receipt that was seen and a hash of the
// list, so that one of another list is an error and not another place in this
// one. It is no secret and needs no signature: whoever makes one up sees a part
// of a list that everybody may see.
const (
	cursorNumber = 8
	cursorHash   = 8
)

func newCursor(q signer.ReceiptQuery, seq int64) string {
	c := binary.BigEndian.AppendUint64(make([]byte, 0, cursorNumber+cursorHash), uint64(seq)) //nolint:gosec // not negative
	return base64.RawURLEncoding.EncodeToString(append(c, listHash(q)...))
}

func readCursor(q signer.ReceiptQuery, cursor string) (int64, error) {
	c, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(c) != cursorNumber+cursorHash || !bytes.Equal(c[cursorNumber:], listHash(q)) {
		return 0, ErrBadCursor
	}
	seq := int64(binary.BigEndian.Uint64(c)) //nolint:gosec // looked at below
	if seq <= 0 {
		return 0, ErrBadCursor
	}
	return seq, nil
}

// listHash names the list of a query.
func listHash(q signer.ReceiptQuery) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%q", q.Digest, q.Types)
	return h.Sum(nil)[:cursorHash]
}
