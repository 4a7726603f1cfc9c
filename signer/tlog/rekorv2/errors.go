// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// gRPC status codes, as rekor-tiles puts them into its JSON errors
// (google/rpc/code.proto).
const (
	codeCanceled          = 1
	codeUnknown           = 2
	codeInvalidArgument   = 3
	codeDeadlineExceeded  = 4
	codeNotFound          = 5
	codePermissionDenied  = 7
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeUnavailable       = 14
)

// statusClientClosedRequest is what grpc-gateway answers for a cancelled call.
const statusClientClosedRequest = 499

// retryAfter is in seconds: batches take milliseconds, so a second later the
// pool is another one.
const retryAfter = "1"

// frozenMessage is upstream's answer to a write to a frozen log, to the letter.
const frozenMessage = "This log has been frozen, please switch to the latest log."

// writeError answers with the shape of a gRPC status. It is never cached: a
// tile that is missing now may exist a moment later.
func writeError(w http.ResponseWriter, status, code int, message string) {
	body, err := json.Marshal(struct {
		Code    int        `json:"code"`
		Message string     `json:"message"`
		Details []struct{} `json:"details"`
	}{code, message, []struct{}{}})
	if err != nil { // cannot be: a number and a string
		status, body = http.StatusInternalServerError, nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nothing to do
}

// answerError maps errors to what rekor-tiles answers, and those it does not
// have to the nearest.
func (s *Service) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var (
		invalid  *Invalid
		refused  *writers.Refused
		bad      *badRequest
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.Is(err, tlog.ErrFrozen):
		// A server in front of upstream's answers this, so it has not its shape.
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, frozenMessage, http.StatusMethodNotAllowed)
	case errors.As(err, &refused) && refused.RetryAfter > 0:
		// 429, not 503: the service is well, it is this key that has to wait.
		// Clients that retry do so for both, and heed Retry-After for both.
		w.Header().Set("Retry-After", refused.Seconds())
		writeError(w, http.StatusTooManyRequests, codeResourceExhausted, refused.Reason)
	case errors.As(err, &refused):
		writeError(w, http.StatusForbidden, codePermissionDenied, refused.Reason)
	case errors.Is(err, errNoLog):
		writeError(w, http.StatusNotFound, codeNotFound, errNoLog.Error())
	case errors.As(err, &bad):
		writeError(w, http.StatusBadRequest, codeInvalidArgument, bad.reason)
	case errors.Is(err, tlog.ErrTooLarge): // an invalid entry may be, too
		writeError(w, http.StatusRequestEntityTooLarge, codeInvalidArgument,
			fmt.Sprintf("the canonical entry is larger than %d bytes", tlog.MaxLeaf))
	case errors.As(err, &invalid):
		writeError(w, http.StatusBadRequest, codeInvalidArgument, invalid.message())
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, codeInvalidArgument,
			fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		writeError(w, http.StatusGatewayTimeout, codeDeadlineExceeded, "the request took too long; retry")
	case r.Context().Err() != nil:
		writeError(w, statusClientClosedRequest, codeCanceled, "the client has gone")
	case errors.Is(err, writers.ErrBody):
		writeError(w, http.StatusBadRequest, codeInvalidArgument, writers.ErrBody.Error())
	case errors.Is(err, tlog.ErrPoolFull):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, "reached max pushback; retry")
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, "the log is not available; retry")
	default:
		writeError(w, http.StatusInternalServerError, codeUnknown, "failed to integrate entry")
	}
	s.cfg.Logger.InfoContext(r.Context(), "log request failed", "error", writers.Clip(err.Error()))
}
