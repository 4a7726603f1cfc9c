// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// TestRevocation: what is revoked stops verifying within a look at the
// repository, with reason and time in the refusal, and the service signs it no
// more. Everything else goes on.
func TestRevocation(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{RootKeys: true})
	u := user{t.TempDir()}
	bad, good := l.PushSmall(t, "acme/app", "bad"), l.PushSmall(t, "acme/app", "good")
	digest := string(sign(t, l, bad).Digest)
	sign(t, l, good)
	u.wants(t, l, 0, "verified", bad)

	// 1. An artifact.
	server(t, l, 2, "--reason", "revoke", "digest", digest)
	server(t, l, 2, "sha256", "revoke", "digest", "--reason", "r", "latest")
	server(t, l, 0, "revoked", "revoke", "digest", "--reason", "ships a miner", digest)
	server(t, l, 1, "revoked already", "revoke", "digest", "--reason", "ships a miner", digest)
	u.wants(t, l, 1, "ships a miner", bad)
	u.wants(t, l, 1, "was revoked on "+time.Now().UTC().Format("2006-01-02"), bad)
	u.wants(t, l, 0, "verified", good)
	shown := l.Hallmark(t, "", "evidence", bad, "--trusted-root", l.TrustedRoot(), "--revocations", filepath.Join(l.Dir, "trust", "revocations.json"))
	if shown.Code != 1 || !strings.Contains(shown.Stdout, "REVOKED signature\n") || strings.Contains(shown.Stdout, "unknown") || !strings.Contains(shown.Stderr, "ships a miner (1 bundle does not count)") {
		t.Errorf("evidence of a revoked image: %d\n%s%s", shown.Code, shown.Stdout, shown.Stderr)
	}
	refused := func(code int, says string) {
		t.Helper()
		var r lab.Result
		eventually(t, "the service knows", func() bool {
			r = l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", bad, "-o", "json")
			return r.Code == code
		})
		if !strings.Contains(r.Stdout+r.Stderr, says) {
			t.Errorf("sign: %s%s, want %q", r.Stdout, r.Stderr, says)
		}
	}
	refused(1, "ships a miner")

	// 2. Taken back.
	server(t, l, 1, "not revoked", "revoke", "withdraw", "digest", "sha256:"+strings.Repeat("0", 64))
	server(t, l, 0, "withdrawn", "revoke", "withdraw", "digest", digest)
	u.wants(t, l, 0, "verified", bad)
	refused(0, digest)

	// 3. An identity, since now: what it signed before is good, what it would sign
	// now does not come into being.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond)))
	since := time.Now().UTC().Format(time.RFC3339)
	server(t, l, 0, "revoked", "revoke", "identity", "--reason", "runner was taken over", "--since", since, "https://github.com/acme/*")
	u.wants(t, l, 0, "verified", good)
	fresh := l.PushSmall(t, "acme/app", "fresh")
	eventually(t, "the service knows", func() bool {
		r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", fresh)
		return r.Code == 1 && strings.Contains(r.Stderr, "runner was taken over")
	})
	// 4. An identity, whenever.
	server(t, l, 0, "revoked", "revoke", "identity", "--reason", "never was ours", workflow)
	u.wants(t, l, 1, "never was ours", good)

	// 5. The list has all of it, and only grows in version.
	var list struct {
		Version     int64 `json:"version"`
		Revocations []struct{ Kind, Value, Reason string }
	}
	check(t, json.Unmarshal([]byte(server(t, l, 0, "", "revoke", "list", "-o", "json")), &list))
	if len(list.Revocations) != 2 || list.Version < time.Now().Unix()-600 {
		t.Errorf("list: %+v", list)
	}

	// The service says the same as soon as it has looked, to people: all of it, and
	// one by one.
	eventually(t, "the service knows the newest list", func() bool {
		return strings.Contains(l.Hallmark(t, "", "revoke", "list", "-o", "json").Stdout, fmt.Sprintf(`"version": %d`, list.Version))
	})
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{0, "never was ours", nil}, {0, "runner was taken over", []string{"--identity", workflow}}, {0, fmt.Sprintf(`"version": %d`, list.Version), []string{"-o", "json"}},
		{1, "is not revoked", []string{"--digest", digest}}, {2, "exclude each other", []string{"--digest", digest, "--identity", workflow}}, {2, "sha256", []string{"--key", "stolen"}},
		{2, "exclude each other", []string{"--dir", l.Dir, "--key", "stolen"}},
	} {
		if r := l.Hallmark(t, "", append([]string{"revoke", "list"}, tc.args...)...); r.Code != tc.code || !strings.Contains(r.Stdout+r.Stderr, tc.says) {
			t.Errorf("hallmark revoke list %v: exit code %d, want %d and %q\n%s%s", tc.args, r.Code, tc.code, tc.says, r.Stdout, r.Stderr)
		}
	}
	// And the audit has who did what: four revocations and withdrawals, one event
	// each.
	eventually(t, "the service has recorded what operators did", func() bool {
		return strings.Contains(server(t, l, 0, "", "audit", "--decision", "revocation"), "never was ours")
	})
	var audit struct{ Events []store.Event }
	check(t, json.Unmarshal([]byte(server(t, l, 0, "", "audit", "--decision", "revocation", "-o", "json")), &audit))
	var did []string
	for _, ev := range audit.Events {
		did = append(did, string(ev.Action))
		if ev.Operation.Operator.User == "" || ev.Operation.Operator.Host == "" {
			t.Errorf("nobody did it: %+v", ev.Operation)
		}
	}
	if got := strings.Join(did, " "); got != "revoke withdraw revoke revoke" || audit.Events[1].Digest != digest {
		t.Errorf("audit: %s: %+v", got, audit.Events)
	}

	// 6. A file instead of the repository, for those who have one only.
	file := filepath.Join(t.TempDir(), "revocations.json")
	doc, err := os.ReadFile(filepath.Join(l.Dir, "trust", "revocations.json"))
	check(t, err)
	check(t, os.WriteFile(file, doc, 0o600))
	for says, args := range map[string][]string{
		"never was ours": {"--revocations", file},
		"too old":        {"--revocations-max-age", "1h"}, // a file of trust alone knows of none
	} {
		r := l.Hallmark(t, "", append(append([]string{"verify", good}, who(l)...), args...)...)
		if r.Code == 0 || !strings.Contains(r.Stderr, says) {
			t.Errorf("verify %v: exit code %d: %s", args, r.Code, r.Stderr)
		}
	}
	if r := l.Hallmark(t, "", append([]string{"verify", good}, who(l)...)...); r.Code != 0 {
		t.Errorf("without revocations: %s", r.Stderr)
	}
	// 7. hallmark revoke is the same command.
	r := lab.Run(t, "", os.Environ(), lab.Program(t, "hallmark"), "revoke", "list", "--dir", l.Dir)
	if r.Code != 0 || !strings.Contains(r.Stdout, "never was ours") {
		t.Errorf("hallmark revoke: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
	// 8. A list that cannot be read stops the service from starting.
	l.Stop(t)
	check(t, os.WriteFile(filepath.Join(l.Dir, "trust", "revocations.json"), []byte("{}"), 0o600))
	if r := l.Server(t, "serve"); r.Code == 0 || !strings.Contains(r.Stderr, "revocations") {
		t.Errorf("serve with a broken list: %d %s", r.Code, r.Stderr)
	}
}
