// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
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
// are in memory at a time are bounded together, and the predicate is never
// taken apart into Go values: a JSON array of empty objects would take forty
// times its size.
const (
	// maxBodies bounds the bytes of all bodies that are worked on. A request
	// holds about eight times its body: the buffers it is read into, the
	// statement, the bundle and its base64.
	maxBodies = 2 * maxAttestBody
	// bodyWait is how long a request waits for its turn before it is told to
	// come again.
	bodyWait = 10 * time.Second
	// maxLookups bounds the answers about artifacts that are in memory at a
	// time. Each holds the bundles of all attestations of an artifact.
	maxLookups = 4
	// answerTimeout ends an answer that somebody is too slow to take.
	answerTimeout = 60 * time.Second
	// bodyTimeout bounds reading a body: an SBOM over a slow line.
	bodyTimeout = 60 * time.Second
)

// gate is a huma middleware before everything that reads the body.
func (s *server) gate(action signer.Action) func(huma.Context, func(huma.Context)) {
	turns := semaphore.NewWeighted(maxBodies)
	return func(ctx huma.Context, next func(huma.Context)) {
		length, err := s.admit(ctx, action)
		if err == nil {
			err = wait(ctx.Context(), turns, length)
		}
		if err != nil {
			writeProblem(ctx, s.problem(ctx.Context(), err))
			return
		}
		defer turns.Release(length)
		next(ctx)
	}
}

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

// admit returns how much body an authenticated caller is about to send.
func (s *server) admit(ctx huma.Context, action signer.Action) (int64, error) {
	err := s.Signer.Admit(ctx.Context(), signer.Request{
		Token: bearer(ctx.Header("Authorization")), Action: action, Origin: s.origin(ctx.Context()),
	})
	r, _ := humago.Unwrap(ctx)
	if err == nil && r.ContentLength > maxAttestBody {
		err = fmt.Errorf("%w: %d bytes, the limit is %d (hint: push large documents to the registry, or attest them one by one)", ErrTooLarge, r.ContentLength, maxAttestBody)
	}
	if r.ContentLength < 0 {
		return maxAttestBody, err // more is never read
	}
	return r.ContentLength, err
}

func wait(ctx context.Context, turns *semaphore.Weighted, length int64) error {
	ctx, cancel := context.WithTimeout(ctx, bodyWait)
	defer cancel()
	if err := turns.Acquire(ctx, length); err != nil {
		return fmt.Errorf("%w with other large requests: %w", signer.ErrBusy, err)
	}
	return nil
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
	p := newProblem(http.StatusInternalServerError, "internal", "internal error")
	_ = errors.As(err, &p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away
}

// attestInputBody is the body of an attestation request. huma only describes it.
type attestInputBody struct {
	Image         string          `json:"image" minLength:"1" maxLength:"1024" doc:"Reference in the central registry, by digest; a tag is resolved once"`
	PredicateType string          `json:"predicateType" minLength:"1" maxLength:"1024" doc:"URI, or one of cosign's short names" example:"https://spdx.dev/Document"`
	Predicate     json.RawMessage `json:"predicate" doc:"JSON object, embedded in the statement byte for byte"`
}

// describeAttestBody puts it in the place of the bytes that huma reads.
func describeAttestBody(doc *huma.OpenAPI) {
	body := doc.Paths["/hallmark/v1/attest"].Post.RequestBody
	body.Required = true
	body.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[attestInputBody](), true, "")
}

// readAttestBody takes each member once, by its exact name, and no others.
// Errors are ErrBadRequest.
func readAttestBody(raw []byte) (attestInputBody, error) {
	var b attestInputBody
	members := map[string]any{"image": &b.Image, "predicateType": &b.PredicateType, "predicate": &b.Predicate}
	fail := func(format string, args ...any) (attestInputBody, error) {
		return attestInputBody{}, fmt.Errorf("%w: body: "+format, append([]any{signer.ErrBadRequest}, args...)...)
	}
	if err := readMembers(raw, members); err != nil {
		return fail("%w", err)
	}
	if len(members) > 0 || b.Image == "" || b.PredicateType == "" {
		return fail("image, predicateType and predicate are compulsory")
	}
	return b, nil
}
