// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Errors to be matched with errors.Is. The message names the object, the
// reason and, where a person can do something, a hint. Text that comes from
// outside is quoted and cut.
var (
	// ErrForeignRegistry: the host is not allowed. No connection was made to
	// it.
	ErrForeignRegistry = errors.New("registry is not allowed")
	// ErrBadReference: not a reference, or not in canonical form.
	ErrBadReference = errors.New("unusable image reference")
	// ErrNotFound: the registry answered, and it does not have it.
	ErrNotFound = errors.New("not found")
	// ErrDigestMismatch: bytes do not have the digest or size they were asked
	// for by. The registry, or something on the way to it, is broken or lying.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrBadManifest: a manifest that could be read in two ways, or of a kind
	// that is not supported.
	ErrBadManifest = errors.New("unusable manifest")
	// ErrUnavailable: no answer: network, timeout, cancellation, 5xx or 429.
	// Trying again may help.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrDenied: the registry does not accept the credentials, or they do not
	// allow this.
	ErrDenied = errors.New("registry denies access")
	// ErrRejected: the registry refuses the request as such (other 4xx), or
	// answers against the protocol.
	ErrRejected = errors.New("registry refuses the request")
	// ErrTooMany: above a count limit, which the message names.
	ErrTooMany = errors.New("too many")
	// ErrTooLarge: above a size limit, which the message names.
	ErrTooLarge = errors.New("too large")
)

// maxErrorBody is how much of an error answer is read.
const maxErrorBody = 4 << 10

// netError turns a transport's error into ours. The URL in a *url.Error is
// dropped: it may hold upload state or a token request.
func netError(object string, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	for _, own := range []error{ErrForeignRegistry, ErrDenied, ErrRejected, ErrTooLarge, ErrUnavailable} {
		if errors.Is(err, own) {
			return fmt.Errorf("%s: %w", object, err)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: no answer in time: %w", object, ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w: %w", object, ErrUnavailable, err)
	}
}

// statusError turns an answer that is not a success into an error.
func statusError(object string, resp *http.Response) error {
	kind := ErrRejected
	hint := ""
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		kind = ErrNotFound
	case isDenied(code):
		kind = ErrDenied
		hint = " (hint: check the registry credentials of this service and what they may do there)"
	case code == http.StatusRequestEntityTooLarge:
		kind = ErrTooLarge
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		kind = ErrUnavailable
	}
	return fmt.Errorf("%s: %w: %s%s%s", object, kind, strconv.Itoa(resp.StatusCode), errorDetail(resp.Body), hint)
}

func isDenied(code int) bool { return code == http.StatusUnauthorized || code == http.StatusForbidden }

// errorDetail reads the registry's own reason: {"errors":[{"code","message"}]}.
func errorDetail(body io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err != nil {
		return ""
	}
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(b, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	first := answer.Errors[0]
	return " " + quote(strings.TrimSpace(first.Code+" "+first.Message))
}

// maxQuoted bounds how much of a stranger's text gets into a message.
const maxQuoted = 120

// quote makes foreign text safe for one line of a log.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}
