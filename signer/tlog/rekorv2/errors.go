// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"encoding/json"
	"net/http"
)

// gRPC status codes, as rekor-tiles puts them into its JSON errors
// (google/rpc/code.proto).
const (
	codeCanceled         = 1
	codeUnknown          = 2
	codeInvalidArgument  = 3
	codeDeadlineExceeded = 4
	codeNotFound         = 5
	codePermissionDenied = 7
	codeUnimplemented    = 12
	codeUnavailable      = 14
)

// statusClientClosedRequest is what grpc-gateway answers for a cancelled call.
const statusClientClosedRequest = 499

// retryAfter is in seconds: batches take milliseconds, so a second later the
// pool is another one.
const retryAfter = "1"

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
