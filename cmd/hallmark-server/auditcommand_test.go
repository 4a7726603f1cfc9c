// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestAuditCommand: a query that could select nothing is refused, and a list that
// is cut says so.
func TestAuditCommand(t *testing.T) {
	cfg, _ := tended(t)
	db, err := openDatabase(t.Context(), cfg, slog.New(slog.DiscardHandler))
	check(t, err)
	for range 3 {
		check(t, db.Record(t.Context(), signer.AuditEvent{Decision: signer.DecisionRefused, Image: "some\x1bthing"}))
	}
	check(t, db.Close())
	audit := func(args ...string) []string { return append([]string{"audit", "--dir", cfg.dir}, args...) }

	out, words := runs(t, 0, audit("--decision", "refused")...)
	if n := strings.Count(out, "refused"); n != 3 || words != "" || strings.Contains(out, "\x1b") {
		t.Errorf("%q, %q", out, words)
	}
	says(t, 0, "--after 2", audit("--limit", "2")...)
	if out, words = runs(t, 0, audit("--after", "2", "--limit", "2")...); strings.Count(out, "refused") != 1 || words != "" {
		t.Errorf("%q, %q", out, words)
	}
	says(t, exitUsage, "rotation, revocation", audit("--decision", "revoked")...)
	says(t, exitUsage, "--digest", audit("--digest", "sha256:0")...)
	says(t, exitUsage, "--limit is 1 to", audit("--limit", "0")...)
}
