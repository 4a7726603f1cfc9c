// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// requestTo asks for a signature in another repository each time: a different
// request about the same digest.
func requestTo(n int) signer.Request {
	req := goodRequest()
	req.Image = strings.Replace(req.Image, "acme/app", fmt.Sprintf("acme/app%d", n), 1)
	return req
}

func wantReplayed(t *testing.T, err error, reason string) {
	t.Helper()
	var replayed *signer.Replayed
	if !errors.As(err, &replayed) || replayed.Reason != reason {
		t.Errorf("got %v, want the refusal %q", err, reason)
	}
}

// TestReplay: one token, twenty different requests, and no more; what is refused
// is on record and leaves nothing.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	for n := range signer.DefaultMaxUses {
		if _, err := s.Sign(t.Context(), requestTo(n)); err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
	}
	_, err := s.Sign(t.Context(), requestTo(1000))
	wantReplayed(t, err, signer.ReplayExhausted)
	last := w.audit[len(w.audit)-1]
	if last.Decision != signer.DecisionRefused || last.Stage != "replay" || last.Requester.TokenID != "jti:1" || len(last.Reasons) != 1 || !strings.Contains(last.Reasons[0], "maxUses") {
		t.Errorf("recorded %+v", last)
	}
	if got := len(w.logs[0].entries); got != signer.DefaultMaxUses || len(w.intents) != signer.DefaultMaxUses {
		t.Errorf("%d entries and %d intents, want %d", got, len(w.intents), signer.DefaultMaxUses)
	}
	// What it was used for, it is good for.
	if _, err := s.Sign(t.Context(), requestTo(3)); err != nil {
		t.Errorf("a request that was served: %v", err)
	}
	// A restart forgets nothing.
	_, err = w.start().Sign(t.Context(), requestTo(1000))
	wantReplayed(t, err, signer.ReplayExhausted)
	w.check()
}

// TestReplayConfigured: an identity source may have another limit.
func TestReplayConfigured(t *testing.T) {
	w := newWorld(t)
	w.maxUses = map[string]int{"github": 2, "gitlab": 5}
	s := w.start()
	for n := range 3 {
		_, err := s.Sign(t.Context(), requestTo(n))
		if (err != nil) != (n == 2) {
			t.Errorf("request %d: %v", n, err)
		}
	}
}

