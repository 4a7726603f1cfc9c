// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// deployment is one or two servers, and how to look into their database.
type deployment struct {
	servers []*lab.Lab
	open    func(t *testing.T) store.Database
}

// deployments are what is true on one server must be true on: several, too.
func deployments() map[string]func(*testing.T, lab.Options) *deployment {
	return map[string]func(*testing.T, lab.Options) *deployment{
		"SQLite": func(t *testing.T, o lab.Options) *deployment {
			l := lab.Start(t, o)
			return &deployment{[]*lab.Lab{l}, func(t *testing.T) store.Database {
				t.Helper()
				db, err := sqlite.OpenReadOnly(context.Background(), filepath.Join(l.Dir, "hallmark.db"))
				if err != nil {
					t.Fatal(err)
				}
				return db
			}}
		},
		"PostgreSQL, two servers": func(t *testing.T, o lab.Options) *deployment {
			o.Database = pglab.Start(t).NewDatabase(t)
			l := lab.Start(t, o)
			return &deployment{[]*lab.Lab{l, l.Replica(t)}, func(t *testing.T) store.Database {
				t.Helper()
				u, err := url.Parse(o.Database)
				if err != nil {
					t.Fatal(err)
				}
				password, _ := u.User.Password()
				u.User = url.User(u.User.Username())
				db, err := postgres.OpenReadOnly(context.Background(), postgres.Config{URL: u.String(), Password: password})
				if err != nil {
					t.Fatal(err)
				}
				return db
			}}
		},
	}
}

// decided counts the audit events with a decision at a stage; an empty stage is
// any.
func (d *deployment) decided(t *testing.T, decision, stage string) (n int) {
	t.Helper()
	db := d.open(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	events, err := db.Events(t.Context(), store.EventQuery{Decision: decision})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		if stage == "" || ev.Stage == stage {
			n++
		}
	}
	return n
}

// reply is an answer to a request for a signature.
type reply struct {
	status  int
	header  http.Header
	problem problem
	receipt signer.Receipt
}

// request is post with everything that is in the answer.
func request(t testing.TB, server, token, image string) (r reply) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/hallmark/v1/sign", strings.NewReader(`{"image": "`+image+`"}`))
	if err != nil {
		t.Error(err)
		return r
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := crowd.Do(req)
	if err != nil {
		t.Error(err)
		return r
	}
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	r.status, r.header = resp.StatusCode, resp.Header
	into := any(&r.problem)
	if r.status == http.StatusOK {
		into = &r.receipt
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	return r
}

// crowd is a client for many requests at a time.
var crowd = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}

// TestReplay: one token asks for more different signatures than it may have, of
// all servers at once. As many as it may are served, wherever; the others are
// refused as replay, on record, and leave nothing.
func TestReplay(t *testing.T) {
	const extra = 6
	for name, start := range deployments() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, lab.Options{})
			first := d.servers[0]
			token := first.Token(t, devissuer.GitHub)
			var images []string
			for i := range signer.DefaultMaxUses + extra {
				images = append(images, first.PushSmall(t, "acme/app", fmt.Sprint("v", i)))
			}
			replies := make([]reply, len(images))
			var wg sync.WaitGroup
			for i, image := range images {
				for range 2 { // each is asked for twice, which counts once
					wg.Go(func() { replies[i] = request(t, d.servers[i%len(d.servers)].URL, token, image) })
				}
			}
			wg.Wait()
			served, refused := "", ""
			for i, r := range replies {
				switch {
				case r.status == http.StatusOK:
					served = images[i]
				case r.status == http.StatusForbidden && r.problem.Type == "urn:hallmark:problem:token-replayed" && strings.Contains(r.problem.Detail, "20 different requests"):
					refused = images[i]
				default:
					t.Errorf("%s: answer %d %+v", images[i], r.status, r.problem)
				}
			}
			if signed := d.decided(t, signer.DecisionSigned, ""); signed != signer.DefaultMaxUses {
				t.Errorf("%d signatures with one token, want %d", signed, signer.DefaultMaxUses)
			}
			if n := d.decided(t, signer.DecisionRefused, "replay"); n != 2*extra {
				t.Errorf("%d refusals are on record, want %d", n, 2*extra)
			}
			// The words of the CLI, and the request that was served before.
			r := first.Hallmark(t, token, "sign", refused)
			if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "replay: this token has served 20 different requests") || !strings.Contains(r.Stderr, "hint: request a new token") {
				t.Errorf("exit code %d, stdout %q: %s", r.Code, r.Stdout, r.Stderr)
			}
			if r := first.Hallmark(t, token, "sign", served); r.Code != 0 {
				t.Errorf("a request that was served: exit code %d: %s", r.Code, r.Stderr)
			}
			// A new token serves what was refused.
			mustSign(t, first, first.Token(t, devissuer.GitHub), refused)
			for _, server := range d.servers {
				server.Stop(t)
			}
			if report := first.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+signer.DefaultMaxUses+1)) {
				t.Errorf("want %d entries:\n%s", genesis+signer.DefaultMaxUses+1, report)
			}
		})
	}
}

