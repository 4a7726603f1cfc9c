// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hallmark-dev/hallmark/signer"
)

// gRPC status codes (google/rpc/code.proto), as grpc-gateway puts them into
// JSON errors.
const (
	codeCanceled          = 1
	codeInvalidArgument   = 3
	codeDeadlineExceeded  = 4
	codePermissionDenied  = 7
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeInternal          = 13
	codeUnavailable       = 14
	codeUnauthenticated   = 16
)

// statusClientClosedRequest is what grpc-gateway answers for a cancelled call.
const statusClientClosedRequest = 499

// retryAfter is what a client waits when asking again can help, seconds.
const retryAfter = "1"

// sayBadToken is what Fulcio says of every token that is no good.
const sayBadToken = "There was an error processing the identity token" //nolint:gosec // a sentence, not a credential

// writeError answers with a gRPC status.
func writeError(w http.ResponseWriter, status, code int, message string) {
	body, err := json.Marshal(struct {
		Code    int        `json:"code"`
		Message string     `json:"message"`
		Details []struct{} `json:"details"`
	}{code, message, []struct{}{}})
	if err != nil { // cannot be: a number and a string
		status, body = http.StatusInternalServerError, nil
	}
	if later := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests; later && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	write(w, status, contentJSON, body)
}

func refuseMethod(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	writeError(w, http.StatusMethodNotAllowed, codeUnimplemented, http.StatusText(http.StatusMethodNotAllowed))
}

// answerError maps the errors of the flow. Fulcio answers 400 for a token that
// is no good; 401 is what it means, and stock clients print the message of
// either. What is not known here is an internal error with an id.
func (a *API) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var (
		unauthenticated *signer.Unauthenticated
		refused         *signer.Refused
		replayed        *signer.Replayed
		over            *signer.OverQuota
	)
	switch {
	case errors.As(err, &unauthenticated):
		w.Header().Set("WWW-Authenticate", `Bearer realm="hallmark", error="invalid_token"`)
		writeError(w, http.StatusUnauthorized, codeUnauthenticated, sayBadToken+": "+unauthenticated.Error()+a.audienceHint(unauthenticated))
	case errors.As(err, &refused):
		writeError(w, http.StatusForbidden, codePermissionDenied, "no certificate for this workflow: "+strings.Join(refused.Reasons, "; "))
	case errors.As(err, &replayed):
		writeError(w, http.StatusForbidden, codePermissionDenied, replayed.Error())
	case errors.As(err, &over):
		w.Header().Set("Retry-After", strconv.Itoa(over.Seconds()))
		writeError(w, http.StatusTooManyRequests, codeResourceExhausted, over.Error())
	case errors.Is(err, errTooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, codeInvalidArgument, fmt.Sprintf("%s: more than %d bytes", errTooLarge, maxBody))
	case errors.Is(err, signer.ErrBadRequest):
		writeError(w, http.StatusBadRequest, codeInvalidArgument, strings.TrimPrefix(err.Error(), signer.ErrBadRequest.Error()+": "))
	case errors.Is(err, signer.ErrTooManyRefusals):
		writeError(w, http.StatusTooManyRequests, codeResourceExhausted, sayBadToken+": "+err.Error())
	case errors.Is(err, signer.ErrNoKeys):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, signer.ErrNoKeys.Error())
	case errors.Is(err, signer.ErrBusy):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, signer.ErrBusy.Error())
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		writeError(w, http.StatusGatewayTimeout, codeDeadlineExceeded, "the request took too long; retry")
	case r.Context().Err() != nil:
		writeError(w, statusClientClosedRequest, codeCanceled, "the client has gone")
	default:
		id := a.cfg.RequestID(r.Context())
		a.cfg.Logger.ErrorContext(r.Context(), "certificate request failed", "request", id, "error", err)
		writeError(w, http.StatusInternalServerError, codeInternal, "internal error; the service's log has it under request id "+id)
	}
}

// audienceHint helps with what goes wrong first: a token that was made for
// signing, or for somebody else.
func (a *API) audienceHint(e *signer.Unauthenticated) string {
	if strings.Contains(e.Reason, "audience") {
		return fmt.Sprintf(" (hint: tokens for certificates have the audience %q)", a.cfg.Audience)
	}
	return ""
}
