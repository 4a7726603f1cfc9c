// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// problemTypes maps the errors of the flow to problem+json. The first match
// counts; what is not here is a bare 500 with an id.
var problemTypes = []struct {
	is     error
	status int
	name   string // urn:hallmark:problem:<name>
}{
	{signer.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{signer.ErrNoLog, http.StatusServiceUnavailable, "log-unavailable"},
	{signer.ErrTooManyRefusals, http.StatusTooManyRequests, "too-many-refusals"},
	{signer.ErrNoKeys, http.StatusServiceUnavailable, "issuer-unavailable"},
	{ErrNotFound, http.StatusNotFound, "not-found"},
	{ErrBadQuery, http.StatusBadRequest, "bad-query"},
	{ErrChanged, http.StatusConflict, "list-changed"},
	{ErrSlow, http.StatusRequestTimeout, "too-slow"},
	{ErrEncoded, http.StatusUnsupportedMediaType, "encoded-body"},
	{ErrTooLarge, http.StatusRequestEntityTooLarge, "request-too-large"},
	{attest.ErrTooLarge, http.StatusRequestEntityTooLarge, "document-too-large"},
	{attest.ErrEvidence, http.StatusUnprocessableEntity, "unreadable-evidence"},
	{attest.ErrChart, http.StatusUnprocessableEntity, "bad-chart"},
	{signer.ErrNoCharts, http.StatusNotImplemented, "no-charts"},
	{signer.ErrNoProvenance, http.StatusNotImplemented, "no-provenance"},
	{signer.ErrBadRequest, http.StatusBadRequest, "bad-request"},
	{oci.ErrForeignRegistry, http.StatusForbidden, "foreign-registry"},
	{oci.ErrBadReference, http.StatusBadRequest, "bad-reference"},
	{oci.ErrNotFound, http.StatusNotFound, "artifact-not-found"},
	{oci.ErrNoPlatform, http.StatusNotFound, "platform-not-found"},
	{oci.ErrDigestMismatch, http.StatusBadGateway, "registry-served-other-bytes"},
	{oci.ErrBadManifest, http.StatusUnprocessableEntity, "bad-manifest"},
	{oci.ErrTooLarge, http.StatusUnprocessableEntity, "artifact-too-large"},
	{oci.ErrTooMany, http.StatusUnprocessableEntity, "too-many-referrers"},
	{oci.ErrDenied, http.StatusBadGateway, "registry-denied"},
	{oci.ErrUnavailable, http.StatusBadGateway, "registry-unavailable"},
	{oci.ErrRejected, http.StatusBadGateway, "registry-rejects"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout"},
}

// retryAfter is what a client waits when the service is busy, seconds: the
// pool empties in a fraction of one, and one more refusal without a valid token
// can be recorded after it.
const retryAfter = "1"

// problem turns an error into the answer. Its text names object, reason and
// what to do; it comes from our own error values, which hold no secrets.
func (s *server) problem(ctx context.Context, err error) error {
	var (
		unauthenticated *signer.Unauthenticated
		refused         *signer.Refused
		replayed        *signer.Replayed
		over            *signer.OverQuota
	)
	var tooMuch *signer.TooMuchEvidence
	switch {
	case errors.As(err, &tooMuch):
		return newProblem(http.StatusUnprocessableEntity, "too-much-evidence", err.Error())
	case errors.As(err, &unauthenticated):
		p := newProblem(http.StatusUnauthorized, "unauthenticated", unauthenticated.Error())
		p.Errors = []*huma.ErrorDetail{{Message: unauthenticated.Reason, Location: "header.Authorization"}}
		return huma.ErrorWithHeaders(p, http.Header{"WWW-Authenticate": {`Bearer realm="hallmark", error="invalid_token"`}})
	case errors.As(err, &over):
		p := newProblem(http.StatusTooManyRequests, "over-quota", over.Error())
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(over.Seconds())}})
	case errors.As(err, &replayed):
		// Not 401: the token is what it says, and a client must not send it again.
		p := newProblem(http.StatusForbidden, "token-replayed", replayed.Error())
		p.Errors = []*huma.ErrorDetail{{Message: replayed.Reason, Location: "header.Authorization"}}
		return p
	case errors.As(err, &refused):
		return newRefusedProblem(refused)
	}
	for _, t := range problemTypes {
		if errors.Is(err, t.is) {
			p := newProblem(t.status, t.name, s.detail(ctx, t.is, err))
			if t.status == http.StatusServiceUnavailable || t.status == http.StatusTooManyRequests {
				return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
			}
			return p
		}
	}
	id := s.RequestID(ctx)
	s.Logger.ErrorContext(ctx, "request failed", "request", id, "error", err)
	return newProblem(http.StatusInternalServerError, "internal", "internal error; the service's log has it under request id "+id)
}

// detail is what the caller is told of an error. That a log is not available
// has its cause in a database, whose driver names hosts, users and files: that is
// for who runs the service.
func (s *server) detail(ctx context.Context, kind, err error) string {
	if !errors.Is(kind, signer.ErrNoLog) {
		return err.Error()
	}
	id := s.RequestID(ctx)
	s.Logger.ErrorContext(ctx, "request failed", "request", id, "error", err)
	return kind.Error() + "; the service's log says why under request id " + id
}

func newProblem(status int, name, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{
		Type: "urn:hallmark:problem:" + name, Title: http.StatusText(status), Status: status, Detail: detail,
	}
}
