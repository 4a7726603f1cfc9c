// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestRefusalAsData: with -o json a refusal is an object on stdout, with the
// reasons, the checks and the id under which the service's log has it; the exit
// code and the words are the same.
func TestRefusalAsData(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("X-Request-Id", "r-7")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"type": "urn:hallmark:problem:refused", "title": "Forbidden", "status": 403, "detail": "refused: a; b", "errors": [{"message": "a", "location": "policy"}, {"message": "b"}],
			"checks": [{"rule": "acme", "name": "evidence.sbom", "passed": false, "detail": "none"}]}`)
	}))
	t.Cleanup(server.Close)
	env := func(out, errs io.Writer) environment {
		return environment{getenv: func(n string) string {
			return map[string]string{"HALLMARK_ID_TOKEN": "x.y.z", "HALLMARK_URL": server.URL}[n]
		}, stdin: strings.NewReader(""), stdout: out, stderr: errs}
	}
	var text, words bytes.Buffer
	if code := run(t.Context(), []string{"sign", "r.example/acme/app:v1"}, env(&text, &words)); code != exitNo || text.Len() != 0 {
		t.Errorf("exit %d, stdout %q", code, text.String())
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"sign", "r.example/acme/app:v1", "-o", "json"}, env(&out, &errs)); code != exitNo || errs.String() != words.String() {
		t.Errorf("exit %d, stderr %q, want %q", code, errs.String(), words.String())
	}
	var answer struct {
		Error struct {
			ExitCode, Status         int
			Message, Type, RequestID string
			Reasons                  []string
			Checks                   []struct{ Rule, Name, Detail string }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if e := answer.Error; e.ExitCode != exitNo || e.Status != http.StatusForbidden || e.Type != "urn:hallmark:problem:refused" || e.RequestID != "r-7" ||
		!slices.Equal(e.Reasons, []string{"a", "b"}) || len(e.Checks) != 1 || e.Checks[0].Name != "evidence.sbom" {
		t.Errorf("%+v", e)
	}
	if strings.Contains(out.String(), "x.y.z") {
		t.Error("the token is in the answer")
	}
}
