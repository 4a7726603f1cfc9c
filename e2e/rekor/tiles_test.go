// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	// manyEntries fill several tiles, so that there is one of level 1.
	manyEntries = 2000
	// fillers send them.
	fillers = 16
)

// fill appends entries to the v2 log.
func fill(t *testing.T, l *lab.Lab, entries int) {
	t.Helper()
	a := newAuthor(t)
	var wg sync.WaitGroup
	failed := make(chan string, fillers)
	for f := range fillers {
		wg.Go(func() {
			for i := range entries / fillers {
				got := send(t, http.MethodPost, l.URL+"/api/v2/log/entries", "application/json", a.hashedRekordV2(t, fmt.Appendf(nil, "filler %d %d", f, i)))
				if got.status != http.StatusCreated {
					failed <- fmt.Sprintf("%d %s", got.status, got.body)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for why := range failed {
		t.Fatalf("append: %s", why)
	}
}

// stockFsck has Tessera's fsck and our own CLI read every log whole.
func stockFsck(t *testing.T, l *lab.Lab) {
	fill(t, l, manyEntries)
	for _, row := range listLogs(t, l) {
		bases := []string{l.URL + "/hallmark/v1/logs/" + row.Name}
		if row.Kind == "v2" {
			bases = append(bases, l.URL, l.URL+"/api/v2")
		}
		for _, base := range bases {
			tesseraFsck(t, row, base)
		}
		row.PublicKey = newAuthor(t).der(t)
		if words, whole := tesseraSays(t, row, bases[0]); whole {
			t.Errorf("Tessera's fsck believes another key: %s", words)
		}
		hallmark(t, l, 0, fmt.Sprintf("whole\t%s\t%d entries", row.Origin, row.Size), "log", "fsck", "--url", bases[len(bases)-1])
	}
	hallmark(t, l, 0, "whole\t", "log", "fsck")
	hallmark(t, l, 0, " entries\n", "log", "list")
}

// tesseraFsck runs Tessera's fsck, which exits with 0 whatever it finds and
// says so in its log.
func tesseraFsck(t *testing.T, row listedLog, base string) {
	t.Helper()
	if words, whole := tesseraSays(t, row, base); !whole {
		t.Errorf("Tessera's fsck of %s at %s: %s", row.Origin, base, words)
	}
}

func tesseraSays(t *testing.T, row listedLog, base string) (words string, whole bool) {
	t.Helper()
	a := &author{dir: t.TempDir()}
	// The key as C2SP signed-note writes it; 2 is ECDSA as Sigstore's logs have
	// it (transparency-dev/formats).
	name, _, _ := strings.Cut(row.Origin, " - ")
	id := sha256.Sum256(row.PublicKey)
	vkey := fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(append([]byte{2}, row.PublicKey...)))
	r := stock.Command{Tool: "tlog-fsck"}.Run(t, "--storage_url", base+"/", "--public_key", a.file(t, "key", []byte(vkey)),
		"--origin", row.Origin, "--ui=false", "--logtostderr", "--v=1", "--N=2")
	return r.Stderr, r.Code == 0 && !strings.Contains(r.Stderr, "fsck failed") && strings.Contains(r.Stderr, "Completed ranges")
}
