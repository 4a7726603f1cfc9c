// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-dev/hallmark/attest/oci"
	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

const (
	// waits and keeps are days and an hour in life. Nothing may be under way for
	// longer than keeps, on a machine that is busy with other tests as well.
	waits, keeps = 7 * time.Second, 12 * time.Second
	// maxAge is how old a client's copy gets: less than waits, as in life.
	maxAge = 4 * time.Second
)

// watcher is a client that looks again and again at an old image and at the
// newest one, and never may see either refused.
type watcher struct {
	l      *lab.Lab
	old    string
	newest atomic.Pointer[string]
	looks  atomic.Int64
	// newestSigned is newest with its receipt, and all what the service signed,
	// in order: of the loop that signs, and of the test when it has ended.
	newestSigned atomic.Pointer[signed]
	all          []signed
	requested    atomic.Int64 // signatures with certificates on request
	registry     *oci.Client
	policy       *verifier.Policy
	root         []byte
}

func newWatcher(t *testing.T, l *lab.Lab, old string) *watcher {
	t.Helper()
	w := &watcher{l: l, old: old}
	w.newest.Store(&old)
	var err error
	w.registry, err = oci.New(oci.Config{Registries: []oci.Registry{{Host: l.Registry, Insecure: true}}})
	check(t, err)
	w.policy, err = policy.NewTrustPolicy("rotation", policy.TrustPolicySpec{
		Images:  []string{l.Registry + "/"},
		Signers: []policy.Signer{{Name: "ci", Issuer: l.Issuer.URL(devissuer.GitHub), Subject: workflow, AllowOnRequest: true}},
		Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"ci"}}},
	})
	check(t, err)
	w.root, err = os.ReadFile(filepath.Join(l.Dir, "trust", "1.root.json"))
	check(t, err)
	return w
}

// library is a client of the library with a copy that is at most age old.
func (w *watcher) library(ctx context.Context, t *testing.T, age time.Duration) {
	var have *trust.Published
	var asked time.Time
	for ctx.Err() == nil {
		if have == nil || time.Since(asked) > age {
			var err error
			asked = time.Now()
			if have, err = trust.FromTUF(ctx, trust.TUF{URL: w.l.URL + "/tuf", Root: w.root}); err != nil {
				if ctx.Err() == nil {
					t.Errorf("client with a copy of at most %s: %v", age, err)
				}
				have = nil
				continue
			}
		}
		for _, image := range []string{w.old, *w.newest.Load()} {
			err := w.verify(ctx, have, image)
			// On a machine that stood still a copy can get older than was promised:
			// then nothing was shown.
			if time.Since(asked) > waits {
				continue
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("client with a copy of %s: %s: %v", time.Since(asked).Round(time.Millisecond), image, err)
			}
			w.looks.Add(1)
		}
		sleep(ctx, 500*time.Millisecond)
	}
}

func (w *watcher) verify(ctx context.Context, have *trust.Published, image string) error {
	v, err := verifier.New(have.Root, w.policy, verifier.WithRegistry(w.registry), verifier.WithRevocations(have.Revocations, time.Hour))
	if err != nil {
		return err
	}
	d, err := v.Verify(ctx, image)
	if err == nil && !d.Allowed() {
		err = fmt.Errorf("denied: %s", strings.Join(d.Reasons(), "; "))
	}
	return err
}

// stock is a stock cosign that goes on and on.
func (w *watcher) stock(ctx context.Context, t *testing.T, c cosign) {
	for ctx.Err() == nil {
		for _, image := range []string{w.old, *w.newest.Load()} {
			c.verifies(t, w.l, image)
			w.looks.Add(1)
		}
		sleep(ctx, time.Second)
	}
}

