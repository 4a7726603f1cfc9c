// SPDX-License-Identifier: Apache-2.0

package api

import (
	"io"
	"net/http"
	"time"
)

// leastRate is how fast documents have to come, bytes a second, after the first
// Config.BodyTimeout.
const leastRate = 256 << 10

// paced gives a body as much time as it needs at the least rate.
type paced struct {
	r       io.Reader
	control *http.ResponseController
	begun   time.Time
	grace   time.Duration // before the rate counts
	read    int64
	set     int64 // read, when the deadline was set
	last    []byte
}

// maxLast is how much of the end of a body is remembered: a boundary has at most
// 70 bytes (RFC 2046).
const maxLast = 128

// Read implements io.Reader.
func (p *paced) Read(b []byte) (int, error) {
	if p.read == 0 || p.read-p.set >= leastRate {
		p.set = p.read
		at := p.begun.Add(p.grace + time.Duration(p.read/leastRate)*time.Second)
		_ = p.control.SetReadDeadline(at) // only recorders of tests have none
		_ = p.control.SetWriteDeadline(at.Add(answerTimeout))
	}
	n, err := p.r.Read(b)
	p.read += int64(n)
	p.last = append(p.last, b[max(0, n-maxLast):n]...)
	p.last = p.last[max(0, len(p.last)-maxLast):]
	return n, err
}
