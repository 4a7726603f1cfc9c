// SPDX-License-Identifier: Apache-2.0

package schemas_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/schemas"
)

const reviewType = "https://acme.example/review/v1"

const review = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["reviewer"], "additionalProperties": false,
	"properties": {"reviewer": {"$ref": "#/$defs/name"}, "score": {"type": "integer", "minimum": 1}, "tags": {"type": "array", "items": {"type": "string"}}},
	"$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}`

func TestCheck(t *testing.T) {
	set, err := schemas.New(map[string][]byte{reviewType: []byte(review)})
	if err != nil {
		t.Fatal(err)
	}
	for predicate, says := range map[string]string{
		`{"reviewer": "ann", "score": 3}`: "",
		`{"score": 3}`:                    "$: ",
		`{"reviewer": "ann", "score": 0}`: "$.score: ",
		`{"reviewer": "Ann"}`:             "$.reviewer: ",
		`{"reviewer": "ann", "more": 1}`:  "$: ",
		`{"reviewer": "ann", "tags": ["a", 1, "` + strings.Repeat("x", 10_000) + `"]}`: "$.tags.1: ",
		`[]`: "$: ",
	} {
		err := set.Check(reviewType, []byte(predicate))
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) || (err != nil && len(err.Error()) > 3000) {
			t.Errorf("%.80s: %v, want %q", predicate, err, says)
		}
	}
	if err := set.Check("https://acme.example/other/v1", []byte(`[]`)); err != nil {
		t.Errorf("a type without a schema: %v", err)
	}
}

// TestNothingIsFetched: a schema that refers to something outside of its file is
// an error, and nothing is asked for.
func TestNothingIsFetched(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "name.json")
	if err := os.WriteFile(file, []byte(`{"type": "string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{server.URL + "/x.json", "file://" + file, "other.json", "https://json-schema.org/unknown"} {
		if _, err := schemas.New(map[string][]byte{reviewType: []byte(`{"$ref": "` + ref + `"}`)}); err == nil {
			t.Errorf("%s is taken", ref)
		}
	}
	if asked > 0 {
		t.Errorf("the network was asked %d times", asked)
	}
	for name, bad := range map[string]string{
		"not JSON": `{`, "twice": `{"type": "string", "type": "object"}`, "no schema": `{"type": 1}`, "long pattern": `{"pattern": "` + strings.Repeat("a", 1001) + `"}`,
	} {
		if _, err := schemas.New(map[string][]byte{reviewType: []byte(bad)}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := schemas.New(map[string][]byte{"no type": []byte(`{}`)}); err == nil {
		t.Error("a type that is none is taken")
	}
}
