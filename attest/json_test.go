// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

func TestCheckJSONAccepts(t *testing.T) {
	for _, doc := range []string{
		`{}`, ` [1, 2.5e3, -0, true, false, null, ""] `, `"text"`, `12`, "\t{\"a\":{\"a\":{\"a\":[]}}}\n",
		`[{"a":1},{"a":2}]`, `{"a":"\ud83d\ude00","b":"\\ud800","c":"\"{[,]}"}`,
		`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":10}`,
		nested(64),
	} {
		if err := attest.CheckJSON([]byte(doc), 64, 1<<10); err != nil {
			t.Errorf("%.60s: %v", doc, err)
		}
	}
}

func TestCheckJSONRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ doc, want string }{
		"empty":             {``, "unexpected end"},
		"truncated":         {`{"a":[1,2`, "unexpected end"},
		"trailing data":     {`{} {}`, "after top-level value"},
		"trailing comma":    {`{"a":1,}`, "invalid character"},
		"comment":           {`{/**/}`, "invalid character"},
		"byte order mark":   {"\ufeff{}", "invalid character"},
		"invalid UTF-8":     {"{\"a\":\"\xff\"}", "invalid UTF-8"},
		"too deep":          {nested(65), "nested deeper than 64"},
		"too large":         {`"` + strings.Repeat("x", 1<<10) + `"`, "the limit is 1024"},
		"duplicate":         {`{"x":[0,{"a":1,"b":2,"a":3}]}`, `$.x[1]: member "a" appears twice`},
		"escaped duplicate": {`{"a":1,"\u0061":2}`, `$: member "a" appears twice`},
		"case variant":      {`{"odd name":{"subject":1,"Subject":2}}`, `$["odd name"]: members "subject" and "Subject" differ in case only`},
		"Kelvin sign":       {"{\"k\":1,\"\u212a\":2}", "differ in case only"},
		"long s":            {`{"s":1,"ſ":2}`, "differ in case only"},
		"late duplicate":    {`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":10,"9":9}`, `member "9" appears twice`},
		"late against few":  {`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":10,"1":9}`, `member "1" appears twice`},
		"high surrogate":    {`{"a":"\ud800x"}`, "$.a: lone surrogate"},
		"low surrogate":     {`["\udc00"]`, "$[0]: lone surrogate"},
		"two high":          {`["\ud800\ud800"]`, "lone surrogate"},
		"high and no low":   {`["\ud800\bdc00"]`, "lone surrogate"},
		"high at the end":   {`["\uD800"]`, "lone surrogate"},
		"surrogate in name": {`{"\ud800":1}`, "lone surrogate"},
		"newline in name":   {`{"a\n":{"b":1,"b":2}}`, `$["a\n"]`},
	} {
		t.Run(name, func(t *testing.T) {
			err := attest.CheckJSON([]byte(tc.doc), 64, 1<<10)
			if !errors.Is(err, attest.ErrJSON) && !errors.Is(err, attest.ErrTooLarge) {
				t.Fatalf("error %v is not typed", err)
			}
			if !strings.Contains(err.Error(), tc.want) || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("error %q does not say %q on one line", err, tc.want)
			}
		})
	}
}

// TestCheckJSONMessageIsShort: a message that quotes its input is bounded.
func TestCheckJSONMessageIsShort(t *testing.T) {
	name := strings.Repeat("é", 10_000)
	doc := strings.Repeat(`{"`+name+`":`, 30) + `{"a":1,"a":1}` + strings.Repeat("}", 30)
	err := attest.CheckJSON([]byte(doc), 64, 1<<20)
	if err == nil || len(err.Error()) > 2_000 {
		t.Errorf("message of %d bytes", len(fmt.Sprint(err)))
	}
}

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

// FuzzCheckJSON holds CheckJSON against encoding/json: what is accepted is one
// document of bounded depth in which no member hides another.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"A":2}`, `{"a":[{"b":"\ud83d\ude00"}],"c":null}`, `[1,[2,[3]]]`, ` "x" `, `{"a":1}x`, nested(9), "{\"k\":1,\"\u212a\":2}", `"\ud800\udc00\udc00"`,
	} {
		f.Add([]byte(seed))
	}
	const depth, size = 8, 1 << 12
	f.Fuzz(func(t *testing.T, b []byte) {
		err := attest.CheckJSON(b, depth, size)
		if err != nil {
			if !errors.Is(err, attest.ErrJSON) && !errors.Is(err, attest.ErrTooLarge) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if len(b) > size {
			t.Fatal("accepted above the size limit")
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		members, deepest := countTokens(t, dec)
		if deepest > depth {
			t.Fatalf("accepted at depth %d", deepest)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("accepted with trailing data: %v", err)
		}
		var v any
		dec = json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("accepted, but encoding/json says %v", err)
		}
		if got := countMembers(v); got != members {
			t.Fatalf("%d members written, %d left after decoding", members, got)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) <= size {
			if err := attest.CheckJSON(again, depth, size); err != nil {
				t.Fatalf("re-encoded document is refused: %v", err)
			}
		}
	})
}

// countTokens reads one value token by token.
func countTokens(t *testing.T, dec *json.Decoder) (members, deepest int) {
	type open struct {
		object bool
		tokens int
	}
	var stack []open
	for {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("accepted, but encoding/json says %v", err)
		}
		switch d, _ := tok.(json.Delim); d {
		case '}', ']':
			stack = stack[:len(stack)-1]
		default:
			if n := len(stack); n > 0 {
				if stack[n-1].object && stack[n-1].tokens%2 == 0 {
					members++
				}
				stack[n-1].tokens++
			}
			if d == '{' || d == '[' {
				stack = append(stack, open{object: d == '{'})
				deepest = max(deepest, len(stack))
			}
		}
		if len(stack) == 0 {
			return members, deepest
		}
	}
}

func countMembers(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, e := range v {
			n += countMembers(e)
		}
	case []any:
		for _, e := range v {
			n += countMembers(e)
		}
	}
	return n
}
