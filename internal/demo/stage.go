// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/devrun"
)

// stage is a running `hallmark dev` and what the scenes share.
type stage struct {
	*devrun.Dev
	image string // registry/acme/app@digest, signed
	token string // of the CI job
}

func openStage(ctx context.Context, bin string) (*stage, error) {
	show("\n== A whole Hallmark on this machine\n$ hallmark dev --dir DIR\n")
	dev, err := devrun.Start(ctx, bin)
	if err != nil {
		return nil, err
	}
	s := &stage{Dev: dev}
	s.say("ready: signing service %s, registry %s, token issuer %s", s.Env["HALLMARK_URL"], s.Env["REGISTRY"], s.Env["OIDC_ISSUER"])
	return s, nil
}

// hallmark shows a hallmark command and runs it with the environment of a CI
// job (with a token) or of a workstation (without).
func (s *stage) hallmark(ctx context.Context, token string, args ...string) (code int, out string, err error) {
	s.shell("hallmark " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "hallmark"), args...) //nolint:gosec // our own program
	cmd.Env = []string{"HOME=" + s.Dir, "HALLMARK_URL=" + s.Env["HALLMARK_URL"], "TRUSTED_ROOT=" + s.Env["TRUSTED_ROOT"]}
	if token != "" {
		cmd.Env = append(cmd.Env, "HALLMARK_ID_TOKEN="+token)
	}
	var shown bytes.Buffer
	cmd.Stdout, cmd.Stderr = &shown, &shown
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	s.quote(shown.String())
	return cmd.ProcessState.ExitCode(), shown.String(), nil
}

// must checks the outcome of a command.
func must(what string, code, want int, out string, contains ...string) error {
	if code != want {
		return fmt.Errorf("%s: exit code %d, want %d", what, code, want)
	}
	for _, text := range contains {
		if !strings.Contains(out, text) {
			return fmt.Errorf("%s: the answer does not say %q", what, text)
		}
	}
	return nil
}

func (s *stage) title(text string) { show("\n== %s\n", text) }
func (s *stage) shell(text string) { show("$ %s\n", strings.ReplaceAll(text, s.Dir, "DIR")) }
func (s *stage) say(format string, args ...any) {
	show("  "+format+"\n", args...)
}

// quote prints a program's words, indented, with the tabs of its data aligned.
func (s *stage) quote(text string) {
	for line := range strings.Lines(strings.ReplaceAll(text, s.Dir, "DIR")) {
		name, value, tabbed := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if tabbed {
			show("  %-12s %s\n", name, value)
			continue
		}
		show("  %s\n", name)
	}
}

func show(format string, args ...any) {
	_, _ = fmt.Fprintf(io.Writer(os.Stdout), format, args...)
}
