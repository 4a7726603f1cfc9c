// SPDX-License-Identifier: Apache-2.0

package chartreader

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// parentVariable has this program started anew as the service: to read a chart
// with the program that is its value.
const parentVariable = "HALLMARK_CHARTREADER_TEST"

func TestMain(m *testing.M) {
	if path := os.Getenv(parentVariable); path != "" {
		r, err := newReader(path, time.Hour)
		if err == nil {
			r.way = ways[len(ways)-1]
			_, err = r.Read(context.Background(), nil, attest.ChartQuestion{})
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The program has a network of its own, without anything in it, unless the
// machine forbids it, which is said.
func TestNetwork(t *testing.T) {
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(t.TempDir(), "said")
	// Written by the shell itself: it may be nobody in there.
	if err := os.WriteFile(said, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(said, 0o666); err != nil {
		t.Fatal(err)
	}
	script := `echo '{}'; { readlink /proc/self/ns/net; cat /proc/net/dev; ls /proc/$$/fd; } >` + said
	r, err := New(t.Context(), program(t, script), 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	theirs, rest, _ := strings.Cut(string(out), "\n")
	apart := theirs != ours && theirs != "" && strings.Count(rest, ":") == 1 && strings.Contains(rest, "lo:")
	missing := strings.Contains(strings.Join(r.Missing(), " "), "a network namespace")
	if apart == missing {
		t.Errorf("a network of its own: %v; missing %q\n%s", apart, r.Missing(), out)
	}
	// Nothing of ours is open in it: 0 to 2, and what the shell opens for itself.
	for _, fd := range strings.Fields(rest[strings.LastIndex(rest, "\n0\n"):]) {
		if len(fd) == 1 && fd > "2" {
			t.Errorf("descriptor %s is open:\n%s", fd, out)
		}
	}
}

// What the machine does not allow is said, and that it is none of ours.
func TestProbe(t *testing.T) {
	r, err := New(t.Context(), program(t, `[ "$1" = confinement ] && echo '{"missing": ["this"]}'`), 0)
	if err != nil || !strings.HasPrefix(strings.Join(r.Missing(), " "), "this") {
		t.Errorf("%v, %q", err, r.Missing())
	}
	for name, script := range map[string]string{"another version": "echo hallmark-chart 1.0", "broken": "echo oops >&2; exit 3", "more": `echo '{"other": 1}'`} {
		if _, err := New(t.Context(), program(t, script), 0); err == nil || !strings.Contains(err.Error(), "is it of this version?") {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := slices.Clone(ways)
	defer func() { ways = all }()
	ways[0] = way{attr: withFlags(syscall.CLONE_THREAD)} // as where it is forbidden
	ways[1] = ways[0]
	r, err = New(t.Context(), program(t, "echo '{}'"), 0)
	if err != nil || len(r.Missing()) != 1 || !strings.Contains(r.Missing()[0], "a network namespace without a network: ") {
		t.Errorf("%v, %q", err, r.Missing())
	}
}

// The program does not outlive the service, whose death leaves it no reader.
func TestDiesWithItsParent(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	parent := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	parent.Env = append(os.Environ(), parentVariable+"="+program(t, "echo $$ >"+pidFile+".new; mv "+pidFile+".new "+pidFile+"; exec sleep 600"))
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for deadline := time.Now().Add(time.Minute); pid == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		raw, _ := os.ReadFile(pidFile) // not yet there
		pid = strings.TrimSpace(string(raw))
	}
	if pid == "" {
		t.Fatal("the program was not started")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it lives on: %s", stat)
		}
	}
}
