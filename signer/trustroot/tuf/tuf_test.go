// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sigstoretuf "github.com/sigstore/sigstore-go/pkg/tuf"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func publics(keys ...crypto.Signer) []crypto.PublicKey {
	var out []crypto.PublicKey
	for _, k := range keys {
		out = append(out, k.Public())
	}
	return out
}

// stage is a deployment's keys, its roots, and its repository behind HTTP.
type stage struct {
	holders []crypto.Signer
	online  map[Role][]crypto.Signer
	roots   [][]byte
	last    *Root
	dir     string
	url     string
}

func (s *stage) spec(t testing.TB, threshold int) Spec {
	t.Helper()
	spec := Spec{Holders: publics(s.holders...), Threshold: threshold, Online: map[Role][]crypto.PublicKey{}, Expires: time.Now().Add(365 * 24 * time.Hour)}
	for role, keys := range s.online {
		spec.Online[role] = publics(keys...)
	}
	return spec
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{
		holders: []crypto.Signer{newKey(t), newKey(t), newKey(t)},
		online:  map[Role][]crypto.Signer{RoleTargets: {newKey(t)}, RoleSnapshot: {newKey(t)}, RoleTimestamp: {newKey(t)}},
		dir:     filepath.Join(t.TempDir(), "tuf"),
	}
	root, err := NewRoot(s.spec(t, 2))
	check(t, err)
	s.publish(t, root, s.holders[0], s.holders[1])
	server := httptest.NewServer(Handler(s.dir, "/tuf/"))
	t.Cleanup(server.Close)
	s.url = server.URL + "/tuf"
	return s
}

func (s *stage) publish(t testing.TB, root *Root, signers ...crypto.Signer) {
	t.Helper()
	for _, key := range signers {
		_, err := root.Sign(key, s.last)
		check(t, err)
	}
	check(t, root.Verify(s.last))
	doc, err := root.Bytes()
	check(t, err)
	s.roots, s.last = append(s.roots, doc), root
}

func (s *stage) update(t testing.TB, now time.Time, targets ...Target) Status {
	t.Helper()
	status, err := s.tryUpdate(now, targets...)
	check(t, err)
	return status
}

func (s *stage) tryUpdate(now time.Time, targets ...Target) (Status, error) {
	r, err := NewRepository(Config{Dir: s.dir, Signers: s.online, Life: map[Role]time.Duration{
		RoleTargets: 90 * 24 * time.Hour, RoleSnapshot: 9 * 24 * time.Hour, RoleTimestamp: 3 * 24 * time.Hour,
	}})
	if err != nil {
		return Status{}, err
	}
	return r.Update(s.roots, targets, now)
}

// client is sigstore-go's, with a cache of its own.
type client struct {
	root  []byte
	cache string
	url   string
}

func (s *stage) client(t testing.TB) client {
	return client{s.roots[0], t.TempDir(), s.url}
}

func (c client) get(name string) (string, error) {
	opts := &sigstoretuf.Options{Root: c.root, CachePath: c.cache, RepositoryBaseURL: c.url}
	tuf, err := sigstoretuf.New(opts)
	if err != nil {
		return "", err
	}
	doc, err := tuf.GetTarget(name)
	return string(doc), err
}

func (c client) wants(t testing.TB, name, content string) {
	t.Helper()
	got, err := c.get(name)
	if err != nil || got != content {
		t.Fatalf("%s: %q, %v; want %q", name, got, err, content)
	}
}

