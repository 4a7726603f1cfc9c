// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// keyPair is the long-lived key pair of the rotation test.
const keyPair = "release"

// signed is an image and by which long-lived keys it was signed.
type signed struct {
	image   string
	receipt signer.Receipt
	hints   []string // in the order of the receipt
	at      time.Time
}

func hintsOf(r signer.Receipt) []string {
	var hints []string
	for _, a := range append([]signer.Attached{r.Attached}, r.Others...) {
		if a.KeyHint != "" && !slices.Contains(hints, a.KeyHint) {
			hints = append(hints, a.KeyHint)
		}
	}
	return hints
}

// publishedKey is a key that the service publishes.
type publishedKey struct{ Name, Use, State, Hint, PublicKey string }

func publishedKeys(ctx context.Context, l *lab.Lab) (keys []publishedKey, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+"/hallmark/v1/keys", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read to the end or given up
	var answer struct{ Keys []publishedKey }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Keys, err
}

// byKey is a verifier by key whose files are at most age old: the newest image
// has a bundle by one of them.
func (w *watcher) byKey(ctx context.Context, t *testing.T, age time.Duration) {
	var keys []publishedKey
	var have *trust.Published
	var asked time.Time
	for ; ctx.Err() == nil; sleep(ctx, 500*time.Millisecond) {
		newest := w.newestSigned.Load()
		if have == nil || time.Since(asked) > age {
			var err error
			asked = time.Now()
			if have, err = trust.FromTUF(ctx, trust.TUF{URL: w.l.URL + "/tuf", Root: w.root}); err == nil {
				keys, err = publishedKeys(ctx, w.l)
			}
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("verifier by key: %v", err)
				}
				have = nil
				continue
			}
		}
		err := verifyByKey(ctx, have, keys, newest)
		if time.Since(asked) > waits { // the machine stood still: nothing was shown
			continue
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("verifier by key with a copy of %s: %s: %v", time.Since(asked).Round(time.Millisecond), newest.image, err)
		}
		w.looks.Add(1)
	}
}

func verifyByKey(ctx context.Context, have *trust.Published, keys []publishedKey, s *signed) error {
	crypto, err := verifier.NewCrypto(have.Root)
	if err != nil {
		return err
	}
	blob, err := verifier.ParseBlob(string(s.receipt.Digest))
	if err != nil {
		return err
	}
	var why []string
	for _, a := range append([]signer.Attached{s.receipt.Attached}, s.receipt.Others...) {
		for _, k := range keys {
			if k.Hint != a.KeyHint || k.Use != "signatures" {
				continue
			}
			key, err := verifier.NewKey([]byte(k.PublicKey))
			if err != nil {
				return err
			}
			d, err := crypto.VerifyBundleWithKey(ctx, blob, verifier.Evidence{Origin: s.image, Bundle: a.Bundle}, key)
			if err == nil && d.Allowed() {
				return nil
			}
			why = append(why, fmt.Sprint(err, d.Reasons()))
		}
	}
	return fmt.Errorf("signed by %v, and none of %d keys says so: %v", s.hints, len(keys), why)
}

// onRequest is a CI job with stock cosign, which has its certificates from the
// Fulcio API; and what it signs is verified at once.
func (w *watcher) onRequest(ctx context.Context, t *testing.T) {
	for i := 0; ctx.Err() == nil; i++ {
		image := w.l.PushSmall(t, "acme/app", fmt.Sprintf("requested-%d", i))
		token, err := w.l.Issuer.Mint(devissuer.GitHub, "sigstore", nil, time.Now())
		check(t, err)
		r := stock.Command{Tool: stock.CosignV3}.Run(t, "sign", "--yes", "--signing-config", w.signingConfig(t), "--trusted-root", w.l.TrustedRoot(), "--identity-token", token, image)
		if r.Code != 0 {
			t.Errorf("cosign sign: exit code %d: %s", r.Code, r.Stderr)
			continue
		}
		have, err := trust.FromTUF(ctx, trust.TUF{URL: w.l.URL + "/tuf", Root: w.root})
		if err == nil {
			err = w.verify(ctx, have, image)
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("signed with a certificate on request: %s: %v", image, err)
		}
		w.requested.Add(1)
		sleep(ctx, 3*time.Second)
	}
}

// signingConfig is the service's, with the v1 log alone.
func (w *watcher) signingConfig(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.l.Dir, "trust", "signing_config.v0.2.json"))
	check(t, err)
	var config map[string]any
	check(t, json.Unmarshal(raw, &config))
	logs, _ := config["rekorTlogUrls"].([]any)
	config["rekorTlogUrls"] = slices.DeleteFunc(logs, func(l any) bool {
		log, _ := l.(map[string]any)
		return log["majorApiVersion"] != float64(1)
	})
	raw, err = json.Marshal(config)
	check(t, err)
	path := filepath.Join(t.TempDir(), "signing_config.json")
	check(t, os.WriteFile(path, raw, 0o600))
	return path
}

// checkKeys holds what was signed against the order that a rotation promises:
// the old key alone, then both, then the new one alone; and stock cosign with one
// file accepts what its holder was promised.
func (w *watcher) checkKeys(t *testing.T, c cosign) {
	t.Helper()
	keys, err := publishedKeys(t.Context(), w.l)
	check(t, err)
	files := map[string]string{}
	for _, k := range keys {
		if k.Use == "signatures" {
			files[k.State] = filepath.Join(t.TempDir(), k.State+".pub")
			check(t, os.WriteFile(files[k.State], []byte(k.PublicKey), 0o600))
		}
	}
	if len(files) != 2 || files["retired"] == "" || files["active"] == "" {
		t.Fatalf("published: %+v", keys)
	}
	var stages []string
	first := map[string]signed{}
	names := map[string]string{}
	for _, k := range keys {
		names[k.Hint] = k.State
	}
	for _, s := range w.all {
		var by []string
		for _, hint := range s.hints {
			by = append(by, names[hint])
		}
		stage := strings.Join(by, "+")
		if len(stages) == 0 || stages[len(stages)-1] != stage {
			stages = append(stages, stage)
			first[stage] = s
		}
	}
	got := strings.Join(stages, ", ")
	if got != "retired, active+retired, active" && (got != "retired, active" || w.longestGap() < keeps) {
		t.Fatalf("images were signed by %s", got)
	}
	for _, tc := range []struct {
		stage, file string
		good        bool
	}{
		{"retired", "retired", true}, {"active+retired", "retired", true}, {"active+retired", "active", true}, {"active", "active", true}, {"active", "retired", false},
	} {
		if first[tc.stage].image == "" {
			continue // the machine stood still while both keys signed: nothing was shown
		}
		if r := c.run(t, "verify", "--key", files[tc.file], first[tc.stage].image); (r.Code == 0) != tc.good {
			t.Errorf("signed by %s, verified with the %s key: exit code %d, want good %t: %s", tc.stage, tc.file, r.Code, tc.good, r.Stderr)
		}
	}
	if n := w.requested.Load(); n < 3 {
		t.Errorf("only %d signatures with certificates on request: that shows nothing", n)
	}
}

// longestGap is the longest time in which nothing was signed.
func (w *watcher) longestGap() (longest time.Duration) {
	for i := 1; i < len(w.all); i++ {
		longest = max(longest, w.all[i].at.Sub(w.all[i-1].at))
	}
	return longest
}
