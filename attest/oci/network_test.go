// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestForbiddenAddresses(t *testing.T) {
	strict := Network{DenyPrivate: true, Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}}
	for text, want := range map[string][3]bool{ // default, strict, AllowLoopback
		"198.51.100.7":    {true, true, true},
		"2606:50c0::1":    {true, true, true},
		"203.0.113.9":     {true, false, true},
		"2001:db8:1::2":   {true, false, true},
		"10.1.2.3":        {true, false, true},
		"172.31.0.1":      {true, false, true},
		"192.168.0.1":     {true, false, true},
		"100.64.1.1":      {true, false, true},
		"fd12::1":         {true, false, true},
		"::ffff:10.1.2.3": {true, false, true},

		"127.0.0.1":        {false, false, true},
		"127.255.255.254":  {false, false, true},
		"::1":              {false, false, true},
		"::ffff:127.0.0.1": {false, false, true},

		// Never.
		"169.254.169.254":            {}, // AWS, Google, Azure, most others
		"169.254.170.2":              {}, // Amazon ECS
		"169.254.0.1":                {},
		"::ffff:169.254.169.254":     {},
		"::ffff:a9fe:a9fe":           {},
		"::169.254.169.254":          {}, // IPv4-compatible
		"64:ff9b::169.254.169.254":   {}, // NAT64
		"64:ff9b:1::169.254.169.254": {},
		"2002:a9fe:a9fe::1":          {}, // 6to4
		"2002:7f00:1::1":             {},
		"64:ff9b::127.0.0.1":         {},
		"fe80::1":                    {},
		"fe80::a9fe:a9fe%eth0":       {},
		"fd00:ec2::254":              {}, // AWS
		"fd00:ec2::23":               {}, // Amazon EKS
		"fd20:ce::254":               {}, // Google
		"168.63.129.16":              {}, // Azure
		"100.100.100.200":            {}, // Alibaba
		"192.0.0.192":                {}, // Oracle
		"0.0.0.0":                    {},
		"0.1.2.3":                    {},
		"::":                         {},
		"::ffff:0.0.0.0":             {},
		"255.255.255.255":            {},
		"224.0.0.1":                  {},
		"ff02::1":                    {},
		"64:ff9b::224.0.0.1":         {},
	} {
		ip := netip.MustParseAddr(text)
		for i, n := range []Network{{}, strict, {AllowLoopback: true}} {
			if why := n.forbids(ip, false); (why == "") != want[i] {
				t.Errorf("%s with %+v: %q", text, n, why)
			}
		}
		// That the configuration itself says localhost opens that and no more.
		if got := (Network{}).forbids(ip, true) == ""; got != want[2] {
			t.Errorf("%s named by the configuration: allowed %v", text, got)
		}
	}
	// NAT64 of an address that is allowed is allowed.
	if why := (Network{}).forbids(netip.MustParseAddr("64:ff9b::198.51.100.7"), false); why != "" {
		t.Error(why)
	}
}

// FuzzForbidden: however an IPv4 address is written in an IPv6 one, the answer
// is that of the address.
func FuzzForbidden(f *testing.F) {
	f.Add(byte(169), byte(254), byte(169), byte(254))
	f.Add(byte(10), byte(0), byte(0), byte(1))
	f.Fuzz(func(t *testing.T, a, b, c, d byte) {
		v4 := netip.AddrFrom4([4]byte{a, b, c, d})
		n := Network{DenyPrivate: true}
		want := n.forbids(v4, false) == ""
		for _, form := range []string{
			fmt.Sprintf("::ffff:%s", v4), fmt.Sprintf("64:ff9b::%s", v4), fmt.Sprintf("2002:%02x%02x:%02x%02x::1", a, b, c, d),
		} {
			if got := n.forbids(netip.MustParseAddr(form), false) == ""; got != want {
				t.Errorf("%s is allowed: %v, %s: %v", form, got, v4, want)
			}
		}
	})
}

// resolver answers every question for an address with the next of a list: DNS
// as an attacker's server gives it.
func resolver(t *testing.T, answers ...string) {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var asked atomic.Int64
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], answers, &asked); reply != nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// dnsReply answers an A question with one address, any other with none.
func dnsReply(q []byte, answers []string, asked *atomic.Int64) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	if end += 5; end > len(q) {
		return nil
	}
	reply := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if q[end-3] == 1 { // A
		n := min(int(asked.Add(1))-1, len(answers)-1)
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, netip.MustParseAddr(answers[n]).AsSlice()...)
	}
	return reply
}

