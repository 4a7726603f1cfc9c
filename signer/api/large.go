// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/signer"
)

// Attestations are large, and a large body must not cost much more than its
// bytes, whoever sends it. So its token is looked at first, the bodies that
// are in memory at a time are bounded together (turns.go), and the predicate is
// never taken apart into Go values: a JSON array of empty objects would take
// forty times its size.
const (
	// maxLookups bounds the answers about artifacts that are in memory at a
	// time. Each holds the bundles of one receipt, see artifact.go.
	maxLookups = 4
	// answerTimeout ends an answer that somebody is too slow to take.
	answerTimeout = 60 * time.Second
	// bodyTimeout bounds reading a body: an SBOM over a slow line.
	bodyTimeout = 60 * time.Second
)

// lookups is a huma middleware for answers that can be large. Anybody may ask
// for them.
func (s *server) lookups() func(huma.Context, func(huma.Context)) {
	turns := semaphore.NewWeighted(maxLookups)
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := wait(ctx.Context(), turns, 1); err != nil {
			writeProblem(ctx, s.problem(ctx.Context(), err))
			return
		}
		defer turns.Release(1)
		_, w := humago.Unwrap(ctx)
		// Only recorders of tests have no deadlines.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		next(ctx)
	}
}

// writeProblem answers before huma has begun to.
func writeProblem(ctx huma.Context, err error) {
	_, w := humago.Unwrap(ctx)
	answerProblem(w, err)
}

// answerProblem writes an error that problem made.
func answerProblem(w http.ResponseWriter, err error) {
	var headers huma.HeadersError
	if errors.As(err, &headers) {
		for name, values := range headers.GetHeaders() {
			for _, value := range values {
				w.Header().Add(name, value)
			}
		}
	}
	var body huma.StatusError = newProblem(http.StatusInternalServerError, "internal", "internal error")
	_ = errors.As(err, &body)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(body.GetStatus())
	_ = json.NewEncoder(w).Encode(body) // the client went away
}

// attestInputBody is the body of an attestation request. huma only describes it.
type attestInputBody struct {
	Image         string          `json:"image" minLength:"1" maxLength:"1024" doc:"Reference in the central registry, by digest; a tag is resolved once"`
	PredicateType string          `json:"predicateType" minLength:"1" maxLength:"1024" doc:"URI, or one of cosign's short names" example:"https://spdx.dev/Document"`
	Platform      string          `json:"platform,omitempty" doc:"What of an index the statement is about: index (the default), all, or a platform such as linux/amd64; with it the answer is a list of receipts"`
	Predicate     json.RawMessage `json:"predicate" doc:"JSON object, embedded in the statement byte for byte"`
}

// describeAttestBody puts it in the place of the bytes that huma reads.
func describeAttestBody(doc *huma.OpenAPI) {
	op := doc.Paths["/hallmark/v1/attest"].Post
	op.RequestBody.Required = true
	op.RequestBody.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[attestInputBody](), true, "")
	describeParts(doc, op)
	op.Responses["200"].Description = "The receipt; with a platform or documents in parts, the receipts"
	op.Responses["200"].Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{
		doc.Components.Schemas.Schema(reflect.TypeFor[signer.Receipt](), true, ""),
		doc.Components.Schemas.Schema(reflect.TypeFor[receiptsBody](), true, ""),
	}}}}
}

// readAttestBody takes each member once, by its exact name, and no others.
// Errors are ErrBadRequest.
func readAttestBody(raw []byte) (attestInputBody, error) {
	var b attestInputBody
	members := map[string]any{"image": &b.Image, "predicateType": &b.PredicateType, "platform": &b.Platform, "predicate": &b.Predicate}
	fail := func(format string, args ...any) (attestInputBody, error) {
		return attestInputBody{}, fmt.Errorf("%w: body: "+format, append([]any{signer.ErrBadRequest}, args...)...)
	}
	if err := readMembers(raw, members); err != nil {
		return fail("%w", err)
	}
	if b.Predicate == nil || b.Image == "" || b.PredicateType == "" {
		return fail("image, predicateType and predicate are compulsory")
	}
	return b, nil
}