// TestReplayHolder: a token's id seen with another project or SAN than at first
// is refused, and changes nothing for the first.
func TestReplayHolder(t *testing.T) {
	for name, change := range map[string]func(*signer.Principal){
		"project": func(p *signer.Principal) { p.Extensions.SourceRepositoryIdentifier = "2" },
		"SAN":     func(p *signer.Principal) { p.SAN += "x" },
		"source":  func(p *signer.Principal) { p.Provider = "gitlab" },
	} {
		w := newWorld(t)
		w.principal = func(p *signer.Principal) { p.Extensions.SourceRepositoryIdentifier = "1" }
		s := w.start()
		if _, err := s.Sign(t.Context(), requestTo(1)); err != nil {
			t.Fatal(err)
		}
		first := w.principal
		w.principal = func(p *signer.Principal) { first(p); change(p) }
		_, err := s.Sign(t.Context(), requestTo(2))
		if name == "source" { // the kind of a source is no part of who holds a token
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantReplayed(t, err, signer.ReplayOtherHolder)
		w.principal = first
		if _, err := s.Sign(t.Context(), requestTo(3)); err != nil {
			t.Errorf("%s: the first holder: %v", name, err)
		}
	}
}

// TestReplaySources: two sources can have one issuer's name, as clusters do, and
// ids that know nothing of each other. Each has its own uses.
func TestReplaySources(t *testing.T) {
	w := newWorld(t)
	_, rule, _ := strings.Cut(testPolicy, "rules:\n")
	w.policy += strings.Replace(rule, "acme\n  identity: github", "others\n  identity: second", 1)
	w.maxUses = map[string]int{"github": 1, "second": 1}
	s := w.start()
	if _, err := s.Sign(t.Context(), requestTo(1)); err != nil {
		t.Fatal(err)
	}
	w.principal = func(p *signer.Principal) { p.Identity = "second" }
	if _, err := s.Sign(t.Context(), requestTo(2)); err != nil {
		t.Errorf("the other source's token of that id: %v", err)
	}
	_, err := s.Sign(t.Context(), requestTo(3))
	wantReplayed(t, err, signer.ReplayExhausted)
}

// TestRefusedRequestsAreNoUses: what comes to nothing does not use a token up.
func TestRefusedRequestsAreNoUses(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	for range 2 * signer.DefaultMaxUses {
		req := goodRequest()
		req.Image = strings.Replace(req.Image, "acme/", "other/", 1)
		if _, err := s.Sign(t.Context(), req); err == nil {
			t.Fatal("policy let it pass")
		}
	}
	w.down["ca"] = errors.New("down")
	for range 2 * signer.DefaultMaxUses { // one request
		if _, err := s.Sign(t.Context(), requestTo(1)); err == nil {
			t.Fatal("signed without a CA")
		}
	}
	clear(w.down)
	for n := range signer.DefaultMaxUses {
		if _, err := s.Sign(t.Context(), requestTo(n)); err != nil {
			t.Errorf("request %d: %v", n, err)
		}
	}
}

// TestProject: ids before names.
func TestProject(t *testing.T) {
	for want, p := range map[string]signer.Principal{
		"123":                           {SAN: workflow, Extensions: certificate.Extensions{SourceRepositoryIdentifier: "123"}},
		strings.Split(workflow, "@")[0]: {SAN: workflow},
		"https://kubernetes.io/namespaces/ci/serviceaccounts/builder": {SAN: "https://kubernetes.io/namespaces/ci/serviceaccounts/builder"},
	} {
		if got := signer.Project(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestCopiesAskOnce: a thousand copies of a request at one time are one question
// to the registry, one intent, one signature and one attachment, and nobody is
// made to wait for a thousand.
func TestCopiesAskOnce(t *testing.T) {
	const copies = 1000
	w := newWorld(t)
	registry := &slowRegistry{Registry: w, gate: make(chan struct{})}
	s := w.startWith(func(cfg *signer.Config) { cfg.Registry = registry })
	registry.hold = func() { // the first one's bundle, until the others wait for its receipt
		for s.Queued() < copies {
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	ids := make([]string, copies)
	for i := range copies {
		wg.Go(func() {
			receipt, err := s.Sign(context.Background(), goodRequest())
			if err != nil {
				t.Error(err)
			}
			ids[i] = receipt.ID
		})
	}
	for s.Waiting(goodRequest().Image) < copies-1 {
		runtime.Gosched()
	}
	close(registry.gate)
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("receipts %s and %s for one request", id, ids[0])
		}
	}
	if registry.asked != 1 || registry.attached != 1 || len(w.logs[0].entries) != 1 {
		t.Errorf("%d questions, %d attachments, %d entries for %d copies", registry.asked, registry.attached, len(w.logs[0].entries), copies)
	}
	w.check()
}

// slowRegistry answers when its gate is opened, and counts.
type slowRegistry struct {
	signer.Registry
	gate            chan struct{}
	hold            func()
	mu              sync.Mutex
	asked, attached int
}

func (r *slowRegistry) Resolve(ctx context.Context, ref string) (oci.Artifact, error) {
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	<-r.gate
	return r.Registry.Resolve(ctx, ref)
}

func (r *slowRegistry) AttachBundle(ctx context.Context, a oci.Artifact, b oci.BundleBlob) (attest.Digest, error) {
	r.mu.Lock()
	r.attached++
	r.mu.Unlock()
	r.hold()
	return r.Registry.AttachBundle(ctx, a, b)
}
