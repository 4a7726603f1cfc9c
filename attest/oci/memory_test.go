// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// TestGiantsTakeTurns: many requests about manifests of the largest size do not
// hold all of them in memory at the same time, and all are answered.
func TestGiantsTakeTurns(t *testing.T) {
	const requests = 24
	giant := []byte(strings.Replace(string(image(imageConfig)), `"layers"`, `"annotations":{"a":"`+strings.Repeat("x", 4<<20-600)+`"},"layers"`, 1))
	f := newFake(t, true)
	f.misbehave(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", ociManifest)
		_, _ = w.Write(giant) // chunked: the length is not announced
		return true
	})
	c := f.client()
	// What is reserved cannot be had by others.
	release, err := c.Reserve(t.Context(), -1)
	if err != nil || c.Idle() {
		t.Fatal("a reservation takes nothing", err)
	}
	release()
	release()
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if a, err := c.Resolve(t.Context(), f.host+"/acme/app:1"); err != nil || a.Size != int64(len(giant)) {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wg.Wait()
	if oci.Giants > 8 || !c.Idle() {
		t.Errorf("%d giants at a time; nothing is reserved afterwards: %v", oci.Giants, c.Idle())
	}
}
