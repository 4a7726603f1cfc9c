// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// helperTimeout bounds a helper's run, and helperDelay what it gets to end
	// after that.
	helperTimeout = 10 * time.Second
	helperDelay   = time.Second
	// maxHelperOutput bounds what it prints.
	maxHelperOutput = 64 << 10
	// tokenUser is the user name by which helpers say that the secret is an
	// identity token.
	tokenUser = "<token>"
)

// Helper is a Source that runs a Docker credential helper: a program that gets
// a host on its standard input and prints {"Username","Secret"}.
type Helper struct {
	// Program is an absolute path.
	Program string
	// Env names the variables of the service's environment that the program
	// gets beside PATH and HOME. The others, of which one may open the signing
	// keys, it does not get.
	Env  []string
	Host string
}

// Check tells whether the program is one that may be run: it is found without
// a search, and nobody but its owner can change it.
func (h Helper) Check() error {
	if !filepath.IsAbs(h.Program) {
		return fmt.Errorf("credential helper %q is not an absolute path", h.Program)
	}
	info, err := os.Stat(h.Program)
	if err != nil {
		return fmt.Errorf("credential helper: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o111 == 0 || mode.Perm()&0o022 != 0 {
		return fmt.Errorf("credential helper %s is not a program that only its owner can change: mode %s (hint: chmod 755)", h.Program, mode)
	}
	return nil
}

// Credentials implements Source.
func (h Helper) Credentials(ctx context.Context) (authn.AuthConfig, time.Time, error) {
	cfg, err := h.run(ctx)
	if err != nil {
		// Not what it printed: that may be half a secret.
		err = fmt.Errorf("credential helper: %w (hint: try it as the service's user: echo %s | %s get)", err, h.Host, h.Program)
	}
	return cfg, time.Time{}, err
}

func (h Helper) run(ctx context.Context) (authn.AuthConfig, error) {
	if err := h.Check(); err != nil {
		return authn.AuthConfig{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Program, "get") //nolint:gosec // the operator names the program
	cmd.Env = []string{}
	for _, name := range append([]string{"PATH", "HOME"}, h.Env...) {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	output := bounded{left: maxHelperOutput, stop: cancel}
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = strings.NewReader(h.Host), &output, helperDelay
	if err := cmd.Run(); err != nil {
		if output.left < 0 {
			return authn.AuthConfig{}, fmt.Errorf("it printed more than %d bytes", maxHelperOutput)
		}
		if ctx.Err() != nil {
			return authn.AuthConfig{}, fmt.Errorf("it did not end within %s", helperTimeout)
		}
		return authn.AuthConfig{}, err
	}
	var answer struct{ ServerURL, Username, Secret string }
	if json.Unmarshal(output.buf.Bytes(), &answer) != nil || answer.Secret == "" {
		return authn.AuthConfig{}, errors.New("it printed no credentials")
	}
	if answer.ServerURL != "" && !slices.Contains(dockerKeys(h.Host), answer.ServerURL) {
		return authn.AuthConfig{}, errors.New("it printed credentials for another host")
	}
	if answer.Username == tokenUser {
		return authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

// bounded keeps a program's output and stops it when that is too much.
type bounded struct {
	buf  bytes.Buffer // not embedded: its ReadFrom would go round Write
	left int
	stop func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.stop()
		return 0, io.ErrShortWrite
	}
	return b.buf.Write(p)
}
