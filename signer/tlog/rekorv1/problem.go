// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// Inner codes of schema violations, which are answered with status 422
// (go-openapi/errors).
const (
	codeType     = 601
	codeRequired = 602
	codePattern  = 605
	codeMinimum  = 609
	codeMaxItems = 611
	codeMinItems = 612
)

// statusClientClosedRequest is what Rekor answers, and logs, when the client
// has gone.
const statusClientClosedRequest = 499

// retryAfter is told to who meets a full pool, in seconds: batches take
// milliseconds, so a second later the pool is another one.
const retryAfter = "1"

// problem is an error with the answer that Rekor gives to it: the status and
// {"code":…,"message":…}.
type problem struct {
	status int
	// code is that in the body. It is the status, but for schema violations.
	code    int
	message string
	// bare leaves the body out: two kinds of 404 have none.
	bare bool
}

func (p *problem) Error() string { return p.message }

// refuse is a problem whose code is its status.
func refuse(status int, format string, args ...any) *problem {
	return &problem{status: status, code: status, message: writers.Clip(fmt.Sprintf(format, args...))}
}

// violation is a problem of a request that breaks the schema.
func violation(code int, format string, args ...any) *problem {
	return &problem{status: http.StatusUnprocessableEntity, code: code, message: writers.Clip(fmt.Sprintf(format, args...))}
}

// required is the violation of a missing parameter; in is "query" or "body".
func required(name, in string) *problem {
	return violation(codeRequired, "%s in %s is required", name, in)
}

// notLogged is answered for an entry that the log does not have. Rekor gives it
// no body.
func notLogged() *problem { return &problem{status: http.StatusNotFound, bare: true} }

// schemaError turns the error of a generated Validate function into the problem
// that Rekor's server makes of it: the first violation of many.
func schemaError(err error) *problem {
	var many interface{ Unwrap() []error }
	for errors.As(err, &many) {
		inner := many.Unwrap()
		if len(inner) == 0 {
			break
		}
		err, many = inner[0], nil
	}
	var coded interface {
		error
		Code() int32
	}
	if !errors.As(err, &coded) {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	const firstInner = 600 // codes from here on are no statuses
	if code := int(coded.Code()); code >= firstInner {
		return violation(code, "%s", coded.Error())
	}
	return refuse(int(coded.Code()), "%s", coded.Error())
}

// invalid is the problem of an entry that cannot be logged for what it is.
func invalid(err error) *problem {
	return refuse(http.StatusBadRequest, "error processing entry: %v", err)
}

// problemOf maps every error to its answer.
func problemOf(ctx context.Context, err error) *problem {
	var (
		known    *problem
		refused  *writers.Refused
		tooLarge *http.MaxBytesError
		wrong    *Invalid
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		if refused.RetryAfter > 0 {
			return refuse(http.StatusTooManyRequests, "%s", refused.Reason)
		}
		return refuse(http.StatusForbidden, "%s", refused.Reason)
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	case errors.As(err, &wrong):
		return invalid(wrong.err)
	case errors.Is(err, tlog.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the canonical entry is larger than %d bytes", tlog.MaxLeaf)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return refuse(http.StatusGatewayTimeout, "the request took too long; retry")
	case ctx.Err() != nil:
		return refuse(statusClientClosedRequest, "client disconnected during request")
	case errors.Is(err, writers.ErrBody):
		return refuse(http.StatusBadRequest, "%v", writers.ErrBody)
	case errors.Is(err, tlog.ErrFrozen):
		// What Rekor says whose log is read only.
		return refuse(http.StatusNotImplemented, "Create Entry API not enabled in this Rekor instance")
	case errors.Is(err, tlog.ErrPoolFull):
		return refuse(http.StatusServiceUnavailable, "too many entries are waiting to be logged; retry")
	case errors.Is(err, tlog.ErrNoLog):
		return refuse(http.StatusNotImplemented, "this server has no Rekor v1 log")
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		return refuse(http.StatusServiceUnavailable, "the transparency log is not available; retry")
	}
	return refuse(http.StatusInternalServerError, "unexpected result from transparency log")
}

// answerError answers a request that failed.
func (s *Service) answerError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	s.cfg.Logger.InfoContext(r.Context(), "log request failed", "status", p.status, "error", writers.Clip(err.Error()))
	h := w.Header()
	var refused *writers.Refused
	switch {
	case errors.As(err, &refused) && refused.RetryAfter > 0:
		h.Set("Retry-After", refused.Seconds())
	case p.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	if p.bare {
		h.Del("Content-Type")
		w.WriteHeader(p.status)
		return
	}
	body, err := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{p.code, p.message})
	if err != nil { // cannot be: a number and a string
		body = nil
	}
	writeJSON(w, p.status, body)
}
