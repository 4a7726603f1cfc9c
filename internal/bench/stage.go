// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// stage is the testing.TB of a program: internal/lab and internal/pglab start
// whole deployments for tests, and this measures the same ones. It embeds a nil
// testing.TB for what neither of them calls.
type stage struct {
	testing.TB
	ctx      context.Context //nolint:containedctx // testing.TB has one
	cleanups []func()
}

// failure is what Fatal panics with, for play to catch.
type failure string

// play runs f on a stage and clears it away afterwards, whatever happened.
func play(ctx context.Context, f func(*stage) error) (err error) {
	s := &stage{ctx: ctx}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s", string(r))
		default:
			panic(r)
		}
	}()
	defer s.clear()
	return f(s)
}

// clear runs the cleanups, last first.
func (s *stage) clear() {
	for len(s.cleanups) > 0 {
		last := s.cleanups[len(s.cleanups)-1]
		s.cleanups = s.cleanups[:len(s.cleanups)-1]
		last()
	}
}

// Helper implements testing.TB.
func (s *stage) Helper() {}

// Name implements testing.TB.
func (s *stage) Name() string { return "bench" }

// Context implements testing.TB.
func (s *stage) Context() context.Context { return s.ctx }

// Cleanup implements testing.TB.
func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Fatal implements testing.TB.
func (s *stage) Fatal(args ...any) { panic(failure(fmt.Sprint(args...))) }

// Fatalf implements testing.TB.
func (s *stage) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Error implements testing.TB; what is measured must not fail, so it is Fatal.
func (s *stage) Error(args ...any) { s.Fatal(args...) }

// Errorf implements testing.TB.
func (s *stage) Errorf(format string, args ...any) { s.Fatalf(format, args...) }

// Failed implements testing.TB: Fatal does not return.
func (s *stage) Failed() bool { return false }

// Log implements testing.TB.
func (s *stage) Log(args ...any) { _, _ = fmt.Fprintln(os.Stderr, args...) }

// Logf implements testing.TB.
func (s *stage) Logf(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

// TempDir implements testing.TB.
func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "hallmark-bench-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary folder
	return dir
}
