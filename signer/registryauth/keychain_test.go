// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// resource is a repository of a registry.
type resource string

func (r resource) String() string      { return string(r) }
func (r resource) RegistryStr() string { host, _, _ := strings.Cut(string(r), "/"); return host }

// fake is a source that can be told what to answer.
type fake struct {
	mu    sync.Mutex
	asked int
	life  time.Duration // 0: the end is not known
	now   time.Time
	err   error
	wait  chan struct{}
}

func (f *fake) Credentials(context.Context) (authn.AuthConfig, time.Time, error) {
	if f.wait != nil {
		<-f.wait
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil {
		return authn.AuthConfig{}, time.Time{}, f.err
	}
	var end time.Time
	if f.life != 0 {
		end = f.now.Add(f.life)
	}
	return authn.AuthConfig{Username: "robot", Password: "password " + string(rune('0'+f.asked))}, end, nil
}

func keychainOf(f *fake) (*Keychain, *account) {
	k := NewKeychain(map[string]Source{"registry.example": f}, nil)
	a := k.accounts["registry.example"]
	f.now = time.Now()
	a.now = func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now }
	return k, a
}

func (f *fake) after(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func password(t *testing.T, k *Keychain, name string) string {
	t.Helper()
	a, err := authn.Resolve(t.Context(), k, resource(name))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := authn.Authorization(t.Context(), a)
	if err != nil {
		return "error: " + err.Error()
	}
	return cfg.Password
}

// TestKeychainIsPerHost: a host that is not configured gets nothing, however
// much its name looks like one that is.
func TestKeychainIsPerHost(t *testing.T) {
	k, _ := keychainOf(&fake{})
	if got := password(t, k, "registry.example/acme/app"); got != "password 1" {
		t.Errorf("configured host: %q", got)
	}
	for _, name := range []string{
		"registry.example:5000/a", "sub.registry.example/a", "registry.example.evil.example/a", "evilregistry.example/a", "Registry.example/a", "registry.example./a", "other/registry.example", "",
	} {
		if a, err := k.Resolve(resource(name)); err != nil || a != authn.Anonymous {
			t.Errorf("%q: %v, %v", name, a, err)
		}
	}
}

// TestReplacedBeforeTheirEnd: credentials are replaced ten minutes before they
// end, and go on working if the source is down at that time.
func TestReplacedBeforeTheirEnd(t *testing.T) {
	f := &fake{life: time.Hour}
	k, _ := keychainOf(f)
	for _, step := range []struct {
		after time.Duration
		err   error
		want  string
		asked int
	}{
		{0, nil, "password 1", 1},
		{49 * time.Minute, nil, "password 1", 1},
		{2 * time.Minute, nil, "password 2", 2},                 // minute 51
		{51 * time.Minute, errors.New("down"), "password 2", 3}, // minute 102, they end at 111
		{10 * time.Second, errors.New("down"), "password 2", 3}, // not asked again at once
		{time.Minute, errors.New("down"), "password 2", 4},      // but after a while
		{10 * time.Minute, errors.New("down"), "error: credentials for registry.example: down", 5},
		{time.Second, nil, "password 6", 6},
	} {
		f.after(step.after)
		f.err = step.err
		if got := password(t, k, "registry.example/a"); got != step.want || f.asked != step.asked {
			t.Errorf("after %s: %q, asked %d times, want %q and %d", step.after, got, f.asked, step.want, step.asked)
		}
	}
}

// TestShortLived: a cloud that gives the same token until it ends is not asked
// for each request, and nothing is used after its end.
func TestShortLived(t *testing.T) {
	f := &fake{life: time.Minute}
	k, _ := keychainOf(f)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "password 1"}, {29 * time.Second, "password 1"}, {2 * time.Second, "password 2"}} {
		f.after(step.after)
		if got := password(t, k, "registry.example/a"); got != step.want {
			t.Errorf("after %s: %q, want %q", step.after, got, step.want)
		}
	}
	f.life = -time.Second
	f.after(time.Minute)
	if got := password(t, k, "registry.example/a"); !strings.Contains(got, "clock") {
		t.Errorf("ended already: %q", got)
	}
}

// TestUnknownEnd: a file is read again after a minute.
func TestUnknownEnd(t *testing.T) {
	f := &fake{}
	k, _ := keychainOf(f)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "password 1"}, {59 * time.Second, "password 1"}, {time.Second, "password 2"}} {
		f.after(step.after)
		if got := password(t, k, "registry.example/a"); got != step.want {
			t.Errorf("after %s: %q, want %q", step.after, got, step.want)
		}
	}
	f.err = errors.New("gone")
	f.after(time.Minute)
	if got := password(t, k, "registry.example/a"); !strings.Contains(got, "gone") {
		t.Errorf("a removed file still works: %q", got)
	}
}

// TestAskedOnce: many requests wait for one question, and one that gives up
// does not take the answer from the others.
func TestAskedOnce(t *testing.T) {
	f := &fake{wait: make(chan struct{})}
	_, a := keychainOf(f)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := a.AuthorizationContext(ctx); first <- err }()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if cfg, err := a.AuthorizationContext(t.Context()); err != nil || cfg.Password != "password 1" {
				t.Errorf("%v, %v", cfg, err)
			}
		})
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	close(f.wait)
	wg.Wait()
	if f.asked != 1 {
		t.Errorf("asked %d times", f.asked)
	}
}

func TestBecause(t *testing.T) {
	got := because(errors.New("first\n\tsecond\x00 " + strings.Repeat("ä", 400))).Error()
	if !strings.HasPrefix(got, "first second ä") || len(got) > maxReason+len("…") || strings.ContainsAny(got, "\n\x00") {
		t.Errorf("%q", got)
	}
	if err := because(context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
