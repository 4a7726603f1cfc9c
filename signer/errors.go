// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-dev/hallmark/policy"
)

// Unauthenticated says that a token does not prove a CI run this service
// accepts. Reason is one word for machines; Detail is for people and never
// contains the token. Issuer and Subject are what the token claims, if it
// could be read: unverified, for the audit record.
type Unauthenticated struct {
	Reason  string
	Detail  string
	Issuer  string
	Subject string
}

// Error implements error.
func (e *Unauthenticated) Error() string {
	return fmt.Sprintf("token refused (%s): %s", e.Reason, e.Detail)
}

// Refused says that an authenticated run may not have what it asked for.
type Refused struct {
	// Stage is the step of the flow that refused.
	Stage   string
	Reasons []string
	// Checks are what was found of the evidence that policy requires, passed
	// or failed.
	Checks []policy.Check
}

// Error implements error.
func (e *Refused) Error() string {
	return "refused: " + strings.Join(e.Reasons, "; ")
}

// ErrBadRequest says that a request is malformed; its message says what to
// change.
var ErrBadRequest = errors.New("bad request")

// ErrBusy says that the service has as much work as it can hold; the same
// request may be repeated after a second.
var ErrBusy = errors.New("the service is busy")

// ErrNoLog says that the transparency log cannot be written now. Nothing that
// is not logged is handed out; the same request goes on where this one stopped.
var ErrNoLog = errors.New("the transparency log is not available")

// ErrTooManyRefusals says that a request is refused like too many others before
// it: without a valid token. Its refusal is counted and not recorded.
var ErrTooManyRefusals = errors.New("too many requests without a valid token")

// ErrNoKeys says that the keys of a token's issuer could not be had, so that
// nobody can tell whether the token is good.
var ErrNoKeys = errors.New("the token's issuer does not answer")
