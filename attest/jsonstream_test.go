// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// strict reads the whole document.
func strict(r *jsonReader) error {
	if err := r.skip(); err != nil {
		return err
	}
	return r.end()
}

// streams are the ways in which a document can arrive.
func streams(document []byte) map[string]*jsonReader {
	return map[string]*jsonReader{
		"memory": readJSON(document), "stream": streamJSON(bytes.NewReader(document)),
		"bytes": streamJSON(iotest.OneByteReader(bytes.NewReader(document))), "halves": streamJSON(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(document)))),
	}
}

func TestStrictReader(t *testing.T) {
	many := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, `"`+strings.Repeat("a", i)+`":1`)
		}
		return "{" + strings.Join(names, ",") + "}"
	}
	for _, tc := range []struct{ document, says string }{
		{`{}`, ""},
		{` [1, -0, 1.5e+3, "a\u00e9\ud83d\ude00\n", true, false, null, {"a": [], "b": {}}] `, ""},
		{many(100), ""},
		{strings.Repeat("[", 64) + strings.Repeat("]", 64), ""},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested deeper than 64"},
		{``, "unexpected end"},
		{`{`, "unexpected end"},
		{`{"a"`, "unexpected end"},
		{`{"a":`, "unexpected end"},
		{`{"a":1,}`, "unexpected character '}'"},
		{`[1,]`, "unexpected character ']'"},
		{`[1 2]`, "unexpected character '2'"},
		{`{"a":1}{`, "data after the document"},
		{`{"a":1}` + "\x00", "data after the document"},
		{"\xef\xbb\xbf{}", "unexpected character"},
		{`{"a": 01}`, `"01" is not a number`},
		{`[1.]`, `"1." is not a number`},
		{`[-]`, `"-" is not a number`},
		{`[1e]`, `"1e" is not a number`},
		{`[` + strings.Repeat("1", 65) + `]`, "a number of more than 64"},
		{`[tru]`, "unexpected character ']'"},
		{"[\"a\tb\"]", "control character 0x09"},
		{"[\"\xff\"]", "invalid UTF-8"},
		{"[\"\xe2\x82\"]", "invalid UTF-8"},
		{`["\ud800"]`, "lone surrogate"},
		{`["\ud800\u0041"]`, "lone surrogate"},
		{`["\udc00\ud800"]`, "lone surrogate"},
		{`["\x"]`, "unknown escape"},
		{`["\u00g0"]`, "unknown escape"},
		{`{`, `$ (line 1, byte 1): unacceptable JSON`},
		{"{\n \"a\": [\n  1,\n  x]}", `$.a[1] (line 4, byte 17): unacceptable JSON`},
		{`{"a": {"x y": [1, {"b": 1, "B": 2}]}}`, `$.a["x y"][1].B (line 1, byte 30): unacceptable JSON: member "B" appears twice`},
		{`{"a": {"k": 1, "\u212a": 2}}`, "appears twice"},
		{strings.TrimSuffix(many(100), "}") + `,"AAA": 1}`, `member "AAA" appears twice`},
		{`{"` + strings.Repeat("a", 5000) + `": 1}`, "a member's name has more than 4096 bytes"},
		{`[` + strings.Repeat(`"`+strings.Repeat("é", 50_000)+`",`, 5) + `1]`, ""},
	} {
		for how, r := range streams([]byte(tc.document)) {
			err := strict(r)
			if tc.says == "" && err != nil || tc.says != "" && (!errors.Is(err, ErrJSON) || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%.40q from %s: %v, want %q", tc.document, how, err, tc.says)
			}
		}
	}
}

func TestReadValues(t *testing.T) {
	document := `{"text": "aé\u00e9", "long": "` + strings.Repeat("é", 2000) + `", "skipped": {"a": [1, {"b": "}"}]}, "list": [1, 2.5, null], "flag": true, "nothing": null, "texts": ["a", "b"]}`
	for how, r := range streams([]byte(document)) {
		var text, long, nothing string
		var sum float64
		var flag bool
		var texts []string
		err := r.object(func(name []byte) error {
			switch string(name) {
			case "text":
				return r.string(&text)
			case "long":
				return r.string(&long)
			case "nothing":
				return r.string(&nothing)
			case "flag":
				return r.bool(&flag)
			case "texts":
				return r.texts(&texts)
			case "list":
				there, err := r.list(func() error {
					var n float64
					err := r.number(&n)
					sum += n
					return err
				})
				if !there {
					t.Error("the list is not there")
				}
				return err
			}
			return nil
		})
		if err != nil || r.end() != nil {
			t.Errorf("%s: %v", how, err)
		}
		if text != "aéé" || long != strings.Repeat("é", maxText/2) || nothing != "" || sum != 3.5 || !flag || strings.Join(texts, "") != "ab" {
			t.Errorf("%s: %q, %d bytes, %v, %v, %v", how, text, len(long), sum, flag, texts)
		}
	}
}

// What does not fit is named with its place.
func TestWrongShape(t *testing.T) {
	r := readJSON([]byte(`{"a": [{"b": {}}]}`))
	err := r.object(func([]byte) error {
		_, err := r.list(func() error {
			return r.object(func([]byte) error { return r.string(new(string)) })
		})
		return err
	})
	if !errors.Is(err, ErrEvidence) || err.Error() != "$.a[0].b: found an object, want a text" {
		t.Error(err)
	}
}

// A stream that breaks is not a document that is wrong.
func TestBrokenStream(t *testing.T) {
	broken := errors.New("connection lost")
	r := streamJSON(io.MultiReader(strings.NewReader(`{"a": "b`), iotest.ErrReader(broken)))
	if err := strict(r); !errors.Is(err, broken) || errors.Is(err, ErrEvidence) {
		t.Error(err)
	}
}

// FuzzStrictReader: what one of our two readers accepts, so does the other,
// however the document arrives; and it is JSON to encoding/json.
func FuzzStrictReader(f *testing.F) {
	for _, s := range []string{`{"a": [1, "b\u00e9", null]}`, `[{"a":1,"A":2}]`, `{"k":1,"\u212a":2}`, `"\ud83d\ude00"`, `-0.0e-1`, "[\"\xff\"]", `{} {}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		want := CheckJSON(document, MaxDepth, 1<<20)
		for how, r := range streams(document) {
			err := strict(r)
			if err != nil && strings.Contains(err.Error(), "more than") {
				continue // its own limits
			}
			if (err == nil) != (want == nil) {
				t.Fatalf("%s says %v, CheckJSON says %v", how, err, want)
			}
		}
		if want == nil && !json.Valid(document) {
			t.Fatal("accepted, and not JSON")
		}
	})
}

func BenchmarkStrictReader(b *testing.B) {
	document := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"VulnerabilityID":"CVE-2026-1","PkgName":"openssl","Description":"`+strings.Repeat("words and words ", 100)+`","References":["https://example.com/a","https://example.com/b"],"CVSS":{"nvd":{"V3Score":9.8}}},`, 5000), ",") + "]")
	b.Run("CheckJSON", func(b *testing.B) {
		b.SetBytes(int64(len(document)))
		for b.Loop() {
			if err := CheckJSON(document, MaxDepth, len(document)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("memory", func(b *testing.B) {
		b.SetBytes(int64(len(document)))
		for b.Loop() {
			if err := strict(readJSON(document)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stream", func(b *testing.B) {
		b.SetBytes(int64(len(document)))
		b.ReportAllocs()
		for b.Loop() {
			if err := strict(streamJSON(bytes.NewReader(document))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
