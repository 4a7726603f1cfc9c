// SPDX-License-Identifier: Apache-2.0

// Package oci is the only registry client of Hallmark.
//
// A registry stores blobs, which are bytes named by their digest, and
// manifests, small JSON documents that name blobs (an image, a chart) or other
// manifests (an index). A manifest is asked for by digest or by tag, which is a
// name that may point elsewhere tomorrow. A manifest with a `subject` is a
// referrer: it says something about another manifest. Signatures and
// attestations are referrers whose only layer is a Sigstore bundle. Registries
// list the referrers of a digest through the referrers API of OCI 1.1; for
// those that cannot, clients keep the list themselves, in an index under the
// tag sha256-<hex>, the fallback tag.
//
// The package does three things: Resolve turns a reference into a digest whose
// bytes it has hashed itself, AttachBundle writes a bundle and reads it back,
// Bundles finds all bundles of a digest. It trusts a registry with nothing:
//
//   - Hosts that are not configured are refused before a connection is made,
//     wherever the name comes from: a reference, a redirect, an upload
//     location, a token realm, a next page.
//   - Names are not believed either: the address is looked at when it is
//     connected to, and no registry is at a cloud's metadata service.
//   - Every byte that is returned was hashed and compared; nothing is taken
//     from a header that the bytes do not confirm.
//   - Everything read is bounded, and above a bound is an error, never a cut.
//   - Credentials go to the registry's host and its token service only.
//
// What a bundle proves is not this package's business.
package oci

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sync/semaphore"
)

const (
	// defaultTimeout bounds one operation. Resolve is one or two round trips,
	// AttachBundle about five; ten seconds is a registry in trouble.
	defaultTimeout = 10 * time.Second
	// maxRegistries bounds the allow-list.
	maxRegistries = 256
)

// Config configures a Client.
type Config struct {
	// Registries is the allow-list; references to other hosts are refused
	// with ErrForeignRegistry. At least one.
	Registries []Registry
	// Keychain finds credentials by repository and host. nil: anonymous.
	Keychain authn.Keychain
	// Network says which addresses may be connected to.
	Network Network
	// Members makes Resolve read what an index lists, too, and refuse the
	// index unless all of it is in the repository, is what the index says and
	// could be resolved by itself. For whoever vouches for the whole of it.
	Members bool
	// Turn, if there is one, waits until nobody who shares it holds the turn of
	// that name, at most as long as ctx lives. Lists of referrers that clients
	// keep are written in turn; writers in other processes share one if it is
	// kept where all of them look, such as a database.
	Turn func(ctx context.Context, name string) (release func(), err error)
	// Timeout bounds each operation as a whole. 0: ten seconds.
	Timeout time.Duration
	// BundleBytes bounds the bundles of one subject together, which Bundles
	// holds in memory together. More is ErrTooLarge, before any is read.
	// 0: 128 MiB.
	BundleBytes int64
	// Logger gets what an operator may want to know but no caller can act on.
	// nil: nothing is logged.
	Logger *slog.Logger
}

// Registry is one allowed registry.
type Registry struct {
	// Host is host or host:port, as references spell it: lower case, without
	// the default port.
	Host string
	// Insecure speaks plain HTTP. Only loopback hosts may.
	Insecure bool
	// TokenHost is the host[:port] of the registry's token service if it is
	// not Host itself. It gets the registry's credentials.
	TokenHost string
	// BlobHosts are host[:port] of storage that the registry redirects blob
	// downloads to. They get no credentials.
	BlobHosts []string
	// Roots are the certificates that Host and TokenHost must have theirs
	// from, in place of the system's. Of BlobHosts either will do.
	Roots []*x509.Certificate
	// Proxy is what the registry is reached through, the only thing that is
	// then connected to: addresses behind it are the proxy's to check. nil: no
	// proxy, unless ProxyFromEnvironment lets HTTPS_PROXY and its kin say so.
	Proxy                *url.URL
	ProxyFromEnvironment bool
}

