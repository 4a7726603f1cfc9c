// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-seccomp-bpf/arch"

	"github.com/hallmark-dev/hallmark/attest"
)

// What the test's own program does when it is started anew: a confined process
// cannot be had inside this one.
const (
	roleVariable = "HALLMARK_CHART_TEST"
	roleProgram  = "program"  // what hallmark-chart does
	roleAttacker = "attacker" // what a chart would do that could do anything
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleProgram:
		main()
	case roleAttacker:
		os.Exit(attack(os.Args[1]))
	default:
		os.Exit(m.Run())
	}
}

// listener counts whoever comes.
func listener(t *testing.T) (address string, came *atomic.Int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	came = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			_ = c.Close() // nobody listens
		}
	}()
	return l.Addr().String(), came
}

// attack tries what a chart must not, and says what of it was possible.
func attack(address string) (code int) {
	if err := confine(); err != nil {
		fmt.Println(err)
		return exitUndecided
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var possible []string
	for name, try := range map[string]func() error{
		"a connection": func() error { _, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); return err },
		"a datagram":   func() error { _, err := (&net.Dialer{}).DialContext(ctx, "udp", address); return err },
		"a name":       func() error { _, err := net.DefaultResolver.LookupHost(ctx, "localhost"); return err },
		"to listen":    func() error { _, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); return err },
		"a file":       func() error { _, err := os.Open("/proc/self/environ"); return err },
		"a new file":   func() error { return os.WriteFile("x", nil, 0o600) },
		"a folder":     func() error { _, err := os.ReadDir("/"); return err },
		"a program":    func() error { return exec.CommandContext(ctx, "/proc/self/exe").Run() },
		"its parent":   func() error { return syscall.Kill(os.Getppid(), 0) },
		"a process": func() error {
			_, _, no := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
			return failed(no)
		},
		// The kernel sends a signal to who owns a pipe, whenever it is written to.
		"to have its parent signalled": func() error {
			_, _, no := syscall.RawSyscall(syscall.SYS_FCNTL, 0, syscall.F_SETOWN, uintptr(os.Getppid()))
			return failed(no)
		},
		"a debugger":   func() error { return syscall.PtraceAttach(os.Getppid()) },
		"other limits": func() error { return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) },
	} {
		if try() == nil {
			possible = append(possible, name)
		}
	}
	// What it needs it has: threads, timers, memory, and garbage collected.
	done := make(chan int)
	for range 8 {
		go func() { runtime.LockOSThread(); time.Sleep(time.Millisecond); done <- len(make([]byte, 1<<20)) }()
	}
	for range 8 {
		<-done
	}
	runtime.GC()
	fmt.Printf("possible: %s\n", strings.Join(possible, ", "))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test has looked
	return 0
}

func failed(no syscall.Errno) error {
	if no == 0 {
		return nil
	}
	return no
}

// A confined process can do nothing but read, write and end, in any of its
// threads, and cannot get it back.
func TestConfined(t *testing.T) {
	address, came := listener(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], address) //nolint:gosec // ourselves
	cmd.Env = []string{roleVariable + "=" + roleAttacker}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 1<<10)
	n, err := stdout.Read(said)
	if err != nil || string(said[:n]) != "possible: \n" {
		t.Errorf("it says %q, %v", said[:n], err)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil || len(threads) < 2 {
		t.Errorf("threads %v, %v", threads, err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err == nil && (!strings.Contains(string(status), "NoNewPrivs:\t1\n") || !strings.Contains(string(status), "Seccomp:\t2\n")) {
			t.Errorf("%s is not confined:\n%s", thread, status)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if came.Load() != 0 {
		t.Errorf("%d connections were made", came.Load())
	}
}

// program runs hallmark-chart.
func program(t *testing.T, stdin []byte, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...) //nolint:gosec // ourselves
	cmd.Env = []string{roleVariable + "=" + roleProgram, "GOMAXPROCS=1"}
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A chart that looks names up and has its schema elsewhere is rendered, and
// reaches nobody.
func TestChartReachesNobody(t *testing.T) {
	address, came := listener(t)
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipped)
	for name, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n", "values.yaml": "image: a:1\n",
		"values.schema.json": `{"properties": {"image": {"$ref": "http://` + address + `/schema.json"}}}`,
		"templates/pod.yaml": "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: {{ .Values.image }}}, {image: 'b:1{{ getHostByName \"localhost\" }}'}]}\n" +
			"# {{ lookup \"v1\" \"Secret\" \"\" \"\" }} {{ dateInZone \"15:04\" now \"Europe/Berlin\" }} {{ randAlphaNum 8 }} {{ (genSelfSignedCert \"x\" nil nil 1).Cert | len }}\n",
	} {
		if err := files.WriteHeader(&tar.Header{Name: "app/" + name, Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(files, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	out, code := program(t, append([]byte(`{"render": true}`+"\n"), archive.Bytes()...))
	var report attest.ChartReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || len(report.Images) != 2 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if came.Load() != 0 {
		t.Errorf("%d connections were made", came.Load())
	}
}

func TestProbe(t *testing.T) {
	if out, code := program(t, nil, attest.ChartReaderProbe); code != 0 || out != "{}\n" {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := program(t, nil, "--help"); code != 0 || !strings.Contains(out, "for hallmark-server") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := program(t, []byte("junk")); code != exitUndecided {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// The list is good on every machine that the service is built for.
func TestCallsAreKnown(t *testing.T) {
	for _, machine := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		for _, name := range append([]string{"clone", "tgkill"}, calls...) {
			if _, ok := machine.SyscallNames[name]; !ok {
				t.Errorf("%s has no %s", machine.Name, name)
			}
		}
	}
}
