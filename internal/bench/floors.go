// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// commitBytes is about what one entry and its index and tile cost on disk.
	commitBytes = 4 << 10
	// commitRuns is long enough to average over what a shared machine does for
	// milliseconds, and short enough to be run beside every figure.
	commitRuns = 200
)

// pairs is the processor's floor: how many P-256 signatures all cores together
// make and verify in a second. A proved write costs the client one signature
// and the log one verification, so this is how many writes the cores could do
// if nothing else had to be done. Each is the processor time of one pair: on a
// machine that others use too, a second of it does less.
func pairs(d time.Duration) (perSecond float64, each time.Duration, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, 0, err
	}
	used := cpuOf([]int{os.Getpid()})
	digest := sha256.Sum256(nil)
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range runtime.NumCPU() {
		wg.Go(func() {
			for time.Since(start) < d {
				sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
				if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
					failed.Add(1)
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		return 0, 0, errors.New("a P-256 signature does not verify")
	}
	each = (cpuOf([]int{os.Getpid()}) - used) / time.Duration(done.Load())
	return float64(done.Load()) / time.Since(start).Seconds(), each, nil
}

// durableCommit is the disk's floor: writing a few KiB to the end of a file and
// waiting until they are safe, sorted times.
func durableCommit(dir string) (times []time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "floor")) //nolint:gosec // our own folder
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	payload := make([]byte, commitBytes)
	for range commitRuns {
		start := time.Now()
		if _, err := f.Write(payload); err != nil {
			return nil, err
		}
		if err := datasync(f); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times, nil
}
