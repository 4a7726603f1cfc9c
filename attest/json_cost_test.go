// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestJSONCost: checking a document takes memory in proportion to its names that are open at a time, whatever the document looks like. Each
// of these took many times its size when names were kept in maps.
func TestJSONCost(t *testing.T) {
	const size = 2 << 20
	distinct := []byte{'{'}
	for i := 0; len(distinct) < size; i++ {
		distinct = fmt.Appendf(distinct, `"%x":0,`, i)
	}
	distinct = append(distinct, `"end":0}`...)
	for name, tc := range map[string]struct {
		doc    []byte
		factor uint64 // of the document's size, allocated in all
	}{
		"small objects": {repeated(`{"a":{"B":{}}}`, size), 1},
		"nine members":  {repeated(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, size), 1},
		"escaped names": {repeated(`{"\u0061":1}`, size), 1},
		"one object":    {distinct, 8}, // a slice that grows to eight bytes for each name
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			n := allocated(func() { err = attest.CheckJSON(tc.doc, attest.MaxDepth, attest.MaxStatementBytes) })
			if err != nil {
				t.Fatal(err)
			}
			if most := tc.factor * uint64(len(tc.doc)); n > most {
				t.Errorf("%d bytes allocated for a document of %d, at most %d are right", n, len(tc.doc), most)
			}
		})
	}
}

// TestStatementCost: lists that expand when they are decoded end at their limit, not at the end of the document.
func TestStatementCost(t *testing.T) {
	const size = 2 << 20
	digests := strings.Repeat("0", 64)
	var many strings.Builder
	for i := 0; many.Len() < size; i++ {
		fmt.Fprintf(&many, `"x%x":"0",`, i)
	}
	for name, subject := range map[string]string{
		"empty subjects": string(repeated(`{}`, size)),
		"digests":        `[{"digest":{` + many.String() + `"sha256":"` + digests + `"}}]`,
		"annotations":    `[{"annotations":{` + many.String() + `"end":0}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			doc := []byte(`{"_type":"` + attest.StatementV1 + `","predicateType":"https://spdx.dev/Document/v2.3","subject":` + subject + `}`)
			var err error
			n := allocated(func() { _, err = attest.ParseStatement(doc) })
			if !errors.Is(err, attest.ErrStatement) {
				t.Errorf("error %v", err)
			}
			if most := 12 * uint64(len(doc)); n > most {
				t.Errorf("%d bytes allocated for a statement of %d, at most %d are right", n, len(doc), most)
			}
		})
	}
}

// TestFolding: names collide exactly if encoding/json's own comparison says so.
func TestFolding(t *testing.T) {
	names := []string{"a", "A", "k", "K", "\u212a", "s", "ſ", "ss", "ß", "ẞ", "é", "É", "σ", "ς", "Σ", `"`, `\`, "/", "\n", "\U0001F600", "𐐀", "𐐨", ""}
	for _, one := range names {
		for _, other := range names {
			doc := fmt.Appendf(nil, `{%s:1,%s:2}`, spelled(one), spelled(other))
			if err := attest.CheckJSON(doc, 4, 1<<10); (err != nil) != strings.EqualFold(one, other) {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

// spelled writes a name with an escape wherever JSON has one.
func spelled(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range name {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '"' || r == '\\' || r == '/':
			b.WriteString(`\` + string(r))
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// repeated is a list of one value, over and over.
func repeated(value string, size int) []byte {
	list := append([]byte{'['}, bytes.Repeat([]byte(value+","), size/len(value))...)
	return append(list, value+"]"...)
}

// allocated returns the bytes that f takes from the heap, whether they are given back or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
