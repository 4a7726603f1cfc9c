// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxAnswer bounds an answer of the service, bytes: a receipt holds one
	// bundle.
	maxAnswer = 64 << 20
	// callTimeout bounds a call: the service itself gives up after 30 s.
	callTimeout = 60 * time.Second
)

// client calls the service's own API.
type client struct {
	server   string // URL without a trailing slash
	http     *http.Client
	progress io.Writer // where uploads draw their progress, or nil
}

// newClient takes the server from the flag or HALLMARK_URL.
func newClient(env environment, flag string) (*client, error) {
	server := flag
	if server == "" {
		server = env.getenv("HALLMARK_URL")
	}
	if server == "" {
		return nil, usage("which service? (hint: --server URL or HALLMARK_URL)")
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, usage("server %q is not a URL like https://hallmark.corp.example", server)
	}
	if u.Scheme == "http" && !oci.IsLoopback(u.Hostname()) {
		return nil, usage("server %q: a token is sent over HTTPS, or to a loopback address", server)
	}
	return &client{server: strings.TrimRight(server, "/"), http: &http.Client{
		Timeout: callTimeout,
		// A token goes where it was meant to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// problem is the answer of the service to what it does not do (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
	Checks  []policy.Check `json:"checks"` // of evidence
	request string         // its id in the service's log
}

// requestIDHeader is where the service says under which id its log has a request.
const requestIDHeader = "X-Request-Id"

// Error implements error.
func (p problem) Error() string {
	return fmt.Sprintf("the service answers %d: %s", p.Status, p.words())
}

// FailureDetails is what -o json says besides the words.
func (p problem) FailureDetails() map[string]any {
	reasons := []string{}
	for _, e := range p.Errors {
		reasons = append(reasons, e.Message)
	}
	details := map[string]any{"type": p.Type, "status": p.Status, "detail": p.Detail, "reasons": reasons}
	if len(p.Checks) > 0 {
		details["checks"] = p.Checks
	}
	if p.request != "" {
		details["requestID"] = p.request
	}
	return details
}

// words says the problem to a person, one reason a line if there are several.
// A request that does not fit the API's schema has the untyped problem of the
// HTTP framework, whose detail alone says nothing.
func (p problem) words() string {
	var lines []string
	for _, e := range p.Errors {
		if p.Type == "" {
			lines = append(lines, e.Location+": "+e.Message)
		} else {
			lines = append(lines, e.Message)
		}
	}
	switch {
	case p.Type == "" && len(lines) > 0:
		return p.Detail + ":" + indented(lines)
	case len(p.Checks) > 0:
		return "refused:" + indented(lines) + "\nchecks:" + indented(checkLines(p.Checks, lines))
	case len(lines) > 1:
		return "refused:" + indented(lines)
	default:
		return p.Detail
	}
}

// call posts a request with the job's token and decodes the answer. A refusal
// is an answer of "no".
func (c *client) call(ctx context.Context, path, token string, payload []byte, into any) error {
	body, done := withProgress(bytes.NewReader(payload), int64(len(payload)), c.progress)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(payload))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	return c.do(req, into)
}

// do sends a request and decodes the answer.
func (c *client) do(req *http.Request, into any) error {
	resp, err := c.http.Do(req)
	if err != nil {
		return callError(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end or given up
	answer, err := readAnswer(resp.Body, maxAnswer)
	if err != nil {
		return fmt.Errorf("read the service's answer: %w (hint: it may have done what it was asked for: hallmark evidence IMAGE)", err)
	}
	if resp.StatusCode != http.StatusOK {
		return problemError(req.URL, resp.StatusCode, resp.Header, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}

// notThere adds to an error what to look at if nobody listens where it was asked.
func notThere(err error, what, setting string) error {
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "(hint: ") {
		return err
	}
	return fmt.Errorf("%w (hint: is %s running, and is %s right?)", err, what, setting)
}

// callError says what a person can look at if the service is not there.
func callError(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("call the signing service: %w (hint: is it running, and is HALLMARK_URL or --server right?)", err)
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return fmt.Errorf("call the signing service: %w (hint: is HALLMARK_URL or --server right?)", err)
	}
	return fmt.Errorf("call the signing service: %w", err)
}

// readAnswer reads a body of at most limit bytes.
func readAnswer(body io.Reader, limit int64) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(answer)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return answer, err
}

// problemError gives a problem its exit code: what the service refuses is
// "no", what it does not understand is wrong usage, the rest is undecided.
func problemError(asked *url.URL, status int, header http.Header, body []byte) error {
	var p problem
	if !strings.HasPrefix(header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(body, &p) != nil || p.Detail == "" {
		hint := ""
		if status < http.StatusInternalServerError { // above it may be a proxy in front
			hint = " (hint: is --server or HALLMARK_URL the service's origin, without a path?)"
		}
		return fmt.Errorf("%s answered %d %s%s", askedURL(asked), status, http.StatusText(status), hint)
	}
	p.Detail = withoutStatus(p.Detail)
	for i := range p.Errors {
		p.Errors[i].Message = withoutStatus(p.Errors[i].Message)
	}
	p.Status, p.request = status, header.Get(requestIDHeader)
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict:
		return no("%w", p)
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return usage("%w", p)
	default:
		return p
	}
}

// askedURL is a URL without what was asked for, for people.
func askedURL(u *url.URL) string {
	if u == nil {
		return "the service"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// withoutStatus leaves out what the status, or the exit code, says already.
func withoutStatus(said string) string {
	return strings.Replace(said, signer.ErrBadRequest.Error()+": ", "", 1)
}

// read gets a path of the service, at most limit bytes.
func (c *client) read(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, callError(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end or given up
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the service's answer: %w", err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("the service's answer to GET %s has more than %d bytes", path, limit)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, problemError(req.URL, resp.StatusCode, resp.Header, raw)
	}
	return raw, nil
}
