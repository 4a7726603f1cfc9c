// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlines is a connection that remembers until when it may be read and written.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// TestPace: a body has the grace and a second for each leastRate bytes of it that have come, counted from when it began. However fast or slow it
// came so far, and in pieces of whatever size, it is never given more.
func TestPace(t *testing.T) {
	const grace, most = 3 * time.Second, 40 * leastRate
	begun := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for _, piece := range []int{1000, 32 << 10, leastRate, leastRate + 1, 3 * leastRate} {
		conn := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		p := &paced{r: bytes.NewReader(make([]byte, most)), control: http.NewResponseController(conn), begun: begun, grace: grace}
		b := make([]byte, piece)
		for {
			before := p.read
			_, err := p.Read(b)
			earned := begun.Add(grace + time.Duration(before/leastRate)*time.Second)
			// What comes between two settings of the deadline is less than leastRate.
			if conn.read.After(earned) || conn.read.Before(earned.Add(-time.Second)) || !conn.write.Equal(conn.read.Add(answerTimeout)) {
				t.Fatalf("pieces of %d: after %d bytes reading ends at %v, writing at %v; %v is earned", piece, before, conn.read, conn.write, earned)
			}
			if errors.Is(err, io.EOF) {
				break
			}
		}
		if p.read != most {
			t.Errorf("pieces of %d: read %d bytes", piece, p.read)
		}
	}
}
