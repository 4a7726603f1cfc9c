// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	userAgent = "hallmark"
	// dialTimeout and tlsTimeout leave room for a second try within the
	// default operation timeout.
	dialTimeout = 4 * time.Second
	tlsTimeout  = 4 * time.Second
	// idleConnections is how many warm connections a registry keeps: a sign
	// request uses up to three at a time.
	idleConnections = 32
	idleTimeout     = 90 * time.Second
	// maxHeaders bounds an answer's headers.
	maxHeaders = 64 << 10
	// maxRedirects of one blob download.
	maxRedirects = 3
	// maxDrained is how much of an unread body is read to keep its connection.
	maxDrained = 16 << 10
)

// NewTransport returns the transport a Client uses by default: TLS 1.2 or
// later, proxy from the environment, bounded waits and headers, no
// decompression behind our back.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
	}
}

// request is one request to a registry.
type request struct {
	method  string
	url     url.URL
	header  http.Header
	body    []byte
	blobGet bool   // may be redirected to the registry's blob hosts
	object  string // what it is about, for messages
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
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRejected, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	client := &http.Client{Transport: c.http, CheckRedirect: redirectPolicy(t.registry, r)}
	return client.Do(req)
}

// redirectPolicy lets reads be redirected within the registry's host, and blob
// downloads to its blob hosts. Only the registry's host keeps the
// Authorization header: net/http would also give it to subdomains.
func redirectPolicy(registry Registry, r request) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
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
