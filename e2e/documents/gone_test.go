// SPDX-License-Identifier: Apache-2.0

package documents

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// spooled are the documents that the server holds: files without names.
func spooled(t *testing.T, l *lab.Lab) (files []string) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", l.PID())
	open, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		if to, err := os.Readlink(filepath.Join(folder, f.Name())); err == nil && strings.Contains(to, "/spool/document-") { // closed meanwhile
			files = append(files, to)
		}
	}
	return files
}

// until waits for something that the server does by itself.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestClientGone: clients that go away in the middle of a large document, of a
// second one, and before a word of any, leave nothing: not in the spool, not in the
// registry, not in the journal.
func TestClientGone(t *testing.T) {
	var registry counter
	l := lab.Start(t, lab.Options{Wrap: registry.wrap, Signing: "embedEvidence: 64KiB"})
	j := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	document := spdx(50_000) // 5 MB
	part := func(name, content string) string {
		return fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s", name, content)
	}
	request := part("request", fmt.Sprintf(`{"image": %q, "evidence": [{"part": "a", "kind": "sbom"}, {"part": "b", "kind": "sbom"}]}`, image)) + "\r\n"
	head := fmt.Sprintf("POST /hallmark/v1/attest HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n", j.Bearer, 3*len(document))
	registry.since()
	for name, tc := range map[string]struct {
		body  string
		files int // that the server holds then
	}{
		"in the first":  {request + part("a", document[:len(document)/2]), 1},
		"in the second": {request + part("a", document) + "\r\n" + part("b", document[:len(document)/2]), 2},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(l.URL, "http://")) //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(head + tc.body)); err != nil {
			t.Fatal(err)
		}
		until(t, name+": the server holds what came", func() bool { return len(spooled(t, l)) == tc.files })
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		until(t, name+": the server forgets it", func() bool { return len(spooled(t, l)) == 0 })
	}
	for _, r := range registry.since() {
		if !strings.HasPrefix(r.what, "GET ") && !strings.HasPrefix(r.what, "HEAD ") {
			t.Errorf("the registry was written to: %s", r.what)
		}
	}
	if left, err := os.ReadDir(filepath.Join(l.Dir, "spool")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
	// Whoever comes after them finds everything as it was.
	if receipts := j.attest(t, image, "--sbom", j.File(t, "sbom.json", document)); len(receipts) != 1 {
		t.Errorf("%d receipts", len(receipts))
	}
	l.Stop(t)
	db, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(l.Dir, "hallmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	events, err := db.Events(t.Context(), store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	decisions := map[string]int{}
	for _, e := range events {
		decisions[fmt.Sprint(e.Decision)]++
	}
	if decisions["granted"] != 1 || decisions["signed"] != 1 || len(decisions) != 2 {
		t.Errorf("recorded: %v", decisions)
	}
	l.Fsck(t)
}