// TestClientFollows: sigstore-go's client sees each change, through changes of
// every key, and nothing is written without one.
func TestClientFollows(t *testing.T) {
	s, now := newStage(t), time.Now()
	c := s.client(t)
	one, two := Target{Name: "trusted_root.json", Content: []byte("one")}, Target{Name: "trusted_root.json", Content: []byte("two")}
	s.update(t, now, one)
	c.wants(t, "trusted_root.json", "one")
	if again := s.update(t, now.Add(time.Minute), one); again.Changed || !again.Due.After(now) {
		t.Errorf("an update without a change: %+v", again)
	}
	s.update(t, now, two)
	c.wants(t, "trusted_root.json", "two")

	// Every online key changes. First both sign, then the root names the new one,
	// then the old one goes.
	for _, role := range OnlineRoles() {
		old := s.online[role]
		s.online[role] = append(old, newKey(t))
		s.update(t, now, two)
		c.wants(t, "trusted_root.json", "two")
		spec := s.spec(t, 2)
		spec.Online[role] = publics(s.online[role][1])
		next, err := s.last.Next(spec)
		check(t, err)
		s.publish(t, next, s.holders[1], s.holders[2])
		s.update(t, now, two)
		c.wants(t, "trusted_root.json", "two")
		s.client(t).wants(t, "trusted_root.json", "two")
		s.online[role] = s.online[role][1:]
		s.update(t, now, two)
		c.wants(t, "trusted_root.json", "two")
		s.client(t).wants(t, "trusted_root.json", "two")
	}

	// A holder goes, another comes: both thresholds sign.
	leaving := s.holders[0]
	s.holders = []crypto.Signer{s.holders[1], s.holders[2], newKey(t)}
	next, err := s.last.Next(s.spec(t, 2))
	check(t, err)
	_, err = next.Sign(leaving, s.last)
	check(t, err)
	_, err = next.Sign(s.holders[2], s.last)
	check(t, err)
	if err := next.Verify(s.last); !errors.Is(err, ErrUnsigned) {
		t.Errorf("one of two old and one of two new holders: %v", err)
	}
	s.publish(t, next, s.holders[0])
	s.update(t, now, one)
	c.wants(t, "trusted_root.json", "one")

	// A repository that was lost and made again does not go back.
	check(t, os.RemoveAll(s.dir))
	s.update(t, now.Add(time.Hour), two)
	c.wants(t, "trusted_root.json", "two")
}

// TestRenewal: each role is renewed when a third of its life has gone, and not
// before.
func TestRenewal(t *testing.T) {
	s, now := newStage(t), time.Now()
	target := Target{Name: "a", Content: []byte("a")}
	s.update(t, now, target)
	if s.update(t, now.Add(23*time.Hour), target).Changed {
		t.Error("renewed before a third of the timestamp's life had gone")
	}
	later := s.update(t, now.Add(25*time.Hour), target)
	if !later.Changed || later.Expires[RoleTimestamp].Before(now.Add(3*24*time.Hour)) {
		t.Errorf("not renewed: %+v", later)
	}
	if files, err := filepath.Glob(filepath.Join(s.dir, "*.snapshot.json")); err != nil || len(files) != 1 {
		t.Errorf("snapshots: %v, %v", files, err)
	}
}

// TestOldClientsInBetween: files that a client has been told of are there as
// long as it may come for them, and go afterwards.
func TestPrune(t *testing.T) {
	s, now := newStage(t), time.Now()
	s.update(t, now, Target{Name: "a", Content: []byte("1")})
	s.update(t, now, Target{Name: "a", Content: []byte("2")})
	count := func() int {
		files, err := filepath.Glob(filepath.Join(s.dir, "targets", "*"))
		check(t, err)
		return len(files)
	}
	if n := count(); n != 2 {
		t.Errorf("%d targets right after a change, want both", n)
	}
	s.update(t, now.Add(2*time.Hour), Target{Name: "a", Content: []byte("2")})
	if n := count(); n != 1 {
		t.Errorf("%d targets after two hours, want one", n)
	}
	s.client(t).wants(t, "a", "2")
}

// TestTargetsKeyElsewhere: without its key everything but targets is renewed,
// and a change is refused with a hint.
func TestTargetsKeyElsewhere(t *testing.T) {
	s, now := newStage(t), time.Now()
	target := Target{Name: "a", Content: []byte("a")}
	s.update(t, now, target)
	s.online[RoleTargets] = nil
	if !s.update(t, now.Add(25*time.Hour), target).Changed {
		t.Error("the timestamp was not renewed")
	}
	s.client(t).wants(t, "a", "a")
	if _, err := s.tryUpdate(now, Target{Name: "a", Content: []byte("b")}); err == nil || !strings.Contains(err.Error(), "key is not here") {
		t.Errorf("a change without the key: %v", err)
	}
}

