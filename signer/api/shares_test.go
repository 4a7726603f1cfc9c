// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// held is a body that does not come until it is let go; begun says that somebody reads it.
type held struct{ begun, letGo chan struct{} }

func (h held) Read([]byte) (int, error) {
	h.begun <- struct{}{}
	<-h.letGo
	return 0, io.ErrUnexpectedEOF
}

// TestPartsOfOne: whoever sends slowly keeps some places, and never all of them.
func TestPartsOfOne(t *testing.T) {
	const share = 8 // of 32
	w := newParts(t)
	h := held{make(chan struct{}), make(chan struct{})}
	var all sync.WaitGroup
	for range share {
		all.Go(func() { w.post(t, "sign", "good", h) })
		<-h.begun
	}
	whole := part("request", twoDocuments) + part("a", "x") + part("b", "y") + theEnd
	if got := w.post(t, "sign", "good", strings.NewReader(whole)); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", got.Code, got.Body)
	}
	close(h.letGo)
	go func() { // reads that come after the first
		for range h.begun {
		}
	}()
	all.Wait()
	close(h.begun)
	if got := w.post(t, "sign", "good", strings.NewReader(whole)); got.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", got.Code, got.Body)
	}
}
