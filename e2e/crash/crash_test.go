// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
)

// recoveryTimeout is how long a server that is ready may take to finish what
// another has left.
const recoveryTimeout = 20 * time.Second

// TestSQLite kills the only server at every step, and once more while it
// recovers.
func TestSQLite(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{BundleLog: "both"})
	l.Stop(t)
	for i, s := range steps() {
		t.Run(s.point, func(t *testing.T) {
			token, image := token(t, l), l.PushSmall(t, "acme/app", fmt.Sprint("step", i))
			l.ServeFaulty(t, s.point)
			noAnswer(t, l, token, image)
			judge(t, openSQLite(t, l), l.Registry, image)
			if s.again != "" {
				l.ServeFaulty(t, s.again)
				l.WaitDead(t)
				judge(t, openSQLite(t, l), l.Registry, image)
			}
			l.Fsck(t)
			l.Serve(t)
			recovered := eventually(t, s, func() story { return judge(t, openSQLite(t, l), l.Registry, image) })
			r := mustSign(t, l, token, image)
			if s.signed && recovered.receipts[0].ID != r.ID {
				t.Errorf("recovery gave receipt %s, the same request again %s", recovered.receipts[0].ID, r.ID)
			}
			l.Stop(t)
			end := judge(t, openSQLite(t, l), l.Registry, image)
			end.finished(t, r)
		})
	}
	l.Fsck(t)
}

// eventually waits until a server that was started has finished or voided what
// it found.
func eventually(t testing.TB, s step, look func() story) story {
	t.Helper()
	deadline := time.After(recoveryTimeout)
	again := time.NewTicker(20 * time.Millisecond) // what is waited for is in a database: nothing tells
	defer again.Stop()
	for {
		now := look()
		open := now.events[signer.DecisionGranted] - now.events[signer.DecisionVoided] - now.events[signer.DecisionSigned]
		if open == 0 {
			if s.signed != (len(now.receipts) == 1) {
				t.Fatalf("after %q: %d receipts, %v", s.point, len(now.receipts), now.events)
			}
			return now
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("after %q nothing was finished or voided: %v", s.point, now.events)
		}
	}
}

// TestPostgres kills one of two servers at every step. The job asks the other
// one at once, while the dead one's intent is open.
func TestPostgres(t *testing.T) {
	t.Parallel()
	pg := pglab.Start(t)
	database := pg.NewDatabase(t)
	doomed := lab.Start(t, lab.Options{Database: database, BundleLog: "both"})
	other := doomed.Replica(t)
	doomed.Stop(t)
	type request struct {
		token, image string
		receipt      signer.Receipt
	}
	var asked []request
	look := func(image string) story { return judge(t, openPostgres(t, database), doomed.Registry, image) }
	for i, s := range steps() {
		t.Run(s.point, func(t *testing.T) {
			token, image := token(t, doomed), doomed.PushSmall(t, "acme/app", fmt.Sprint("step", i))
			doomed.ServeFaulty(t, s.point)
			noAnswer(t, doomed, token, image)
			look(image)
			r := mustSign(t, other, token, image)
			first := look(image)
			first.finished(t, r)
			asked = append(asked, request{token, image, r})
		})
	}
	doomed.Serve(t)
	for _, r := range asked {
		if again := mustSign(t, doomed, r.token, r.image); again.ID != r.receipt.ID {
			t.Errorf("one server gave receipt %s, the other %s", r.receipt.ID, again.ID)
		}
		end := look(r.image)
		end.finished(t, r.receipt)
	}
	doomed.Fsck(t)
}

// fatal is a registry that kills the service when it writes a manifest: before
// or after it is stored.
type fatal struct {
	armed atomic.Int32 // 0: not, 1: before, 2: after
	kill  atomic.Pointer[func()]
}

func (f *fatal) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/sha256:") {
			next.ServeHTTP(w, r)
			return
		}
		switch f.armed.Swap(0) {
		case 1:
			(*f.kill.Load())()
		case 2:
			stored := httptest.NewRecorder()
			next.ServeHTTP(stored, r)
			(*f.kill.Load())()
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// TestHalfAttached kills the server while the registry stores the bundle's
// manifest: between the blob and it, and between it and the answer.
func TestHalfAttached(t *testing.T) {
	t.Parallel()
	var registry fatal
	l := lab.Start(t, lab.Options{BundleLog: "both", Wrap: registry.wrap})
	kill := func() { l.Kill(t) }
	registry.kill.Store(&kill)
	for when, name := range map[int32]string{1: "before", 2: "after"} {
		token, image := token(t, l), l.PushSmall(t, "acme/app", name)
		registry.armed.Store(when)
		if a := ask(t, l.URL, token, image); a.Status != 0 {
			t.Errorf("%s: answer %d %s", name, a.Status, a.Body)
		}
		s := judge(t, openSQLite(t, l), l.Registry, image)
		if want := int(when) - 1; len(s.attached) != want || len(s.receipts) != 0 {
			t.Errorf("%s: %d attached, %d receipts", name, len(s.attached), len(s.receipts))
		}
		l.Serve(t)
		eventually(t, step{point: name, signed: true}, func() story { return judge(t, openSQLite(t, l), l.Registry, image) })
		r := mustSign(t, l, token, image)
		s = judge(t, openSQLite(t, l), l.Registry, image)
		s.finished(t, r)
	}
	l.Stop(t)
	l.Fsck(t)
}
