// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
)

const spdx = "https://spdx.dev/Document"

var (
	subject = attest.DigestOf([]byte("an image"))
	other   = attest.DigestOf([]byte("another image"))
)

func mustEncode(t testing.TB, s attest.Statement, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignatureStatement(t *testing.T) {
	s, err := attest.NewStatement(subject, attest.PredicateSignature, nil)
	got := mustEncode(t, s, err)
	// The bytes that stock cosign was shown to accept.
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + subject.Hex() +
		`"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
	if string(got) != want {
		t.Errorf("statement\n%s\nwant\n%s", got, want)
	}
	var pb intoto.Statement
	if err := protojson.Unmarshal(got, &pb); err != nil {
		t.Fatal(err)
	}
	if err := pb.Validate(); err != nil {
		t.Errorf("in-toto refuses it: %v", err)
	}
}

func TestPredicateIsEmbeddedVerbatim(t *testing.T) {
	// Large integers, member order, white space, HTML characters and escapes
	// all get lost when a predicate goes through structs.
	predicate := "{ \"z\":9007199254740993,\n\t\"a\": \"<&>\\u0041\u2028\", \"e\":1.50E+2 }"
	s, err := attest.NewStatement(subject, spdx, []byte("\n"+predicate+"\r\n"))
	got := mustEncode(t, s, err)
	if !bytes.Contains(got, []byte(`"predicate":`+predicate+`}`)) {
		t.Errorf("predicate changed:\n%s", got)
	}
	parsed, err := attest.ParseStatement(got)
	if err != nil || string(parsed.Predicate) != predicate {
		t.Errorf("parsed predicate %q, %v", parsed.Predicate, err)
	}
}

func TestEncodeIsDeterministic(t *testing.T) {
	s := attest.Statement{
		Type: attest.StatementV01, PredicateType: spdx, Predicate: json.RawMessage(`{"a":1}`),
		Subjects: []attest.Subject{{Name: "a<b", Digests: map[string]string{
			"sha256": subject.Hex(), "gitCommit": "abc", "sha512": strings.Repeat("0", 128), "dirHash": "h1:x=",
		}}},
	}
	first := mustEncode(t, s, nil)
	want := `{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"a<b","digest":{"dirHash":"h1:x=","gitCommit":"abc","sha256":"` +
		subject.Hex() + `","sha512":"` + strings.Repeat("0", 128) + `"}}],"predicateType":"https://spdx.dev/Document","predicate":{"a":1}}`
	if string(first) != want {
		t.Errorf("statement\n%s\nwant\n%s", first, want)
	}
	for range 20 {
		if again := mustEncode(t, s, nil); !bytes.Equal(first, again) {
			t.Fatal("two encodings differ")
		}
	}
}

func TestNewStatementRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		digest          attest.Digest
		ptype, predcate string
		want            error
	}{
		"zero digest":      {"", spdx, `{}`, attest.ErrDigest},
		"foreign digest":   {"md5:abc", spdx, `{}`, attest.ErrDigest},
		"no type":          {subject, "", `{}`, attest.ErrPredicateType},
		"short name":       {subject, "spdxjson", `{}`, attest.ErrPredicateType},
		"type with space":  {subject, "https://x/ y", `{}`, attest.ErrPredicateType},
		"type not ASCII":   {subject, "https://spdx.dev/Dоcument", `{}`, attest.ErrPredicateType},
		"empty predicate":  {subject, spdx, ``, attest.ErrJSON},
		"null predicate":   {subject, spdx, `null`, attest.ErrStatement},
		"array predicate":  {subject, spdx, `[]`, attest.ErrStatement},
		"string predicate": {subject, spdx, `"x"`, attest.ErrStatement},
		"duplicates":       {subject, spdx, `{"a":1,"a":2}`, attest.ErrJSON},
		"injection":        {subject, spdx, `{}},"x":{`, attest.ErrJSON},
		"too deep":         {subject, spdx, `{"a":` + nested(63) + `}`, attest.ErrJSON},
		"too large":        {subject, spdx, `{"a":"` + strings.Repeat("x", attest.MaxStatementBytes) + `"}`, attest.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := attest.NewStatement(tc.digest, tc.ptype, []byte(tc.predcate)); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
	// The deepest and the largest that are accepted can be read again.
	for name, predicate := range map[string]string{
		"deepest": `{"a":` + nested(62) + `}`,
		"largest": `{"a":"` + strings.Repeat("x", attest.MaxStatementBytes-300) + `"}`,
	} {
		s, err := attest.NewStatement(subject, spdx, []byte(predicate))
		if _, err := attest.ParseStatement(mustEncode(t, s, err)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseStatementReadsForeign(t *testing.T) {
	doc := `{"predicate":{"Data":"x"},"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document",
		"subject":[{"name":"registry.example/app","digest":{"sha256":"` + other.Hex() + `"}},
		{"uri":"pkg:oci/app","digest":{"sha256":"` + subject.Hex() + `","gitCommit":"abc"},"annotations":{"a":[1e999]}}]}`
	s, err := attest.ParseStatement([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := attest.Statement{
		Type: attest.StatementV01, PredicateType: spdx, Predicate: json.RawMessage(`{"Data":"x"}`),
		Subjects: []attest.Subject{
			{Name: "registry.example/app", Digests: map[string]string{"sha256": other.Hex()}},
			{Digests: map[string]string{"sha256": subject.Hex(), "gitCommit": "abc"}},
		},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("parsed %+v", s)
	}
	if !s.Binds(subject) || !s.Binds(other) || s.Binds(attest.DigestOf(nil)) {
		t.Error("binds to the wrong digests")
	}
	// cosign 2.6 leaves the predicate of a signature out.
	s, err = attest.ParseStatement([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + subject.Hex() + `"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1"}`))
	if err != nil || string(s.Predicate) != "{}" {
		t.Errorf("statement without predicate: %s, %v", s.Predicate, err)
	}
}

func TestParseStatementRefuses(t *testing.T) {
	good := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + subject.Hex() + `"}}],"predicateType":"https://x.example/t","predicate":{}}`
	if _, err := attest.ParseStatement([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string][2]string{
		"nothing":                    {good, ``},
		"an array":                   {good, `[]`},
		"null":                       {good, `null`},
		"trailing data":              {`"predicate":{}}`, `"predicate":{}}{}`},
		"version":                    {`Statement/v1"`, `Statement/v2"`},
		"no type":                    {`"_type":"https://in-toto.io/Statement/v1",`, ``},
		"no subject":                 {`"subject":[{"digest":{"sha256":"` + subject.Hex() + `"}}],`, ``},
		"empty subject":              {`[{"digest":{"sha256":"` + subject.Hex() + `"}}]`, `[]`},
		"null subject":               {`[{`, `[null,{`},
		"subject without digest":     {`[{`, `[{"name":"x"},{`},
		"subject with empty digests": {`[{`, `[{"digest":{}},{`},
		"null digest":                {`"sha256":"` + subject.Hex() + `"`, `"sha256":null`},
		"upper-case hex":             {subject.Hex(), strings.ToUpper(subject.Hex())},
		"short hex":                  {subject.Hex(), subject.Hex()[1:]},
		"contradicting spelling":     {`"digest":{`, `"digest":{"SHA-256":"` + other.Hex() + `",`},
		"spelled otherwise":          {`"sha256"`, `"SHA256"`},
		"bad sha512":                 {`"digest":{`, `"digest":{"sha512":"abc",`},
		"unknown member":             {`"predicateType"`, `"extra":1,"predicateType"`},
		"unknown subject member":     {`[{`, `[{"digests":{},`},
		"case variant":               {`"subject"`, `"Subject"`},
		"case variant beside":        {`"subject"`, `"Subject":[],"subject"`},
		"case variant in subject":    {`"digest"`, `"Digest"`},
		"duplicate":                  {`"predicate":{}`, `"predicate":{},"predicate":{}`},
		"predicate null":             {`"predicate":{}`, `"predicate":null`},
		"predicate array":            {`"predicate":{}`, `"predicate":[]`},
		"predicate duplicates":       {`"predicate":{}`, `"predicate":{"a":{"b":1,"B":2}}`},
		"relative predicate type":    {`https://x.example/t`, `x.example/t`},
		"predicate type is a number": {`"https://x.example/t"`, `1`},
		"name is a number":           {`[{`, `[{"name":1,`},
		"many subjects":              {`[{`, `[` + strings.Repeat(`{"digest":{"sha256":"`+other.Hex()+`"}},`, attest.MaxSubjects) + `{`},
		"many digests":               {`"digest":{`, `"digest":{` + manyDigests(32)},
		"long name":                  {`[{`, `[{"name":"` + strings.Repeat("n", 4097) + `",`},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(good, r[0], r[1], 1)
			if doc == good {
				t.Fatal("the case changes nothing")
			}
			if s, err := attest.ParseStatement([]byte(doc)); !errors.Is(err, attest.ErrStatement) || s.Subjects != nil {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

func manyDigests(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"x` + strings.Repeat("y", i) + `":"1",`)
	}
	return b.String()
}

func TestBinds(t *testing.T) {
	hex := subject.Hex()
	for name, tc := range map[string]struct {
		digests map[string]string
		want    bool
	}{
		"sha256":               {map[string]string{"sha256": hex}, true},
		"with another strong":  {map[string]string{"sha256": hex, "sha512": strings.Repeat("a", 128)}, true},
		"with a weak one":      {map[string]string{"sha256": hex, "sha1": "abc"}, true},
		"another":              {map[string]string{"sha256": other.Hex()}, false},
		"under a weak name":    {map[string]string{"sha1": hex}, false},
		"under another name":   {map[string]string{"dirHash": hex}, false},
		"contradiction":        {map[string]string{"sha256": hex, "SHA256": other.Hex()}, false},
		"contradiction -":      {map[string]string{"sha256": hex, "sha-256": other.Hex()}, false},
		"malformed strong one": {map[string]string{"sha256": hex, "sha512": hex}, false},
		"none":                 {nil, false},
	} {
		s := attest.Statement{Subjects: []attest.Subject{{Name: string(subject), Digests: tc.digests}}}
		if got := s.Binds(subject); got != tc.want {
			t.Errorf("%s: binds %v", name, got)
		}
	}
	s := attest.Statement{Subjects: []attest.Subject{{Digests: map[string]string{"sha256": ""}}}}
	if s.Binds("") || (attest.Statement{}).Binds(subject) {
		t.Error("zero values bind")
	}
}

func TestCanonicalPredicateType(t *testing.T) {
	for short, want := range map[string]string{
		"custom": "https://cosign.sigstore.dev/attestation/v1", "slsaprovenance": "https://slsa.dev/provenance/v0.2",
		"slsaprovenance02": "https://slsa.dev/provenance/v0.2", "slsaprovenance1": "https://slsa.dev/provenance/v1",
		"spdx": spdx, "spdxjson": spdx, "cyclonedx": "https://cyclonedx.org/bom", "link": "https://in-toto.io/Link/v1",
		"vuln": "https://cosign.sigstore.dev/attestation/vuln/v1", "openvex": "https://openvex.dev/ns",
		"https://example.com/x/v1": "https://example.com/x/v1", "urn:example:x": "urn:example:x",
	} {
		if got, err := attest.CanonicalPredicateType(short); err != nil || got != want {
			t.Errorf("%s: %s, %v", short, got, err)
		}
	}
	for _, s := range []string{"", "SPDX", "spdx ", "example.com/x", "/x", "https://", "https:///x", "http://a\nb", "ht tp://a", "https://x/" + strings.Repeat("a", 600)} {
		if got, err := attest.CanonicalPredicateType(s); !errors.Is(err, attest.ErrPredicateType) || got != "" {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

// FuzzParseStatement: what is accepted encodes and parses to the same
// statement, is unambiguous JSON, and encodes stably.
func FuzzParseStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + subject.Hex() + `"}}],"predicateType":"https://x.example/t","predicate":{}}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"a","digest":{"sha1":"x"},"uri":"u"}],"predicateType":"urn:a:b"}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","Subject":[],"subject":[{"digest":{"gitCommit":"x"}}],"predicateType":"urn:a:b","predicate":{"a":"\u2028<"} }`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := attest.ParseStatement(b)
		if err != nil {
			if !errors.Is(err, attest.ErrStatement) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if err := attest.CheckJSON(b, attest.MaxDepth, attest.MaxStatementBytes); err != nil {
			t.Fatalf("accepted, but CheckJSON says %v", err)
		}
		encoded, err := s.Encode()
		if err != nil {
			t.Fatalf("accepted, but cannot be encoded: %v", err)
		}
		again, err := attest.ParseStatement(encoded)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("parsed again: %+v, %v; was %+v", again, err, s)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(encoded, twice) {
			t.Fatalf("encodings differ: %s, %s (%v)", encoded, twice, err)
		}
	})
}
