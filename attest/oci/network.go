// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
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
	// maxDeny bounds the ranges of a Network.
	maxDeny = 256
)

// Network says which addresses a registry's name may lead to. The address that
// is looked at is the one that is connected to, after the name was resolved and
// just before the connection is made, so a name that leads elsewhere the second
// time (DNS rebinding) gains nothing.
//
// Never connected to, whatever is configured: link-local addresses, where
// clouds keep their metadata services, the metadata addresses outside those,
// unspecified and multicast addresses, and addresses that hide another one
// (NAT64, 6to4) if that one is not allowed. The zero value allows public and
// private addresses; registries usually have private ones.
type Network struct {
	// DenyPrivate refuses RFC 1918, RFC 4193 and RFC 6598 addresses.
	DenyPrivate bool
	// AllowLoopback lets a name lead to this machine, for example to a proxy
	// beside the service. A host that is configured as localhost or as a
	// loopback address may always be connected to.
	AllowLoopback bool
	// Deny are further ranges that are never connected to, for example a
	// cluster's own.
	Deny []netip.Prefix
}

// Check tells whether the ranges are usable.
func (n Network) Check() error {
	if len(n.Deny) > maxDeny {
		return fmt.Errorf("%d denied ranges, the limit is %d", len(n.Deny), maxDeny)
	}
	for _, p := range n.Deny {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("denied range %s is not a network (hint: %s)", p, p.Masked())
		}
	}
	return nil
}

// metadata are the addresses at which clouds hand out credentials to whoever
// asks from inside, as far as they are not link-local: AWS (IPv6), Google
// (IPv6), Azure's host, Alibaba, Oracle.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
}

var (
	// sharedSpace is RFC 6598, private in all but name.
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
	// limitedBroadcast reaches whoever listens.
	limitedBroadcast = netip.MustParseAddr("255.255.255.255")
	// thisNetwork is 0.0.0.0/8, which some systems take for themselves.
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
)

// embedding are IPv6 ranges whose addresses stand for an IPv4 address, and the
// byte at which that one begins.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 in local use, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible, RFC 4291
}

// forbids says why an address is not connected to, "" if it may be. named says
// that the configuration itself calls the host a loopback one.
func (n Network) forbids(ip netip.Addr, named bool) string {
	ip = ip.Unmap().WithZone("")
	contains := func(p netip.Prefix) bool { return p.Contains(ip) }
	switch {
	case ip.IsUnspecified() || thisNetwork.Contains(ip) || ip == limitedBroadcast:
		return "no host's address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address, where clouds keep their metadata services"
	case slices.ContainsFunc(metadata, contains):
		return "a cloud's metadata address"
	case slices.ContainsFunc(n.Deny, contains):
		return "in a denied range"
	case ip.IsLoopback():
		if named || n.AllowLoopback {
			return ""
		}
		return "this machine"
	case n.DenyPrivate && (ip.IsPrivate() || sharedSpace.Contains(ip)):
		return "a private address"
	}
	for _, e := range embedding {
		if e.prefix.Contains(ip) {
			b := ip.As16()
			n.AllowLoopback = false // nobody translates to this machine
			if why := n.forbids(netip.AddrFrom4([4]byte(b[e.at:e.at+4])), false); why != "" {
				return "another form of " + why
			}
		}
	}
	return ""
}

// forbidsLiteral says what is wrong with hosts that are addresses: those can be
// told before anybody connects.
func (n Network) forbidsLiteral(hosts []string) string {
	for _, host := range hosts {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			if why := n.forbids(ip, true); why != "" {
				return fmt.Sprintf("%s is %s", ip, why)
			}
		}
	}
	return ""
}

// dial connects to host:port if the address it leads to is allowed.
func (n Network) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	named := IsLoopback(hostport)
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrForeignRegistry, err)
		}
		if why := n.forbids(at.Addr(), named); why != "" {
			return fmt.Errorf("%w: %s leads to %s, %s (hint: look at what the name resolves to)", ErrForeignRegistry, hostport, at.Addr(), why)
		}
		return nil
	}}
	return dialer.DialContext(ctx, network, hostport)
}

// NewTransport returns the transport a Client uses for a registry: TLS 1.2 or
// later, no proxy but the registry's own, addresses checked by n, bounded waits
// and headers, no decompression behind our back. Requests to another host than
// the registry's, its token service's or its storage's fail.
func NewTransport(n Network, r Registry) http.RoundTripper {
	main := n.transport(r, nil)
	if len(r.Roots) == 0 {
		return limited{registry: r, main: main, storage: main}
	}
	own := x509.NewCertPool()
	// Storage is often a cloud's, under the certificates that everybody trusts.
	both, err := x509.SystemCertPool()
	if err != nil {
		both = x509.NewCertPool()
	}
	for _, root := range r.Roots {
		own.AddCert(root)
		both.AddCert(root)
	}
	main.TLSClientConfig.RootCAs = own
	return limited{registry: r, main: main, storage: n.transport(r, both)}
}

func (n Network) transport(r Registry, roots *x509.CertPool) *http.Transport {
	t := &http.Transport{
		DialContext:            n.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
	}
	switch {
	case r.Proxy != nil:
		t.Proxy = http.ProxyURL(r.Proxy)
	case r.ProxyFromEnvironment:
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// limited carries requests to the hosts of one registry only: the last of
// several checks, for requests that others make with it.
type limited struct {
	registry      Registry
	main, storage *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	switch {
	case req.URL.Scheme != l.registry.scheme():
	case host == l.registry.Host || (l.registry.TokenHost != "" && host == l.registry.TokenHost):
		return l.main.RoundTrip(req)
	case slices.Contains(l.registry.BlobHosts, host):
		return l.storage.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close() // RoundTrip must, and nobody reads it
	}
	return nil, fmt.Errorf("%w: %s", ErrForeignRegistry, quote(req.URL.Scheme+"://"+host))
}

// checkProxy accepts a proxy that is spoken to in HTTP or HTTPS.
func checkProxy(u *url.URL) error {
	if u == nil {
		return nil
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return errors.New("proxy is not a URL of the form http://host:port")
	}
	return nil
}
