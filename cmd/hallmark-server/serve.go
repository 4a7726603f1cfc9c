// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/internal/program"
)

const (
	// headerTimeout and idleTimeout end connections that only hold a place.
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// requestTimeout bounds reading a request: an SBOM over a slow line.
	requestTimeout = 60 * time.Second
	// answerTimeout ends answers that somebody is too slow to take. It begins
	// with the request: reading it, signing and answering fit well.
	answerTimeout = 3 * time.Minute
	// maxHeader bounds request headers, bytes: a token is at most 16 KiB.
	maxHeader = 32 << 10
	// drainTimeout is how long running requests may take after SIGTERM.
	drainTimeout = 30 * time.Second
	// recoverEvery is how often unfinished intents are tried again.
	recoverEvery = 30 * time.Second
)

func serveCommand() *cobra.Command {
	var dir, logLevel, listen, admin string
	var untilEOF bool
	cmd := &cobra.Command{
		Use: "serve --dir DIR", Short: "Run the service", Args: program.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := openConfig(cmd, dir)
			if err != nil {
				return err
			}
			if err := cfg.listenAt(listen, admin); err != nil {
				return usageError{err}
			}
			logger, err := obs.NewLogger(cmd.ErrOrStderr(), logLevel)
			if err != nil {
				return usageError{err}
			}
			ctx := cmd.Context()
			if untilEOF {
				ctx = untilClosed(ctx, cmd.InOrStdin())
			}
			return serve(ctx, cfg, logger, cmd.OutOrStdout())
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&listen, "listen", "", "public address, instead of the configuration's: replicas on one machine share a folder")
	cmd.Flags().StringVar(&admin, "admin", "", "private address, instead of the configuration's")
	cmd.Flags().StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "stop when stdin is closed: the service ends with the program that started it")
	return cmd
}

// untilClosed returns a context that ends when r does.
func untilClosed(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}

// serve runs the service until ctx ends, then lets running requests finish.
func serve(ctx context.Context, cfg *Config, logger *slog.Logger, stdout io.Writer) (err error) {
	s, err := assemble(ctx, cfg, logger)
	if err != nil {
		return err
	}
	boundMemory()
	defer func() { err = errors.Join(err, s.close()) }()

	tlsConfig, err := loadTLS(cfg.TLS)
	if err != nil {
		return err
	}
	public, err := listen(ctx, cfg.Listen)
	if err != nil {
		return err
	}
	admin, err := listen(ctx, cfg.Admin)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveUntil(gctx, public, s.public, tlsConfig) })
	group.Go(func() error { return serveUntil(gctx, admin, s.admin, nil) })
	group.Go(func() error { s.recoverUntil(gctx); return nil })
	group.Go(func() error { s.follow(gctx); return nil })
	group.Go(func() error { return s.identities.Run(gctx) })
	group.Go(func() error { return s.desk.run(gctx) })
	logger.InfoContext(ctx, "serving", "origin", cfg.Origin, "listen", public.Addr().String(), "admin", admin.Addr().String())
	_, _ = fmt.Fprintln(stdout, "ready")
	return group.Wait()
}

// loadTLS reads the public address's certificate; nil without TLS.
func loadTLS(files *TLSConfig) (*tls.Config, error) {
	if files == nil {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, usageError{fmt.Errorf("tls certificate: %w (hint: tls.cert and tls.key of the configuration)", err)}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

func serveUntil(ctx context.Context, l net.Listener, handler http.Handler, tlsConfig *tls.Config) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	done := make(chan error, 1)
	go func() {
		if tlsConfig != nil {
			server.TLSConfig = tlsConfig
			done <- server.ServeTLS(l, "", "")
			return
		}
		done <- server.Serve(l)
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return server.Shutdown(drain)
	}
}

// issuedBy says whether a certificate chains to the issuing CA, at its own
// start, and which key signed it: log entries outlive the ten minutes of their
// certificates.
func issuedBy(chain []*x509.Certificate) func(*x509.Certificate) (crypto.PublicKey, error) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, c := range chain[:len(chain)-1] {
		intermediates.AddCert(c)
	}
	return func(leaf *x509.Certificate) (crypto.PublicKey, error) {
		// Certificates are dated back a little, for clocks that are behind: those
		// of the first seconds, to before their authority.
		at := leaf.NotBefore
		for _, c := range chain {
			if at.Before(c.NotBefore) {
				at = c.NotBefore
			}
		}
		chains, err := leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates, CurrentTime: at,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		})
		if err != nil {
			return nil, err
		}
		// The leaf is first; a root that stands for itself is also its issuer.
		path := chains[0]
		return path[min(1, len(path)-1)].PublicKey, nil
	}
}
