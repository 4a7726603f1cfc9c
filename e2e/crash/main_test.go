// SPDX-License-Identifier: Apache-2.0

// Package crash kills hallmark-server at every step of the flow, and counts.
//
// The steps are the fault points of signer/sign.go. A server that is built with
// the tag hallmarkfaults kills itself there, with SIGKILL; the server that is
// shipped has none of it. Each step is a request of its own: the server dies at
// it, its deployment is judged as it lies there, it is started again, dies once
// more while it recovers where that can be, and is judged again; and in the end
// the same request is asked once more.
//
// What is judged, at every instant, are the promises of docs/DESIGN.md: no
// attachment and no receipt without a log entry, no second signature for one
// request, and journal, audit record, log and registry that tell one story.
package crash

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func TestMain(m *testing.M) { lab.Main(m) }

// step is where a server is killed.
type step struct {
	point string
	// again is where the server that recovers from it is killed; empty: it has
	// nothing to finish.
	again string
	// signed says that the request's signature survives.
	signed bool
}

// steps are those of the flow with two logs, in order.
func steps() []step {
	return []step{
		{"granted", "", false},
		{"intent recorded", "voided", false},
		{"signed", "", false},
		{"signature kept", "logged", true},
		{"logged", "logged:2", true},
		{"logged:2", "checked", true},
		{"checked", "attached", true},
		{"attached", "attached:2", true},
		{"attached:2", "finished", true},
		{"finished", "", true},
	}
}

// answer is what a job gets; Status 0: none.
type answer struct {
	Status int
	Body   string
	signer.Receipt
}

// ask asks a server for a signature.
func ask(t testing.TB, url, token, image string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/hallmark/v1/sign", strings.NewReader(`{"image": "`+image+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}
	}
	a := answer{Status: resp.StatusCode, Body: string(raw)}
	if a.Status == http.StatusOK {
		if err := json.Unmarshal(raw, &a.Receipt); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// mustSign is ask, and there must be a receipt.
func mustSign(t testing.TB, l *lab.Lab, token, image string) signer.Receipt {
	t.Helper()
	a := ask(t, l.URL, token, image)
	if a.Status != http.StatusOK {
		t.Fatalf("answer %d %s\n%s", a.Status, a.Body, l.Log())
	}
	return a.Receipt
}

// noAnswer asks a server that is about to die.
func noAnswer(t testing.TB, l *lab.Lab, token, image string) {
	t.Helper()
	if a := ask(t, l.URL, token, image); a.Status != 0 {
		t.Errorf("a server that should die answers %d %s", a.Status, a.Body)
	}
	l.WaitDead(t)
}

func token(t testing.TB, l *lab.Lab) string {
	t.Helper()
	return l.Token(t, devissuer.GitHub)
}

// TestNotShipped: the server that is shipped does not know how to kill itself.
func TestNotShipped(t *testing.T) {
	for program, want := range map[string]bool{lab.Program(t, "hallmark-server"): false, lab.FaultyProgram(t): true} {
		binary, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(binary, []byte("HALLMARK_FAULT")); got != want {
			t.Errorf("%s has fault points: %v, want %v", program, got, want)
		}
	}
}
