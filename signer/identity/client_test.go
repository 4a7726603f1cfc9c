// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAllowedAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "192.168.0.1": true, "140.82.112.3": true, "::1": true, "fd12::1": true, "2606:50c0::1": true,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "fe80::1": false, "fd00:ec2::254": false,
		"0.0.0.0": false, "::ffff:0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false,
	} {
		if err := allowedAddress(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %t", text, err, want)
		}
	}
}

// TestDialerAsks: the check is wired into the client, after name resolution.
func TestDialerAsks(t *testing.T) {
	client, err := newClient(nil, time.Second, "")
	if err != nil {
		t.Fatal(err)
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("transport is a %T", client.Transport)
	}
	if _, err := transport.DialContext(context.Background(), "tcp", "169.254.169.254:80"); err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("dialled a metadata address: %v", err)
	}
}

// TestGivenClient: a client from outside keeps its transport and loses its
// redirect policy.
func TestGivenClient(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	base := &http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {other.URL}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
	}
	client, err := newClient(base, time.Second, "")
	if err != nil {
		t.Fatal(err)
	}
	f := &fetcher{source: Source{Issuer: "https://ci.example"}, client: client}
	if _, err := f.keys(context.Background()); err == nil || !strings.Contains(err.Error(), "redirects to another host") {
		t.Errorf("error %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
