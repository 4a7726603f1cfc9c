// SPDX-License-Identifier: Apache-2.0

package chartreader

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// program is a script in the place of hallmark-chart, whose own end is tested in
// e2e/charts.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reader")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		chart        bool   // the chart is to blame
		says         string // "" if it is read
	}{
		{"good", `cat >/dev/null; echo '{"name":"app","version":"1.0.0"}'`, false, ""},
		{"what it is asked", `read q; case "$q" in *'"fileName":"app-1.0.0.tgz"'*) rest=$(cat); [ "$rest" = archive ] && echo '{"name":"app"}';; esac`, false, ""},
		{"nothing of ours", `[ -z "$HOME$HALLMARK_SECRET" ] && [ "$PWD" = / ] && echo '{"name":"app"}'`, false, ""},
		{"refused", `printf 'not an acceptable chart: two folders'; exit 1`, true, "not an acceptable chart: two folders"},
		{"endless", `exec sleep 60`, true, "did not end within"},
		{"killed", `kill -9 $$`, true, "more memory or time than a chart gets"},
		{"out of memory", `echo 'fatal error: runtime: out of memory' >&2; exit 2`, true, "more memory or time"},
		{"too much to say", `head -c 5000000 /dev/zero; exit 0`, true, "has more than"},
		{"broken", `echo oops >&2; exit 3`, false, "oops"},
		{"a panic", `echo 'panic: oops' >&2; exit 2`, false, "panic: oops"},
		{"no answer", `exit 0`, false, "its reader's answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("HALLMARK_SECRET", "x")
			limit := 30 * time.Second // a loaded machine
			if tc.name == "endless" {
				limit = 200 * time.Millisecond
			}
			r, err := newReader(program(t, tc.script), limit)
			if err != nil {
				t.Fatal(err)
			}
			report, err := r.Read(t.Context(), []byte("archive"), attest.ChartQuestion{FileName: "app-1.0.0.tgz"})
			switch {
			case tc.says == "" && (err != nil || report.Name != "app"):
				t.Errorf("%+v, %v", report, err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("%v does not say %q", err, tc.says)
			case errors.Is(err, attest.ErrChart) != tc.chart:
				t.Errorf("the chart is to blame: %v (%v)", !tc.chart, err)
			}
		})
	}
}

// Whoever goes away is not told that the chart is bad.
func TestCancelled(t *testing.T) {
	r, err := newReader(program(t, "exec sleep 60"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Read(ctx, nil, attest.ChartQuestion{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, attest.ErrChart) {
		t.Errorf("%v", err)
	}
}

func TestNoProgram(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "nothing"), t.TempDir(), plain} {
		if _, err := newReader(path, 0); err == nil {
			t.Errorf("%s is a program", path)
		}
	}
}
