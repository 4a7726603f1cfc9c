// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	userAgent = "hallmark"
	// maxRedirects of one blob download.
	maxRedirects = 3
	// maxDrained is how much of an unread body is read to keep its connection.
	maxDrained = 16 << 10
)

// request is one request to a registry.
type request struct {
	method  string
	url     url.URL
	header  http.Header
	body    []byte
	content content // in place of body
	blobGet bool    // may be redirected to the registry's blob hosts
	stay    bool    // a redirect is the answer
	object  string  // what it is about, for messages
}

// send makes the request with the Authorization the target needs. If the
// registry is not content with it, the challenge is met and the request made
// once more. The caller closes the answer's body.
func (c *Client) send(ctx context.Context, t target, r request) (*http.Response, error) {
	if r.url.Scheme != t.registry.scheme() || r.url.Host != t.registry.Host {
		return nil, fmt.Errorf("%s: %w: %s", r.object, ErrForeignRegistry, quote(r.url.Host))
	}
	for attempt := 0; ; attempt++ {
		auth, err := c.tokens.header(ctx, t)
		if err != nil {
			return nil, netError(r.object, err)
		}
		resp, err := c.once(ctx, t, r, auth)
		if err != nil {
			return nil, netError(r.object, err)
		}
		ch, ok := pickChallenge(resp.Header.Values("WWW-Authenticate"))
		if resp.StatusCode != http.StatusUnauthorized || attempt > 0 || !ok {
			return resp, nil
		}
		closeBody(resp)
		c.tokens.refused(t, auth, ch)
	}
}

func (c *Client) once(ctx context.Context, t target, r request, auth string) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	if r.content.from != nil {
		body = r.content.reader()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRejected, err)
	}
	if r.content.from != nil {
		req.ContentLength = r.content.size
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.content.reader()), nil }
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	client := &http.Client{Transport: c.transports[t.registry.Host], CheckRedirect: redirectPolicy(t.registry, r)}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return resp, plain(resp)
}

// plain refuses a compressed answer: nobody asked for one, and what it unpacks
// to is not what was hashed and measured.
func plain(resp *http.Response) error {
	encoding := resp.Header.Get("Content-Encoding")
	if encoding == "" || strings.EqualFold(encoding, "identity") {
		return nil
	}
	_ = resp.Body.Close() // not worth reading
	return fmt.Errorf("%w: the answer is encoded as %s, which nobody asked for", ErrRejected, quote(encoding))
}

// redirectPolicy lets reads be redirected within the registry's host, and blob
// downloads to its blob hosts. Only the registry's host keeps the
// Authorization header: net/http would also give it to subdomains.
func redirectPolicy(registry Registry, r request) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if r.stay {
			return http.ErrUseLastResponse
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("%w: more than %d redirects", ErrRejected, maxRedirects)
		}
		next.Header.Del("Referer")
		read := r.method == http.MethodGet || r.method == http.MethodHead
		sameScheme := next.URL.Scheme == registry.scheme() && next.URL.User == nil
		switch {
		case read && sameScheme && next.URL.Host == registry.Host && via[len(via)-1].URL.Host == registry.Host:
			return nil
		case r.blobGet && sameScheme && slices.Contains(registry.BlobHosts, next.URL.Host):
			next.Header.Del("Authorization")
			return nil
		}
		return fmt.Errorf("%w: %s redirects to %s (hint: if that is its storage, configure it as a blob host)",
			ErrForeignRegistry, registry.Host, quote(next.URL.Scheme+"://"+next.URL.Host))
	}
}

// readAll reads at most limit bytes; one more is ErrTooLarge.
func readAll(object string, body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, netError(object, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", object, ErrTooLarge, limit)
	}
	return b, nil
}

// closeBody drains a little, so that the connection can be used again.
func closeBody(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	_ = resp.Body.Close()
}
