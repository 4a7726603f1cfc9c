// SPDX-License-Identifier: Apache-2.0

package obs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RequestIDHeader carries the request's id in every response.
const RequestIDHeader = "X-Request-Id"

// unmatched stands for the route of a request that no pattern matched.
const unmatched = "unmatched"

// Requests wraps handlers so that each request is logged and counted once.
type Requests struct {
	logger  *slog.Logger
	metrics requestMetrics
}

// NewRequests registers the request metrics with r. It fails if r has them
// already: one Requests serves all handlers of a process.
func NewRequests(logger *slog.Logger, r prometheus.Registerer) (*Requests, error) {
	m, err := newRequestMetrics(r)
	if err != nil {
		return nil, fmt.Errorf("register request metrics: %w", err)
	}
	return &Requests{logger: logger, metrics: m}, nil
}

// Wrap gives every request an id, answers 500 with that id if next panics, and
// logs and counts the request when it is over. To know the route, next must be
// an http.ServeMux, or pass the request to one unchanged.
func (rs *Requests) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		e := &event{id: newRequestID()}
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, e))
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set(RequestIDHeader, e.id)
		rs.metrics.inFlight.Inc()

		aborted := serve(rec, r, next, e)

		rs.metrics.inFlight.Dec()
		rs.finish(r, rec, e, time.Since(start))
		if aborted {
			// net/http must see it, to close the connection.
			panic(http.ErrAbortHandler)
		}
	})
}

// serve runs next and turns a panic into a bare 500. It reports whether the
// response cannot be completed, so that the connection has to be cut: either
// the handler asked for it, or the panic came after the first byte, and an
// answer that ends normally would look whole.
func serve(rec *recorder, r *http.Request, next http.Handler, e *event) (aborted bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			e.attrs = append(e.attrs, slog.Bool("aborted", true))
			aborted = true
			return
		}
		e.attrs = append(e.attrs, slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
		aborted = rec.status != 0
		if !aborted {
			internalError(rec, e.id)
		}
	}()
	next.ServeHTTP(rec, r)
	return false
}

// internalError is a problem+json (RFC 9457) that says nothing but the id: what
// went wrong is in the log, and not for strangers.
func internalError(w http.ResponseWriter, id string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusInternalServerError)
	// The id is letters and digits. A client that is gone needs no answer.
	_, _ = fmt.Fprintf(w, `{"title":"Internal Server Error","status":500,"instance":"urn:hallmark:request:%s"}`+"\n", id)
}

func (rs *Requests) finish(r *http.Request, rec *recorder, e *event, took time.Duration) {
	status := rec.status
	if status == 0 {
		status = http.StatusOK // net/http sends that for a handler that wrote nothing
	}
	route := r.Pattern
	if route == "" {
		route = unmatched
	}
	rs.metrics.observe(r.Method, route, status, took)

	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := append([]slog.Attr{
		slog.String("request", e.id),
		slog.String("method", knownMethod(r.Method)),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Duration("duration", took),
		slog.Int64("bytes", rec.bytes),
	}, e.attrs...)
	rs.logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// eventKey is the context key of the request's event.
type eventKey struct{}

// event is what is known of a request besides HTTP.
type event struct {
	id    string
	attrs []slog.Attr // how it broke off, if it did
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if e, ok := ctx.Value(eventKey{}).(*event); ok {
		return e.id
	}
	return ""
}

// newRequestID returns 26 letters and digits with 128 bits of randomness. Ids
// that clients send are not taken over: they would let one client's requests
// pass for another's in the log.
func newRequestID() string { return rand.Text() }

// recorder notes status and size on the way to the client.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
}

// WriteHeader notes the first final status; 1xx responses are only announcements.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(b)
	rec.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach deadlines and flushing.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