// Client reads from and writes to the configured registries. It is safe for
// concurrent use; make one and share it, since it keeps connections and
// tokens.
type Client struct {
	registries map[string]Registry
	transports map[string]http.RoundTripper // by the registry's host
	timeout    time.Duration
	maxBundles int64 // bytes, of one subject
	members    bool
	turn       func(ctx context.Context, name string) (release func(), err error)
	log        *slog.Logger
	tokens     *tokens
	subjects   *keyedLocks
	memory     *semaphore.Weighted // for manifests that are being read
	whole      *facts              // indexes whose members were all read
	shortcuts  *facts              // what repositories and hosts were seen to have or do
	roomy      *facts              // subjects that have plenty of room, see room.go
}

// New checks the configuration. It makes no connection.
func New(cfg Config) (*Client, error) {
	c := &Client{
		registries: make(map[string]Registry),
		transports: make(map[string]http.RoundTripper),
		timeout:    cfg.Timeout,
		maxBundles: cfg.BundleBytes,
		members:    cfg.Members,
		turn:       cfg.Turn,
		log:        cfg.Logger,
		subjects:   newKeyedLocks(),
		memory:     newMemory(),
		whole:      newFacts(wholeLife),
		shortcuts:  newFacts(shortcutLife),
		roomy:      newFacts(roomLife),
	}
	if err := cfg.Network.Check(); err != nil {
		return nil, fmt.Errorf("registry network: %w", err)
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.timeout < 0 {
		return nil, fmt.Errorf("registry timeout %s is negative", cfg.Timeout)
	}
	if c.maxBundles == 0 {
		c.maxBundles = maxAllBundles
	}
	if c.maxBundles < 0 {
		return nil, fmt.Errorf("limit of %d bytes of bundles is negative", cfg.BundleBytes)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if n := len(cfg.Registries); n == 0 || n > maxRegistries {
		return nil, fmt.Errorf("%d registries are configured, not 1 to %d (hint: name the central registry's host)", n, maxRegistries)
	}
	for _, r := range cfg.Registries {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("registry %q: %w", r.Host, err)
		}
		if _, dup := c.registries[r.Host]; dup {
			return nil, fmt.Errorf("registry %q is configured twice", r.Host)
		}
		if why := cfg.Network.forbidsLiteral(r.hosts()); why != "" {
			return nil, fmt.Errorf("registry %q: %s", r.Host, why)
		}
		c.registries[r.Host] = r
		c.transports[r.Host] = NewTransport(cfg.Network, r)
	}
	c.tokens = newTokens(c.transports, cfg.Keychain)
	return c, nil
}

func (r Registry) check() error {
	if err := checkHost(r.Host); err != nil {
		return err
	}
	if r.Insecure && !IsLoopback(r.Host) {
		return errors.New("plain HTTP is for loopback only (hint: give the registry a certificate)")
	}
	for _, host := range r.hosts()[1:] {
		if err := checkHost(host); err != nil {
			return err
		}
		if r.Insecure && !IsLoopback(host) {
			return fmt.Errorf("host %q: a registry with plain HTTP may name loopback hosts only", host)
		}
	}
	return checkProxy(r.Proxy)
}

// hosts are all hosts of a registry, its own first.
func (r Registry) hosts() []string {
	hosts := []string{r.Host}
	if r.TokenHost != "" {
		hosts = append(hosts, r.TokenHost)
	}
	return append(hosts, r.BlobHosts...)
}

func (r Registry) scheme() string {
	if r.Insecure {
		return "http"
	}
	return "https"
}

// IsLoopback tells whether a host or host:port is this machine, where nobody
// sits on the wire: localhost, or a loopback address. Names are not looked up.
func IsLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}

// registry looks a host up in the allow-list.
func (c *Client) registry(host string) (Registry, error) {
	r, ok := c.registries[host]
	if !ok {
		return Registry{}, fmt.Errorf("%w: %q (hint: only artifacts in the configured registries can be used: %s)", ErrForeignRegistry, host, strings.Join(slices.Sorted(maps.Keys(c.registries)), ", "))
	}
	return r, nil
}

// operation starts the clock of one operation.
func (c *Client) operation(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}