// TestNameThatLeadsElsewhere: an allowed name whose address is a metadata
// service's or this machine's is refused, whichever answer of the name server
// that was (DNS rebinding).
func TestNameThatLeadsElsewhere(t *testing.T) {
	var visits atomic.Int64
	local := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	local.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	local.StartTLS()
	t.Cleanup(local.Close)
	_, port, err := net.SplitHostPort(local.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, answers := range map[string][]string{
		"metadata":         {"169.254.169.254"},
		"this machine":     {"127.0.0.1"},
		"rebound":          {"0.0.0.0", "127.0.0.1", "169.254.169.254"},
		"Azure's metadata": {"168.63.129.16"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver(t, answers...)
			c, err := New(Config{Registries: []Registry{{Host: "registry.example:" + port}}})
			if err != nil {
				t.Fatal(err)
			}
			for range len(answers) {
				_, err := c.Resolve(t.Context(), "registry.example:"+port+"/acme/app:1")
				if !errors.Is(err, ErrForeignRegistry) || !strings.Contains(err.Error(), "leads to") {
					t.Errorf("%v", err)
				}
			}
		})
	}
	if visits.Load() != 0 {
		t.Errorf("%d connections were served", visits.Load())
	}
	// The same connection is made where the configuration allows it: what is
	// missing then is the certificate.
	resolver(t, "127.0.0.1")
	c, err := New(Config{Registries: []Registry{{Host: "registry.example:" + port, Roots: nil}}, Network: Network{AllowLoopback: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), "registry.example:"+port+"/acme/app:1"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("allowed loopback: %v", err)
	}
}

// TestLiteralAddresses: a configuration that names a metadata address does not
// start.
func TestLiteralAddresses(t *testing.T) {
	for _, r := range []Registry{
		{Host: "169.254.169.254"}, {Host: "169.254.169.254:5000"}, {Host: "168.63.129.16"}, {Host: "0.0.0.0:5000"}, {Host: "224.0.0.1"},
		{Host: "registry.example", TokenHost: "169.254.169.254"}, {Host: "registry.example", BlobHosts: []string{"s3.example", "169.254.170.2"}},
	} {
		if _, err := New(Config{Registries: []Registry{r}}); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	if _, err := New(Config{Registries: []Registry{{Host: "10.1.2.3:5000"}}, Network: Network{DenyPrivate: true}}); err == nil {
		t.Error("a private address is accepted although those are denied")
	}
	for name, cfg := range map[string]Config{
		"host bits":         {Registries: []Registry{{Host: "registry.example"}}, Network: Network{Deny: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}},
		"no prefix":         {Registries: []Registry{{Host: "registry.example"}}, Network: Network{Deny: []netip.Prefix{{}}}},
		"proxy is no URL":   {Registries: []Registry{{Host: "registry.example", Proxy: &url.URL{Path: "proxy:3128"}}}},
		"proxy with a path": {Registries: []Registry{{Host: "registry.example", Proxy: &url.URL{Scheme: "http", Host: "proxy:3128", Path: "/x"}}}},
		"socks":             {Registries: []Registry{{Host: "registry.example", Proxy: &url.URL{Scheme: "socks5", Host: "proxy:3128"}}}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestProxy: the environment does not say where requests go, the configuration
// does.
func TestProxy(t *testing.T) {
	var visits atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if r.Method != http.MethodConnect || r.Host != "registry.example:443" {
			t.Errorf("proxy is asked for %s %s", r.Method, r.Host)
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	resolver(t, "0.0.0.0")
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		proxy *url.URL
		want  int64
	}{{nil, 0}, {u, 1}} {
		visits.Store(0)
		c, err := New(Config{Registries: []Registry{{Host: "registry.example", Proxy: tc.proxy}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Resolve(t.Context(), "registry.example/acme/app:1"); err == nil || visits.Load() != tc.want {
			t.Errorf("proxy %v: %d visits, %v", tc.proxy, visits.Load(), err)
		}
	}
}

// TestTransportIsOfOneRegistry: whoever borrows a registry's transport reaches
// its hosts and no others.
func TestTransportIsOfOneRegistry(t *testing.T) {
	var visits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(s.Close)
	transport := NewTransport(Network{}, Registry{Host: "registry.example"})
	for _, u := range []string{s.URL, "http://registry.example/", "https://registry.example:444/", "https://evil.example/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader("secret"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close() // the test has failed
		}
		if !errors.Is(err, ErrForeignRegistry) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if visits.Load() != 0 {
		t.Error("another host was visited")
	}
}
