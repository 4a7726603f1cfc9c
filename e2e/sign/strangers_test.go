// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// onSQLite is a lab as a deployment.
func onSQLite(l *lab.Lab) *deployment {
	return &deployment{[]*lab.Lab{l}, func(t *testing.T) store.Database {
		t.Helper()
		db, err := sqlite.OpenReadOnly(context.Background(), filepath.Join(l.Dir, "hallmark.db"))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}}
}

// TestStrangers: somebody else's job at the same hosted CI, with the default quotas: it is told what its token says, whatever it asks for,
// and no more than so often; the registry is not asked, a row is left, and a job of the company notices nothing.
func TestStrangers(t *testing.T) {
	var asked atomic.Int64
	l := lab.Start(t, lab.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			next.ServeHTTP(w, r)
		})
	}})
	d := onSQLite(l)
	image := l.PushSmall(t, "acme/app", "v1")
	missing := l.Registry + "/acme/app@" + string(attest.DigestOf([]byte("nothing")))
	token := l.Token(t, devissuer.GitHub, "repository=mallory/app")
	before, begin := asked.Load(), time.Now()
	details, refused, over := map[string]bool{}, 0, 0
	for i := range 40 {
		r := request(t, l.URL, token, []string{image, missing, l.Registry + "/other/app:v1", "elsewhere.example/acme/app:v1"}[i%4])
		switch r.status {
		case http.StatusForbidden:
			refused++
			details[r.problem.Type+r.problem.Detail] = true
		case http.StatusTooManyRequests:
			over++
		default:
			t.Errorf("request %d: answer %d %+v", i, r.status, r.problem)
		}
	}
	took := time.Since(begin)
	// Twenty at once, and one more every six seconds.
	if len(details) != 1 || refused < 20 || refused > 21+int(took/(6*time.Second)) || refused+over != 40 {
		t.Errorf("%d refusals and %d above the quota, told apart as %v", refused, over, details)
	}
	for detail := range details {
		if !strings.Contains(detail, "no rule admits this identity for this repository") || !strings.Contains(detail, "mallory/app") || strings.Contains(detail, "own-organisation") {
			t.Errorf("a stranger is told %s", detail)
		}
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("the registry was asked %d times for a stranger", n)
	}
	if n := d.decided(t, signer.DecisionRefused, "policy"); n < 1 || n > 1+int(took/time.Minute) {
		t.Errorf("%d rows for one stranger in %s, want one a minute", n, took)
	}
	if r := l.Hallmark(t, l.Token(t, devissuer.GitHub, "repository=mallory/other"), "sign", image, "--dry-run"); r.Code != 1 || !strings.Contains(r.Stderr, "no rule admits") || strings.Contains(r.Stdout+r.Stderr, "own-organisation") {
		t.Errorf("dry run: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	// A colleague's pull request is no stranger.
	if r := l.Hallmark(t, l.Token(t, devissuer.GitHub, "event_name=pull_request"), "sign", image); r.Code != 1 || !strings.Contains(r.Stderr, `condition "trigger" failed`) {
		t.Errorf("a pull request: exit code %d: %s", r.Code, r.Stderr)
	}
	mustSign(t, l, l.Token(t, devissuer.GitHub), image)
}

// TestFullTag: a digest whose legacy tag is full is refused before anything is signed, and signed when the tag was deleted.
func TestFullTag(t *testing.T) {
	l := lab.Start(t, lab.Options{Signing: "legacyTags: true"})
	d := onSQLite(l)
	image := l.PushSmall(t, "acme/app", "v1")
	_, digest, _ := strings.Cut(image, "@")
	if digest == "" {
		t.Fatalf("%s has no digest", image)
	}
	var layers []string
	for i := range 256 {
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/x","size":1,"digest":%q}`, attest.DigestOf(fmt.Append(nil, i))))
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	full := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[%s]}`,
		manifestType, attest.DigestOf([]byte("{}")), strings.Join(layers, ","))
	tag := "http://" + l.Registry + "/v2/acme/app/manifests/" + strings.Replace(digest, ":", "-", 1) + ".sig"
	send := func(method string, body []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, tag, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", manifestType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // nothing in it
		if resp.StatusCode >= http.StatusMultipleChoices {
			t.Fatalf("%s: %s", method, resp.Status)
		}
	}
	send(http.MethodPut, full)
	r := request(t, l.URL, l.Token(t, devissuer.GitHub), image)
	if r.status != http.StatusUnprocessableEntity || !strings.Contains(r.problem.Detail, "nothing is signed") || !strings.Contains(r.problem.Detail, "delete the tag") {
		t.Errorf("answer %d %+v", r.status, r.problem)
	}
	if dry := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image, "--dry-run"); dry.Code != 1 || !strings.Contains(dry.Stderr, "delete the tag") {
		t.Errorf("dry run: exit code %d: %s%s", dry.Code, dry.Stdout, dry.Stderr)
	}
	if granted := d.decided(t, signer.DecisionGranted, ""); granted != 0 || d.decided(t, signer.DecisionRefused, "attach") != 1 {
		t.Errorf("%d grants are on record, and not the refusal", granted)
	}
	send(http.MethodDelete, nil)
	mustSign(t, l, l.Token(t, devissuer.GitHub), image)
}
