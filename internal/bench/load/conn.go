// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds an answer that is read, bytes: what an entry, its proof
	// and a checkpoint never need.
	maxAnswer = 1 << 20
	// answerTimeout ends a request that nobody answers. No server needs this
	// long; it keeps a measurement from hanging.
	answerTimeout = 30 * time.Second
)

// ErrCut says that a connection ended before there was a complete answer:
// nobody knows whether the request was carried out.
var ErrCut = errors.New("connection cut")

// Conn is one keep-alive connection to a server, made when it is needed. It is
// for one goroutine at a time.
type Conn struct {
	addr   string // host:port
	conn   net.Conn
	reader *bufio.Reader
	out    []byte
	body   []byte
}

// NewConn returns a connection to the server at an http:// URL without a path.
func NewConn(url string) *Conn { return &Conn{addr: strings.TrimPrefix(url, "http://")} }

// Close closes the connection. The next request opens another.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is under way
		c.conn = nil
	}
}

// Post sends a request and returns the answer's status and body, which is
// valid until the next call. ErrCut if there was no complete answer.
func (c *Conn) Post(ctx context.Context, r *Request) (status int, body []byte, err error) {
	return c.do(ctx, "POST", r.Kind.path(), r.Body)
}

// Do is Post of any JSON to any path, or a GET if body is nil.
func (c *Conn) Do(ctx context.Context, path string, body []byte) (status int, answer []byte, err error) {
	method := "GET"
	if body != nil {
		method = "POST"
	}
	return c.do(ctx, method, path, body)
}

func (c *Conn) do(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	status, answer, err := c.exchange(ctx, method, path, body)
	if err != nil {
		c.Close()
		return 0, nil, fmt.Errorf("%w: %w", ErrCut, err)
	}
	return status, answer, nil
}

func (c *Conn) exchange(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	if err := c.open(ctx); err != nil {
		return 0, nil, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, nil, err
	}
	c.out = append(c.out[:0], method+" "+path+" HTTP/1.1\r\nHost: "+c.addr+"\r\n"...)
	if body != nil {
		c.out = append(c.out, "Content-Type: application/json\r\nContent-Length: "...)
		c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n"...)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	return c.read()
}

func (c *Conn) open(ctx context.Context) (err error) {
	if c.conn != nil {
		return nil
	}
	c.conn, err = (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "tcp", c.addr)
	if err == nil {
		c.reader = bufio.NewReaderSize(c.conn, 16<<10)
	}
	return err
}

// read reads one answer. Hallmark answers with a length or in chunks, and
// closes connections seldom.
func (c *Conn) read() (status int, body []byte, err error) {
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		return 0, nil, fmt.Errorf("bad status line %q", line)
	}
	length, chunked, last := 0, false, false
	for {
		if line, err = c.line(); err != nil {
			return 0, nil, err
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(value); err != nil {
				return 0, nil, err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = value == "chunked"
		case strings.EqualFold(name, "Connection"):
			last = strings.EqualFold(value, "close")
		}
	}
	c.body = c.body[:0]
	if chunked {
		err = c.chunks()
	} else {
		err = c.take(length)
	}
	if err == nil && last {
		c.Close()
	}
	return status, c.body, err
}

func (c *Conn) line() (string, error) {
	line, err := c.reader.ReadSlice('\n')
	return string(bytes.TrimRight(line, "\r\n")), err
}

// chunks reads a body in chunks.
func (c *Conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(line, 16, 32)
		if err != nil {
			return fmt.Errorf("bad chunk length %q", line)
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if _, err := c.line(); err != nil || n == 0 {
			return err
		}
	}
}

// take appends the next n bytes to the body.
func (c *Conn) take(n int) error {
	at := len(c.body)
	if n < 0 || at+n > maxAnswer {
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	for cap(c.body) < at+n {
		c.body = append(c.body[:cap(c.body)], 0)
	}
	c.body = c.body[:at+n]
	_, err := io.ReadFull(c.reader, c.body[at:])
	return err
}
