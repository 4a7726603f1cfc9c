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

// What can be wrong with rows, by themselves and together.
func TestCheckRows(t *testing.T) {
	good := func() []LogRow {
		return []LogRow{
			{Name: "v1", Kind: V1, TreeID: 1, State: Frozen, Origin: "h - 1", Key: []byte("1"), Head: Head{Size: 5}},
			{Name: "v2", Kind: V2, TreeID: 2, State: Active, Origin: "h", Key: []byte("2"), Head: Head{Size: 7}},
			{Name: "v1-2", Kind: V1, TreeID: 3, State: Frozen, FirstIndex: 5, Origin: "h - 3", Key: []byte("3")},
			{Name: "never", Kind: V1, TreeID: 4, State: Frozen, FirstIndex: Unplaced, Origin: "h - 4", Key: []byte("4"), Head: Head{Size: 1}},
			{Name: "v1-3", Kind: V1, TreeID: 5, State: Active, FirstIndex: 5, Origin: "h - 5", Key: []byte("5")},
			{Name: "v2-2", Kind: V2, TreeID: 6, State: Pending, FirstIndex: Unplaced, Origin: "i", Key: []byte("6"), Head: Head{Size: 1}},
		}
	}
	for name, tc := range map[string]struct {
		change func(rows []LogRow)
		at     int
		want   string // "" for no problem
	}{
		"good":                  {func([]LogRow) {}, 0, ""},
		"name twice":            {func(r []LogRow) { r[3].Name = "v1" }, 3, `name of log "v1"`},
		"tree id twice":         {func(r []LogRow) { r[5].TreeID = 2 }, 5, `tree id of log "v2"`},
		"origin twice":          {func(r []LogRow) { r[5].Origin = "h" }, 5, `origin of log "v2"`},
		"key twice":             {func(r []LogRow) { r[5].Key = []byte("1") }, 5, `key of log "v1"`},
		"no kind":               {func(r []LogRow) { r[5].Kind = "" }, 5, "kind"},
		"no state":              {func(r []LogRow) { r[5].State = "" }, 5, "state"},
		"no tree id":            {func(r []LogRow) { r[5].TreeID = 0 }, 5, "tree id"},
		"v1 without its id":     {func(r []LogRow) { r[4].Origin = "h" }, 4, "does not end"},
		"pending with a place":  {func(r []LogRow) { r[5].FirstIndex = 7 }, 5, "pending"},
		"active without":        {func(r []LogRow) { r[4].FirstIndex = Unplaced }, 4, "without a first index"},
		"first is not at zero":  {func(r []LogRow) { r[1].FirstIndex = 1 }, 1, "the shards before have 0"},
		"gap":                   {func(r []LogRow) { r[4].FirstIndex = 6 }, 4, "the shards before have 5"},
		"overlap":               {func(r []LogRow) { r[0].Head.Size = 6 }, 2, "the shards before have 6"},
		"two are active":        {func(r []LogRow) { r[2].State = Active }, 2, "has a shard after it"},
		"frozen grew":           {func(r []LogRow) { r[2].Head.Size = 2 }, 4, "the shards before have 7"},
		"never active took one": {func(r []LogRow) { r[3].FirstIndex = 0 }, 3, "the shards before have"},
	} {
		rows := good()
		tc.change(rows)
		problems := checkRows(rows)
		var all []string
		for _, p := range problems {
			all = append(all, p...)
		}
		if (len(all) == 0) != (tc.want == "") || !strings.Contains(strings.Join(problems[tc.at], "; "), tc.want) {
			t.Errorf("%s: %q", name, problems)
		}
	}
}