// TestRootRefuses roots that clients would refuse, or should.
func TestRootRefuses(t *testing.T) {
	s := newStage(t)
	for name, change := range map[string]func(*Spec){
		"threshold zero":       func(p *Spec) { p.Threshold = 0 },
		"threshold too high":   func(p *Spec) { p.Threshold = 4 },
		"a holder twice":       func(p *Spec) { p.Holders[1] = p.Holders[0] },
		"no timestamp key":     func(p *Spec) { p.Online[RoleTimestamp] = nil },
		"a root key is online": func(p *Spec) { p.Online[RoleTargets] = p.Holders[:1] },
		"a key of P-384": func(p *Spec) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			check(t, err)
			p.Holders[0] = key.Public()
		},
	} {
		spec := s.spec(t, 2)
		change(&spec)
		if _, err := NewRoot(spec); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	root, err := NewRoot(s.spec(t, 2))
	check(t, err)
	if _, err := root.Sign(newKey(t), nil); !errors.Is(err, ErrNotHolder) {
		t.Errorf("a stranger's signature: %v", err)
	}
	// One holder twice is one holder.
	for range 2 {
		_, err = root.Sign(s.holders[0], nil)
		check(t, err)
	}
	if err := root.Verify(nil); !errors.Is(err, ErrUnsigned) {
		t.Errorf("one signature twice: %v", err)
	}
	if err := root.Verify(s.last); err == nil {
		t.Error("version 1 after version 1")
	}
	doc := s.roots[0]
	for name, bad := range map[string][]byte{
		"another threshold": bytes.Replace(doc, []byte(`"threshold": 2`), []byte(`"threshold": 1`), 1),
		"another key id":    bytes.ReplaceAll(doc, []byte(`"`+s.last.KeyIDs(RoleTargets)[0]+`"`), []byte(`"`+strings.Repeat("0", 64)+`"`)),
		"not JSON":          []byte("root"),
		"too large":         bytes.Repeat([]byte(" "), maxMetadata+1),
	} {
		if bytes.Equal(bad, doc) {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if _, err := VerifyChain([][]byte{bad}); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

// TestEd25519Holder: the other kind of key signs as well.
func TestEd25519Holder(t *testing.T) {
	s := newStage(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	s.holders = append(s.holders, key)
	next, err := s.last.Next(s.spec(t, 2))
	check(t, err)
	s.publish(t, next, s.holders[0], s.holders[1], key)
	if n := len(next.Signers(next)); n != 3 {
		t.Errorf("%d signatures count, want 3", n)
	}
	s.update(t, time.Now(), Target{Name: "a", Content: []byte("a")})
	s.client(t).wants(t, "a", "a")
}

// TestUpdateRefuses keys that the root does not name, and names that cannot be
// served.
func TestUpdateRefuses(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"", "../root.json", "A", ".new", "a/b"} {
		if _, err := s.tryUpdate(time.Now(), Target{Name: name}); err == nil {
			t.Errorf("target %q was written", name)
		}
	}
	s.online[RoleSnapshot] = []crypto.Signer{newKey(t)}
	if _, err := s.tryUpdate(time.Now()); err == nil || !strings.Contains(err.Error(), "does not name the snapshot key") {
		t.Errorf("a key that the root does not name: %v", err)
	}
}

// TestHandler serves the repository's files and nothing else.
func TestHandler(t *testing.T) {
	s := newStage(t)
	s.update(t, time.Now(), Target{Name: "a", Content: []byte("a")})
	check(t, os.WriteFile(filepath.Join(s.dir, "secret.json"), []byte("secret"), 0o600))
	check(t, os.WriteFile(filepath.Join(s.dir, "timestamp.json.new"), []byte("half"), 0o600))
	check(t, os.WriteFile(filepath.Join(filepath.Dir(s.dir), "1.root.json"), []byte("outside"), 0o600))
	for path, want := range map[string]struct {
		code  int
		cache string
	}{
		"/timestamp.json":     {200, cacheNever},
		"/1.root.json":        {200, cacheForever},
		"/2.root.json":        {404, cacheNever},
		"/root.json":          {404, cacheNever},
		"/01.root.json":       {404, cacheNever},
		"/secret.json":        {404, cacheNever},
		"/timestamp.json.new": {404, cacheNever},
		"/../1.root.json":     {404, cacheNever},
		"/%2e%2e/1.root.json": {404, cacheNever},
		"/targets/":           {404, cacheNever},
		"/":                   {404, cacheNever},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/tuf"+path, http.NoBody)
		rec := httptest.NewRecorder()
		Handler(s.dir, "/tuf/").ServeHTTP(rec, req)
		if rec.Code != want.code || rec.Header().Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q, want %d %q", path, rec.Code, rec.Header().Get("Cache-Control"), want.code, want.cache)
		}
	}
	rec := httptest.NewRecorder()
	Handler(s.dir, "/tuf/").ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tuf/timestamp.json", http.NoBody))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", rec.Code)
	}
}

// FuzzParseRoot: what is read can be written, and is read the same again.
func FuzzParseRoot(f *testing.F) {
	f.Add(newStage(f).roots[0])
	f.Add([]byte(`{"signed":{"_type":"root"},"signatures":[]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := ParseRoot(doc)
		if err != nil {
			return
		}
		again, err := r.Bytes()
		check(t, err)
		if _, err := ParseRoot(again); err != nil {
			t.Fatalf("written and not read: %v", err)
		}
	})
}
