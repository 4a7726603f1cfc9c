// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/internal/program"
)

const (
	// devReady is how long everything may take to answer: two scrypt-guarded
	// key files on a busy machine take seconds.
	devReady = 60 * time.Second
	// devDrain is how long the service may take to stop before it is killed.
	devDrain = 35 * time.Second
	// devHeaderTimeout ends connections that only hold a place.
	devHeaderTimeout = 5 * time.Second
)

func devCommand(env environment) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "dev --dir DIR", Short: "Run a whole Hallmark on loopback, for development", Args: program.NoArguments,
		Long: "Start the signing service, an OCI registry and a CI token issuer on loopback, with everything in DIR.\n" +
			"DIR/env holds their addresses as shell exports. For development only: anybody on this machine can mint\n" +
			"CI tokens here and write to the log. The registry forgets its images when it stops.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("--dir is compulsory (hint: %s)", cmd.UseLine())
			}
			return runDev(cmd.Context(), env, dir)
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "", "folder of the development deployment")
	cmd.AddCommand(devTokenCommand(env, &dir))
	return cmd
}

// runDev serves until ctx ends or a part of it fails.
func runDev(ctx context.Context, env environment, dir string) error {
	server, err := serverBinary()
	if err != nil {
		return err
	}
	dep, err := openDev(ctx, dir)
	if err != nil {
		return err
	}
	defer dep.close()
	if err := dep.initialise(ctx, env, server); err != nil {
		return err
	}
	stopped := ctx
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveDev(ctx, dep.registryListener, devRegistry()) })
	group.Go(func() error { return serveDev(ctx, dep.issuerListener, dep.issuer.Handler()) })
	group.Go(func() error { return dep.runServer(ctx, env, server) })
	group.Go(func() error {
		if err := dep.waitReady(ctx); err != nil {
			if stopped.Err() != nil {
				return nil //nolint:nilerr // stopped as asked, before it was ready
			}
			return err
		}
		if err := dep.writeEnv(); err != nil {
			return err
		}
		_, err := fmt.Fprintln(env.stdout, "ready")
		return err
	})
	return group.Wait()
}

// devRegistry is an OCI registry in memory, with the referrers API.
func devRegistry() http.Handler {
	return registry.New(registry.WithReferrersSupport(true), registry.Logger(quietLogger()))
}

func serveDev(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: devHeaderTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// serverBinary finds hallmark-server beside this program, or in PATH.
func serverBinary() (string, error) {
	const name = "hallmark-server"
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: it is neither beside this program nor in PATH (hint: make build)", name)
	}
	return path, nil
}

// runServer runs hallmark-server until ctx ends. The server stops by itself
// when its stdin closes, so that it does not outlive this program.
func (d *devDeployment) runServer(ctx context.Context, env environment, server string) error {
	cmd := exec.CommandContext(ctx, server, "serve", "--dir", d.serverDir(), "--until-eof") //nolint:gosec // our own server
	cmd.Stdout, cmd.Stderr = io.Discard, env.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = devDrain
	if _, err := cmd.StdinPipe(); err != nil {
		return fmt.Errorf("start %s: %w", server, err)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopped as asked
	}
	return fmt.Errorf("%s ended: %w", server, err)
}
