// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/verifier/trust"
)

type object = map[string]any

// publicRoot is the trusted root of the public Sigstore instance, with five authorities of all four kinds.
func publicRoot(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "public-good", "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// edited returns the public root after an edit of its document.
func edited(t testing.TB, edit func(object)) []byte {
	t.Helper()
	var doc object
	if err := json.Unmarshal(publicRoot(t), &doc); err != nil {
		t.Fatal(err)
	}
	edit(doc)
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// as returns a part of the public root as what it is known to be there. Edits have no test to fail, so that it panics otherwise.
func as[T any](v any) T {
	is, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("the root has a %T where the edit wants a %T", v, is))
	}
	return is
}

func list(doc object, name string) []any        { return as[[]any](doc[name]) }
func first(doc object, name string) object      { return as[object](list(doc, name)[0]) }
func key(doc object, name string) object        { return as[object](first(doc, name)["publicKey"]) }
func certChain(doc object, name string) object  { return as[object](first(doc, name)["certChain"]) }
func chain(doc object, name string) []any       { return as[[]any](certChain(doc, name)["certificates"]) }
func setChain(doc object, name string, c []any) { certChain(doc, name)["certificates"] = c }

func TestParse(t *testing.T) {
	r, err := trust.Parse(publicRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Material().FulcioCertificateAuthorities()) != 2 || len(r.Material().TimestampingAuthorities()) != 1 || !strings.HasPrefix(r.Digest(), "sha256:") {
		t.Errorf("root = %+v", r)
	}
	for id, l := range r.Material().RekorLogs() {
		log, err := r.LogAt(keyID(t, id), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || log.BaseURL != l.BaseURL || log.ID != id {
			t.Errorf("log = %+v, %v", log, err)
		}
		if _, err := r.LogAt(keyID(t, id), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
			t.Error("the log's key was in use before its start")
		}
	}
	if _, err := r.LogAt(make([]byte, 32)); err == nil {
		t.Error("a log that is not in the root was found")
	}
}

func keyID(t *testing.T, hexID string) []byte {
	t.Helper()
	id, err := hex.DecodeString(hexID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		root []byte
		says string
	}{
		"empty":                 {nil, "trusted_root.json"},
		"not JSON":              {[]byte("hello"), "trusted_root.json"},
		"bundle":                {[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`), "media type"},
		"v0.2":                  {edited(t, func(d object) { d["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json" }), "media type"},
		"unknown member":        {edited(t, func(d object) { d["note"] = "hi" }), "note"},
		"trailing":              {append(publicRoot(t), "{}"...), ""},
		"member twice":          {bytes.Replace(publicRoot(t), []byte(`{`), []byte(`{"mediaType":"x",`), 1), "duplicate"},
		"too large":             {append(publicRoot(t), bytes.Repeat([]byte(" "), trust.MaxBytes)...), "larger"},
		"no logs":               {edited(t, func(d object) { delete(d, "tlogs") }), "tlogs"},
		"no authorities":        {edited(t, func(d object) { delete(d, "certificateAuthorities") }), "certificateAuthorities"},
		"log without start":     {edited(t, func(d object) { key(d, "tlogs")["validFor"] = object{} }), "tlogs[0].publicKey.validFor.start"},
		"CT log without window": {edited(t, func(d object) { delete(key(d, "ctlogs"), "validFor") }), "ctlogs[0].publicKey.validFor.start"},
		"CA without window":     {edited(t, func(d object) { delete(first(d, "certificateAuthorities"), "validFor") }), "certificateAuthorities[0].validFor.start"},
		"TSA without start":     {edited(t, func(d object) { first(d, "timestampAuthorities")["validFor"] = object{} }), "timestampAuthorities[0].validFor.start"},
		"ends before it starts": {edited(t, func(d object) {
			as[object](first(d, "certificateAuthorities")["validFor"])["end"] = "2001-01-01T00:00:00Z"
		}), "ends before"},
		"foreign key id": {edited(t, func(d object) {
			first(d, "tlogs")["logId"] = object{"keyId": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
		}), "does not belong"},
		"short key id":         {edited(t, func(d object) { first(d, "tlogs")["logId"] = object{"keyId": "AAAA"} }), "3 bytes"},
		"one key for two logs": {edited(t, func(d object) { d["tlogs"] = append(list(d, "tlogs"), first(d, "tlogs")) }), "same key id"},
		"too many logs":        {edited(t, func(d object) { d["ctlogs"] = make([]object, trust.MaxAuthorities+1) }), ""},
		"empty chain":          {edited(t, func(d object) { setChain(d, "timestampAuthorities", nil) }), "certChain"},
		"chain upside down":    {edited(t, func(d object) { c := chain(d, "timestampAuthorities"); c[0], c[2] = c[2], c[0] }), "not signed by the next"},
		"chain without root":   {edited(t, func(d object) { setChain(d, "timestampAuthorities", chain(d, "timestampAuthorities")[:2]) }), "not signed by the next"},
		"chain of nonsense":    {edited(t, func(d object) { chain(d, "timestampAuthorities")[1] = object{"rawBytes": "AAAA"} }), "certificate 1"},
		"chain too long":       {edited(t, func(d object) { setChain(d, "timestampAuthorities", make([]any, trust.MaxChain+1)) }), ""},
		"unusable URL":         {edited(t, func(d object) { first(d, "tlogs")["baseUrl"] = "https://[" }), "baseUrl"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := trust.Parse(tc.root)
			if r != nil || !errors.Is(err, trust.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("root %v, error %v, want one that says %q", r, err, tc.says)
			}
		})
	}
}

func TestFromFile(t *testing.T) {
	if _, err := trust.FromFile(filepath.Join("..", "testdata", "public-good", "trusted_root.json")); err != nil {
		t.Error(err)
	}
	if _, err := trust.FromFile(filepath.Join(t.TempDir(), "missing.json")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "hint") {
		t.Errorf("missing file: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, make([]byte, trust.MaxBytes+10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.FromFile(large); !errors.Is(err, trust.ErrInvalid) {
		t.Errorf("large file: %v", err)
	}
}

func TestWindow(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		w    trust.Window
		want bool
	}{
		{trust.Window{}, false},
		{trust.Window{End: at.Add(time.Hour)}, false},
		{trust.Window{Start: at}, true},
		{trust.Window{Start: at.Add(-time.Hour), End: at}, true},
		{trust.Window{Start: at.Add(time.Second)}, false},
		{trust.Window{Start: at.Add(-time.Hour), End: at.Add(-time.Second)}, false},
	} {
		if got := tc.w.Contains(at); got != tc.want {
			t.Errorf("%s contains %s: %v", tc.w, at, got)
		}
	}
}

// FuzzParse: what parses has what verification relies on.
func FuzzParse(f *testing.F) {
	f.Add(publicRoot(f))
	f.Add([]byte(`{"mediaType":"` + trust.MediaType + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := trust.Parse(b)
		if err != nil {
			return
		}
		if len(r.Material().RekorLogs()) == 0 || len(r.Material().FulcioCertificateAuthorities()) == 0 {
			t.Fatal("parsed, but nothing can verify")
		}
		for id, l := range r.Material().RekorLogs() {
			if l.ValidityPeriodStart.IsZero() || len(id) != 64 {
				t.Fatalf("log %s has no start or a bad id", id)
			}
		}
	})
}
