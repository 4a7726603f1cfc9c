// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

// documentSteps are where a server is killed that attests two documents: between
// the document and its statement, between the two statements, and behind both.
func documentSteps() []string {
	return []string{"document kept", "intent recorded:2", "logged", "attached", "finished"}
}

// attestTwo asks for statements about a small document and a large one.
func attestTwo(t testing.TB, url, token, image string) (answered bool, receipts []signer.Receipt) {
	t.Helper()
	small := `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}]}`
	large := `{"spdxVersion": "SPDX-2.3", "packages": [` + strings.TrimSuffix(strings.Repeat(`{"name": "a library"},`, 10_000), ",") + `]}`
	var body strings.Builder
	for _, part := range [][2]string{
		{"request", fmt.Sprintf(`{"image": %q, "evidence": [{"part": "small", "kind": "sbom"}, {"part": "large", "kind": "sbom"}]}`, image)}, {"small", small}, {"large", large},
	} {
		fmt.Fprintf(&body, "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", part[0], part[1])
	}
	body.WriteString("--b--\r\n")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/hallmark/v1/attest", strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, nil
	}
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, nil
	}
	var answer struct{ Receipts []signer.Receipt }
	if err := json.Unmarshal(raw, &answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answer %d %s", resp.StatusCode, raw)
	}
	return true, answer.Receipts
}

// TestDocuments kills the server at every step of two documents. What is attached
// is logged; and the same request again leaves two statements, whatever there was.
func TestDocuments(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{Signing: "embedEvidence: 64KiB"})
	l.Stop(t)
	for i, point := range documentSteps() {
		t.Run(point, func(t *testing.T) {
			token, image := token(t, l), l.PushSmall(t, "acme/app", fmt.Sprint("documents", i))
			l.ServeFaulty(t, point)
			if answered, _ := attestTwo(t, l.URL, token, image); answered {
				t.Error("a server that should die answers")
			}
			l.WaitDead(t)
			if left, err := os.ReadDir(filepath.Join(l.Dir, "spool")); err != nil || len(left) > 0 {
				t.Errorf("left in the spool: %v, %v", left, err)
			}
			attachedAreLogged(t, l, image)
			l.Fsck(t)
			l.Serve(t)
			_, receipts := attestTwo(t, l.URL, token, image)
			if len(receipts) != 2 || receipts[0].ID == receipts[1].ID {
				t.Fatalf("receipts %+v", receipts)
			}
			if _, again := attestTwo(t, l.URL, token, image); again[0].ID != receipts[0].ID || again[1].ID != receipts[1].ID {
				t.Errorf("again, other receipts")
			}
			if n := attachedAreLogged(t, l, image); n < 2 {
				t.Errorf("%d statements are attached", n)
			}
			db := openSQLite(t, l)
			for name, n := range entries(t, db, resolve(t, l.Registry, image).Digest) {
				if n != 2 {
					t.Errorf("log %s has %d statements", name, n)
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			l.Stop(t)
		})
	}
	l.Fsck(t)
}

// attachedAreLogged holds that every attached bundle is in its log, and counts
// them.
func attachedAreLogged(t testing.TB, l *lab.Lab, image string) int {
	t.Helper()
	db := openSQLite(t, l)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	found := bundles(t, l.Registry, resolve(t, l.Registry, image))
	for _, b := range found {
		if !logged(t, db, b.Bytes) {
			t.Errorf("bundle %s is attached and not in its log", b.Manifest)
		}
	}
	return len(found)
}
