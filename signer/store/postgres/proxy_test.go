// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a database and its server, and can be told to lose what
// passes.
type proxy struct {
	listener net.Listener
	server   string
	request  atomic.Bool // lose the next thing that any client says
	answer   atomic.Bool // lose the next answer to COMMIT
	lost     atomic.Int64
}

// committed is the answer to COMMIT: the tag of CommandComplete.
var committed = []byte("COMMIT\x00")

func startProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	t.Cleanup(func() { _ = l.Close() }) // it is over
	return p
}

// before returns the URL of a database as seen through the proxy.
func (p *proxy) before(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	p.server = u.Host
	u.Host = p.listener.Addr().String()
	go p.serve()
	return u.String()
}

// loseRequest breaks the connection of who speaks next, and what it says is
// lost.
func (p *proxy) loseRequest() { p.request.Store(true) }

// loseAnswer breaks the connection of the next COMMIT when it is durable.
func (p *proxy) loseAnswer() { p.answer.Store(true) }

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server) //nolint:noctx // loopback
		if err != nil {
			_ = client.Close() // as if the server refused
			continue
		}
		both := sync.OnceFunc(func() { _, _ = client.Close(), server.Close() }) // broken is broken
		go pass(client, server, both, func([]byte) bool { return p.request.CompareAndSwap(true, false) && p.lost.Add(1) > 0 })
		go pass(server, client, both, func(b []byte) bool {
			return bytes.Contains(b, committed) && p.answer.CompareAndSwap(true, false) && p.lost.Add(1) > 0
		})
	}
}

// pass copies until the connection ends, or something is to be lost.
func pass(from, to net.Conn, end func(), lose func([]byte) bool) {
	defer end()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil || lose(b[:n]) {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
