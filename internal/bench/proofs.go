// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Targets of one inclusion proof, SQL not counted. Tessera's proof builder
// takes about 600 microseconds.
const (
	freshProofMost = 10.0  // us
	oldProofMost   = 100.0 // us
)

// timedStorage counts the time that is spent in the database.
type timedStorage struct {
	tlog.Storage
	spent atomic.Int64
}

func (s *timedStorage) since(start time.Time) { s.spent.Add(int64(time.Since(start))) }

// Log implements tlog.Storage.
func (s *timedStorage) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	defer s.since(time.Now())
	return s.Storage.Log(ctx, name)
}

// Entries implements tlog.Storage.
func (s *timedStorage) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	defer s.since(time.Now())
	return s.Storage.Entries(ctx, log, from, to)
}

// Tiles implements tlog.Storage.
func (s *timedStorage) Tiles(ctx context.Context, log string, ids []tlog.TileID) ([][]byte, error) {
	defer s.since(time.Now())
	return s.Storage.Tiles(ctx, log, ids)
}

// proofs times inclusion proofs, one after the other: of the newest entries and
// of entries anywhere. A proof that is timed has been checked by the engine
// against the root, and its entry hashed.
func (b *bench) proofs(ctx context.Context, st *timedStorage, log *tlog.Log) error {
	size := log.Size()
	for _, p := range []struct {
		what string
		most float64
		at   func(i int) int64
	}{
		{"a fresh entry", freshProofMost, func(i int) int64 { return size - 1 - int64(i)%min(size, tlog.TileWidth/2) }},
		{"any entry", oldProofMost, func(int) int64 { return rand.Int64N(size) }}, //nolint:gosec // any will do
	} {
		var proof, sql []float64
		for i := range b.scale.probes {
			before, start := st.spent.Load(), time.Now()
			if _, err := log.Prove(ctx, p.at(i)); err != nil {
				return fmt.Errorf("prove %s: %w", p.what, err)
			}
			all, database := time.Since(start), time.Duration(st.spent.Load()-before)
			proof, sql = append(proof, us(all-database)), append(sql, us(database))
		}
		slices.Sort(proof)
		b.report.atMost(fmt.Sprintf("proof of %s among %d, p50", p.what, size), median(proof), p.most, "us",
			fmt.Sprintf("p99 %.0f us; reading the entry and cold tiles %.0f us", proof[len(proof)*99/100], median(sql)))
	}
	return nil
}
