// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

// ask signs an image; ok is false when no receipt came back, for any reason.
func ask(l *lab.Lab, token, image string) (r signer.Receipt, ok bool) {
	req, err := http.NewRequest(http.MethodPost, l.URL+"/hallmark/v1/sign", strings.NewReader(`{"image": "`+image+`"}`)) //nolint:noctx // ends with the service
	if err != nil {
		return r, false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, false
	}
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return r, false
	}
	return r, json.Unmarshal(raw, &r) == nil
}

// TestKill9 kills the service while it signs, at a different moment in each
// round, and starts it again. Afterwards the log is whole, every receipt that
// was given is true, and each request has exactly one signature.
func TestKill9(t *testing.T) {
	const rounds, perRound = 8, 6
	l := lab.Start(t, lab.Options{MaxUses: rounds * perRound})
	token := l.Token(t, devissuer.GitHub)
	var images []string
	given := map[string]signer.Receipt{}
	var mu sync.Mutex
	for round := range rounds {
		var batch []string
		for i := range perRound {
			batch = append(batch, l.PushSmall(t, "acme/app", fmt.Sprintf("r%d-%d", round, i)))
		}
		images = append(images, batch...)
		var wg sync.WaitGroup
		for _, image := range batch {
			wg.Go(func() {
				if r, ok := ask(l, token, image); ok {
					mu.Lock()
					given[image] = r
					mu.Unlock()
				}
			})
		}
		// The moment moves through the flow, which takes some tens of
		// milliseconds under this load.
		time.Sleep(time.Duration(round*12) * time.Millisecond)
		l.Kill(t)
		wg.Wait()
		l.Fsck(t)
		l.Serve(t)
	}
	for _, image := range images {
		r, ok := ask(l, token, image)
		if !ok {
			t.Fatalf("%s cannot be signed after the crashes:\n%s", image, l.Log())
		}
		if before, had := given[image]; had && before.ID != r.ID {
			t.Errorf("%s: receipt %s was given, now it is %s", image, before.ID, r.ID)
		}
		verifyWith(t, l, image, 0)
	}
	t.Logf("%d of %d requests were answered before the service died", len(given), len(images))
	l.Stop(t)
	if report := l.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+len(images))) {
		t.Errorf("%d requests, but:\n%s", len(images), report)
	}
}

// TestDiskFull takes the disk away from under the running service, by a limit
// on the size of its files, and gives it back.
func TestDiskFull(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	token := l.Token(t, devissuer.GitHub)
	mustSign(t, l, token, l.PushSmall(t, "acme/app", "before"))
	image := l.PushSmall(t, "acme/app", "during")

	limit := func(bytes uint64) {
		var old unix.Rlimit
		if err := unix.Prlimit(l.PID(), unix.RLIMIT_FSIZE, nil, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(l.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(smallest(t, l))
	r := l.Hallmark(t, token, "sign", image)
	if r.Code != 3 || r.Stdout != "" {
		t.Errorf("disk full: exit code %d, want 3, stdout %q: %s", r.Code, r.Stdout, r.Stderr)
	}
	verifyWith(t, l, image, 1)
	limit(unix.RLIM_INFINITY)
	mustSign(t, l, token, image)
	verifyWith(t, l, image, 0)
	l.Stop(t)
	if report := l.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+2)) {
		t.Errorf("want two entries and the first:\n%s", report)
	}
}

// smallest is a size that none of the database's files can grow beyond.
func smallest(t *testing.T, l *lab.Lab) uint64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(l.Dir, "hallmark.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Size())
}