// sign signs one new image after the other.
func (w *watcher) sign(ctx context.Context, t *testing.T) {
	for i := 0; ctx.Err() == nil; i++ {
		image := w.l.PushSmall(t, "acme/app", fmt.Sprintf("new-%d", i))
		r := w.l.Hallmark(t, w.l.Token(t, devissuer.GitHub), "sign", image, "-o", "json")
		s := signed{image: image}
		if r.Code != 0 || json.Unmarshal([]byte(r.Stdout), &s.receipt) != nil {
			t.Errorf("sign: exit code %d: %s", r.Code, r.Stderr)
			continue
		}
		s.hints, s.at = hintsOf(s.receipt), time.Now()
		w.all = append(w.all, s)
		w.newest.Store(&image)
		w.newestSigned.Store(&s)
		sleep(ctx, 500*time.Millisecond)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// TestRotation: every key of the service is rotated and the old ones are
// retired, and no client sees a moment in which anything fails: neither stock
// cosign, nor the library with a copy that is never older than allowed.
func TestRotation(t *testing.T) {
	t.Parallel()
	rules := bytes.Replace(policyfiles.SigningPolicy, []byte("- name: acme-github\n"), []byte("- name: acme-github\n  keys: ["+keyPair+"]\n"), 1)
	l := lab.Start(t, lab.Options{
		RootKeys: true, BundleLog: "both", Fulcio: "{audience: sigstore}", Policy: rules,
		Signing: "keys: [{name: " + keyPair + ", signatures: file, attestations: file}]",
	})
	old := l.PushSmall(t, "acme/app", "old")
	receipt := sign(t, l, old)
	w := newWatcher(t, l, old)
	w.all = []signed{{old, receipt, hintsOf(receipt), time.Now()}}
	first := w.all[0]
	w.newestSigned.Store(&first)
	two, three := newCosign(t, l, stock.CosignV2), newCosign(t, l, stock.CosignV3)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for _, client := range []func(){
		func() { w.sign(ctx, t) },
		func() { w.library(ctx, t, 0) },
		func() { w.library(ctx, t, maxAge) },
		func() { w.byKey(ctx, t, maxAge) },
		func() { w.onRequest(ctx, t) },
		func() { w.stock(ctx, t, two) },
		func() { w.stock(ctx, t, three) },
	} {
		clients.Go(client)
	}

	kinds := []string{"ca", "ct", "tsa", "v1", "v2", "ca-fulcio", "sign-" + keyPair, "attest-" + keyPair, "tuf-targets", "tuf-snapshot", "tuf-timestamp"}
	for _, kind := range kinds {
		args := []string{"keys", "rotate", kind, "--wait", waits.String(), "--keep", keeps.String()}
		if kind == "v2" {
			args = append(args, "--host", "localhost")
		}
		server(t, l, 0, kind, args...)
	}
	rotateRoot(t, l)
	eventually(t, "every rotation is done", func() bool { return allDone(t, l, len(kinds)) })
	eventually(t, "the service has looked", func() bool {
		keys, err := publishedKeys(t.Context(), l)
		return err == nil && !slices.ContainsFunc(keys, func(k publishedKey) bool { return k.State == "retiring" })
	})
	// What is signed with nothing but new keys.
	before := w.looks.Load()
	eventually(t, "clients look once more", func() bool { return w.looks.Load() >= before+12 })
	stop()
	clients.Wait()
	if n := w.looks.Load(); n < 40 {
		t.Errorf("only %d looks: that shows nothing", n)
	}
	checkEnded(t, l)
	w.checkKeys(t, three)

	// The old keys are gone for good, and nobody misses them.
	l.Stop(t)
	for _, name := range []string{"ca", "ct", "tsa", "ca-fulcio", "sign-" + keyPair, "attest-" + keyPair, "tuf-targets", "tuf-snapshot", "tuf-timestamp"} {
		check(t, os.Remove(filepath.Join(l.Dir, "keys", name+".key")))
	}
	l.Serve(t)
	last := l.PushSmall(t, "acme/app", "last")
	sign(t, l, last)
	for _, c := range []cosign{two, three, newCosign(t, l, stock.CosignV3)} {
		c.verifies(t, l, old)
		c.verifies(t, l, last)
	}
	l.Stop(t)
	l.Fsck(t)
}

// rotateRoot has the root name the new keys, and then another holder.
func rotateRoot(t *testing.T, l *lab.Lab) {
	t.Helper()
	password := []string{"HALLMARK_ROOT_PASSWORD=correct horse"}
	hallmark := func(args ...string) string {
		t.Helper()
		r := lab.Run(t, "", password, lab.Program(t, "hallmark"), append([]string{"root"}, args...)...)
		if r.Code != 0 {
			t.Fatalf("hallmark root %s: %s", strings.Join(args, " "), r.Stderr)
		}
		return r.Stdout
	}
	first := []string{"sign", "--dir", l.RootKeys, "--key", filepath.Join(l.RootKeys, "root.key"), "--password-file", filepath.Join(l.RootKeys, "root.password")}
	publish := []string{"publish", "--dir", l.RootKeys, "--to", filepath.Join(l.Dir, "trust")}
	hallmark("next", "--dir", l.RootKeys, "--online", filepath.Join(l.Dir, "trust", "tuf-online.json"))
	hallmark(first...)
	hallmark(publish...)

	successor := filepath.Join(t.TempDir(), "successor.key")
	hallmark("key", successor)
	shown := hallmark("show", "--dir", l.RootKeys)
	_, rest, _ := strings.Cut(shown, "\nholder")
	hallmark("next", "--dir", l.RootKeys, "--add-holder", successor+".pub", "--remove-holder", strings.Fields(rest)[0])
	hallmark(first...)
	hallmark("sign", "--dir", l.RootKeys, "--key", successor)
	hallmark(publish...)
}

func allDone(t *testing.T, l *lab.Lab, want int) bool {
	t.Helper()
	var status struct {
		Rotations []struct{ Kind, Phase string }
	}
	check(t, json.Unmarshal([]byte(server(t, l, 0, "", "keys", "status", "-o", "json")), &status))
	done := 0
	for _, r := range status.Rotations {
		if r.Phase == "done" {
			done++
		}
	}
	return done == want
}

// checkEnded reads the trusted root as a stock client does: two of each, of
// certificate authorities two for certificates on request as well, and the first
// one has an end. Logs keep theirs open.
func checkEnded(t *testing.T, l *lab.Lab) {
	t.Helper()
	trusted, err := root.NewTrustedRootFromPath(l.TrustedRoot())
	check(t, err)
	ended := 0
	for _, ca := range trusted.FulcioCertificateAuthorities() {
		if authority, ok := ca.(*root.FulcioCertificateAuthority); ok && !authority.ValidityPeriodEnd.IsZero() {
			ended++
		}
	}
	for _, ta := range trusted.TimestampingAuthorities() {
		if authority, ok := ta.(*root.SigstoreTimestampingAuthority); ok && !authority.ValidityPeriodEnd.IsZero() {
			ended++
		}
	}
	for _, log := range trusted.CTLogs() {
		if !log.ValidityPeriodEnd.IsZero() {
			ended++
		}
	}
	if len(trusted.FulcioCertificateAuthorities()) != 4 || len(trusted.TimestampingAuthorities()) != 2 || len(trusted.CTLogs()) != 2 || len(trusted.RekorLogs()) != 4 || ended != 4 {
		t.Errorf("trusted root: %d authorities, %d TSAs, %d CT logs, %d logs, %d ended",
			len(trusted.FulcioCertificateAuthorities()), len(trusted.TimestampingAuthorities()), len(trusted.CTLogs()), len(trusted.RekorLogs()), ended)
	}
}