// TestReplayOtherRun: a token id that another repository's run used first is
// refused.
func TestReplayOtherRun(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	mine := mint(t, l, func(c map[string]any) { c["jti"] = "the same" })
	theirs := l.Token(t, devissuer.GitHub, "repository=acme/other", "jti=the same")
	mustSign(t, l, mine, l.PushSmall(t, "acme/app", "v1"))
	image := l.PushSmall(t, "acme/other", "v1")
	if r := request(t, l.URL, theirs, image); r.status != http.StatusForbidden || r.problem.Type != "urn:hallmark:problem:token-replayed" || r.problem.Errors[0].Message != signer.ReplayOtherHolder {
		t.Errorf("answer %d %+v", r.status, r.problem)
	}
	mustSign(t, l, l.Token(t, devissuer.GitHub, "repository=acme/other"), image)
}

// TestThousandCopies: a thousand copies of one request at once, at all servers,
// are one signature, and one receipt for all of them. The servers do not grow.
func TestThousandCopies(t *testing.T) {
	const copies, mostResident = 1000, 200_000_000
	for name, start := range deployments() {
		t.Run(name, func(t *testing.T) {
			d := start(t, lab.Options{})
			first := d.servers[0]
			token, image := first.Token(t, devissuer.GitHub), first.PushSmall(t, "acme/app", "v1")
			replies := make([]reply, copies)
			var wg sync.WaitGroup
			for i := range copies {
				wg.Go(func() { replies[i] = request(t, d.servers[i%len(d.servers)].URL, token, image) })
			}
			wg.Wait()
			for _, r := range replies {
				if r.status != http.StatusOK || r.receipt.ID != replies[0].receipt.ID {
					t.Fatalf("answer %d %+v, receipts %s and %s", r.status, r.problem, r.receipt.ID, replies[0].receipt.ID)
				}
			}
			if signed := d.decided(t, signer.DecisionSigned, ""); signed != 1 {
				t.Errorf("%d signatures", signed)
			}
			verifyWith(t, first, image, 0)
			for _, server := range d.servers {
				if got := resident(t, server.PID()); got > mostResident {
					t.Errorf("a server grew to %d MB", got/1_000_000)
				}
				server.Stop(t)
			}
			if report := first.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+1)) {
				t.Errorf("want one entry and the first:\n%s", report)
			}
		})
	}
}

// resident is the largest resident set that a process ever had, bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestQuotas: a project above its quota is told when to come again, and others
// are served.
func TestQuotas(t *testing.T) {
	l := lab.Start(t, lab.Options{Config: "quotas: {project: {perMinute: 6, burst: 3}, identities: {gitlab: {identity: {perMinute: 1}}}}"})
	d := &deployment{open: func(t *testing.T) store.Database {
		t.Helper()
		db, err := sqlite.OpenReadOnly(context.Background(), filepath.Join(l.Dir, "hallmark.db"))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}}
	image := l.PushSmall(t, "acme/app", "v1")
	for i := range 12 {
		r := request(t, l.URL, l.Token(t, devissuer.GitHub), image)
		want := http.StatusOK
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if r.status != want {
			t.Errorf("request %d: answer %d %+v", i, r.status, r.problem)
		}
		if wait, err := strconv.Atoi(r.header.Get("Retry-After")); want != http.StatusOK && (err != nil || wait < 1 || wait > 10 || r.problem.Type != "urn:hallmark:problem:over-quota") {
			t.Errorf("request %d: Retry-After %q, %+v", i, r.header.Get("Retry-After"), r.problem)
		}
	}
	if n := d.decided(t, signer.DecisionRefused, "quota"); n != 1 {
		t.Errorf("%d refusals are on record, want one a minute", n)
	}
	mustSign(t, l, l.Token(t, devissuer.GitHub, "repository=acme/other"), l.PushSmall(t, "acme/other", "v1"))
	r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image)
	if r.Code != 3 || !strings.Contains(r.Stderr, "429") || !strings.Contains(r.Stderr, "the quota of project") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}
