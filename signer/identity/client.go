// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// maxRedirects within the issuer's host; GitLab behind a relative URL
	// needs one.
	maxRedirects = 3
	// maxHeaderBytes of an answer; the default would be a mebibyte.
	maxHeaderBytes = 64 << 10
	// idleTimeout outlives the refresh interval's fetch pair, no more.
	idleTimeout = 30 * time.Second
)

// newClient returns the client for one source: base's transport, or one of its
// own when base is nil or there is a file with the source's own CA.
func newClient(base *http.Client, timeout time.Duration, caFile string) (*http.Client, error) {
	client := &http.Client{}
	if base != nil {
		*client = *base
	}
	client.CheckRedirect, client.Timeout = sameHost, timeout
	if client.Transport != nil && caFile == "" {
		return client, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile) //nolint:gosec // the operator's configuration names it
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile %s holds no PEM certificate", caFile)
		}
	}
	dialer := &net.Dialer{Timeout: timeout, Control: controlAddress}
	client.Transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // the byte limit is then the wire's
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        idleTimeout,
	}
	return client, nil
}

// sameHost lets an issuer redirect within its own scheme and host only: a
// redirect is the answer's choice, and the answer must not choose whom we call.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return fmt.Errorf("%s redirects to another host, %s", first.Host, req.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("%s redirects more than %d times", first.Host, maxRedirects)
	}
	return nil
}

// controlAddress looks at the address that a name led to, just before
// connecting.
func controlAddress(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return allowedAddress(at.Addr())
}

// allowedAddress refuses addresses that no issuer has but a cloud's metadata
// service does. Private addresses are allowed: CI systems live there.
func allowedAddress(ip netip.Addr) error {
	ip = ip.Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip == metadataV6 {
		return fmt.Errorf("address %s is link-local or otherwise no issuer's", ip)
	}
	return nil
}

// metadataV6 is the metadata service of AWS, the one outside fe80::/10.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")
