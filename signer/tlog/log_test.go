// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

const origin = "log.example"

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// create makes and loads a log; it is closed at the end of the test.
func create(t testing.TB, st tlog.Storage, cfg tlog.Config) *tlog.Log {
	t.Helper()
	if err := tlog.Create(t.Context(), st, cfg); err != nil {
		t.Fatal(err)
	}
	return load(t, st, cfg)
}

func load(t testing.TB, st tlog.Storage, cfg tlog.Config) *tlog.Log {
	t.Helper()
	l, err := tlog.Load(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *tlog.Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// checkWorld runs every whole-log check there is.
func checkWorld(t testing.TB, st tlog.Storage, l *tlog.Log, key crypto.Signer) tlog.Report {
	t.Helper()
	report, err := tlog.Fsck(t.Context(), st, "v2", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	served, err := tlog.FsckSource(t.Context(), l, origin, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range append(report.Problems, served.Problems...) {
		t.Error(problem)
	}
	return report
}

func leaf(i int) tlog.Leaf { return tlog.Leaf{Body: fmt.Appendf(nil, "leaf %d", i)} }

func TestAppendOneByOne(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
	for i := range 600 {
		in, err := l.Append(t.Context(), leaf(i))
		if err != nil {
			t.Fatal(err)
		}
		if in.Index != int64(i) || in.Existing {
			t.Fatalf("entry %d is at %d, existing %v", i, in.Index, in.Existing)
		}
		if err := merkle.CheckRecord(in.Proof, in.TreeSize, in.Root, in.Index, merkle.RecordHash(leaf(i).Body)); err != nil {
			t.Fatal(err)
		}
	}
	if report := checkWorld(t, st, l, key); report.Size != 600 {
		t.Fatalf("size %d", report.Size)
	}
}

func decode(t testing.TB, b64 string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
