// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// told is a Source that says what it is told to: a log made by somebody whose
// tree is right and whose entries are not.
type told struct {
	checkpoint []byte
	entries    []Entry
	tiles      map[string][]byte
	err        error
}

func (s *told) Checkpoint(context.Context) ([]byte, error) { return s.checkpoint, nil }

func (s *told) Tile(_ context.Context, level int, n int64, width int) ([]byte, error) {
	data, ok := s.tiles[fmt.Sprint(level, n, width)]
	if !ok {
		return nil, ErrNotFound
	}
	return data, s.err
}

func (s *told) EntryBundle(_ context.Context, n int64, width int) ([]byte, error) {
	return encodeBundle(s.entries[n<<TileHeight:][:width]), nil
}

// tell builds a Source of the bodies given, whatever they are.
func tell(t *testing.T, bodies ...string) (*told, *noteKey) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newNoteKey("log.example", signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	key.signer = signer
	s := &told{tiles: make(map[string][]byte)}
	e := &edge{}
	for _, body := range bodies {
		s.entries = append(s.entries, Entry{Body: []byte(body)})
		for _, tile := range e.add(merkle.RecordHash([]byte(body))) {
			s.tiles[fmt.Sprint(tile.Level, tile.N, TileWidth)] = tile.Data[:tileBytes]
		}
	}
	for level := range e.levels {
		hashes := e.levels[level].nodes[0]
		s.tiles[fmt.Sprint(level, e.size>>(TileHeight*(level+1)), len(hashes))] = appendHashes(nil, hashes)
	}
	s.checkpoint, err = key.sign(Checkpoint{Origin: "log.example", Size: e.size, Root: newSnapshot(e).root()})
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

func TestFsckSource(t *testing.T) {
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprint("entry ", i))
	}
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		bodies []string
		change func(*told)
		want   string // part of the problem; "" for none
		err    error
	}{
		"good":              {many, func(*told) {}, "", nil},
		"empty":             {nil, func(*told) {}, "", nil},
		"entry twice":       {append(many, many[7]), func(*told) {}, "entry 300 is also entry 7", nil},
		"other entry":       {many, func(s *told) { s.entries[9].Body = []byte("other") }, "tile 0 of level 0", nil},
		"other last entry":  {many, func(s *told) { s.entries[299].Body = []byte("other") }, "hash to", nil},
		"tile missing":      {many, func(s *told) { delete(s.tiles, "0 0 256") }, "not in the published log", nil},
		"partial tile":      {many, func(s *told) { s.tiles["0 1 44"][5] ^= 1 }, "tile 1 of level 0, width 44", nil},
		"upper tile":        {many, func(s *told) { s.tiles["1 0 1"][5] ^= 1 }, "tile 0 of level 1", nil},
		"checkpoint":        {many, func(s *told) { s.checkpoint[20] ^= 1 }, "checkpoint", nil},
		"network is broken": {many, func(s *told) { s.err = broken }, "", broken},
	} {
		s, key := tell(t, tc.bodies...)
		tc.change(s)
		report, err := FsckSource(t.Context(), s, "log.example", key.public)
		found := strings.Join(report.Problems, "\n")
		if !errors.Is(err, tc.err) || (tc.want == "") != (found == "") || !strings.Contains(found, tc.want) {
			t.Errorf("%s: %v, %v", name, report.Problems, err)
		}
	}
}
