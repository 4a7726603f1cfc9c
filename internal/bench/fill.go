// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// fillers is how many goroutines fill a log: enough for the largest batches.
const fillers = 1024

// filling is what a log was filled with.
type filling struct {
	entries int64
	bodies  int64 // bytes of canonical entries
	took    time.Duration
}

// fill appends n entries through the engine, without HTTP and without verifying
// what it makes up itself: bodies and index keys of the number, size and variety
// of real ones.
func (b *bench) fill(set *tlog.Set, kind load.Kind, n int64, like []byte) (filling, error) {
	var next, bodies atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, fillers)
	start := time.Now()
	for range fillers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n && b.ctx.Err() == nil; i = next.Add(1) - 1 {
				leaf := madeUp(i, like)
				if _, _, err := set.Append(b.ctx, logKind(kind), leaf); err != nil {
					errs <- err
					return
				}
				bodies.Add(int64(len(leaf.Body)))
				b.progress("filling", i, n, start)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return filling{}, fmt.Errorf("fill the log: %w", err)
	default:
		return filling{entries: n, bodies: bodies.Load(), took: time.Since(start)}, b.ctx.Err()
	}
}

// progressEvery is after how many entries a line is printed.
const progressEvery = 100_000

func (b *bench) progress(what string, i, n int64, start time.Time) {
	if i > 0 && i%progressEvery == 0 {
		b.report.say("... %s: %d of %d, %.0f/s", what, i, n, float64(i)/time.Since(start).Seconds())
	}
}

// madeUp is entry i: the bytes of a real one with random ones in place of what
// is random, so that nothing compresses, and the index keys of a real one:
// digest, key and commit of its own or nearly, workflow, repository and image
// of some hundreds, issuer of a few.
func madeUp(i int64, like []byte) tlog.Leaf {
	body := scramble(like)
	digest := digestOf(i)
	key := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("key"), uint64(i)))          //nolint:gosec // not negative
	commit := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("commit"), uint64(i/10))) //nolint:gosec // not negative
	repository := fmt.Sprintf("https://github.com/acme/service-%d", i%200)
	workflow := repository + "/.github/workflows/release.yaml"
	return tlog.Leaf{Body: body, Keys: []string{
		"hash:sha256:" + digest, "publickey:" + hex.EncodeToString(key[:]), index.Commit(hex.EncodeToString(commit[:20])),
		index.Identity(workflow + "@refs/heads/main"), index.Workflow(workflow), index.Repository(repository),
		index.Issuer("https://token.actions.githubusercontent.com"), index.Image(fmt.Sprintf("registry.corp.example/acme/service-%d", i%200)),
	}}
}

// scramble replaces the characters of long strings in a JSON text by random
// ones of base64: digests, signatures, certificates.
func scramble(text []byte) []byte {
	const long = 40 // bytes: longer than any name
	out := append([]byte(nil), text...)
	noise := make([]byte, len(text)*3/4+3)
	_, _ = rand.Read(noise) // never fails, says crypto/rand
	random := base64.StdEncoding.EncodeToString(noise)
	for at := 0; at < len(out); {
		length := bytes.IndexByte(out[at:], '"')
		if length < 0 {
			break
		}
		if length >= long {
			end := at + length
			if out[end-1] == '=' {
				end -= 4 // the last group: bits that say nothing are 0 in it, or it would be no base64 to undo
			}
			copy(out[at:end], random[at:])
		}
		at += length + 1
	}
	return out
}

// digestOf is the artifact digest of made-up entry i.
func digestOf(i int64) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("artifact"), uint64(i))) //nolint:gosec // not negative
	return hex.EncodeToString(sum[:])
}

// logKind is the kind of log that takes a kind of entry.
func logKind(kind load.Kind) tlog.Kind {
	if kind.V1() {
		return tlog.V1
	}
	return tlog.V2
}

// realBody has a target log one entry and returns its canonical form, for size
// and shape.
func (b *bench) realBody(t *target, kind load.Kind) ([]byte, error) {
	reqs, err := b.requests(1, kind)
	if err != nil {
		return nil, err
	}
	conn := load.NewConn(t.servers[0].URL)
	defer conn.Close()
	status, body, err := conn.Post(b.ctx, &reqs[0])
	if err != nil {
		return nil, err
	}
	a, err := load.ParseAnswer(kind, body)
	if err != nil {
		return nil, fmt.Errorf("status %d: %w", status, err)
	}
	return a.Body, t.trust.Verify(&reqs[0], &a)
}
