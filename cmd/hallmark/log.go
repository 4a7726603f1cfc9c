// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// The log commands trust the trusted root and nobody else. A service, or
// whoever answers in its place, gives directions: which logs there are, where
// an entry may be found. What is printed as checked was computed here, from a
// checkpoint that a key of the trusted root signed and from tiles whose hashes
// lead to that checkpoint's root. A wrong answer is "no", an answer that does
// not come is "could not decide".

// logFlags are common to the log commands.
type logFlags struct {
	server, url, log string
	trust            trustFlags
	output           *string
}

func logCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "log", Short: "Look into the transparency log, and check it",
		Long: "Look into the transparency logs of a service, and check what they answer against the trusted root.\n" +
			"Nothing the service says is believed without a proof. Exit codes: 0 yes, 1 no (a wrong answer, or not in the log),\n" +
			"2 wrong usage, 3 could not decide.",
		Args: cobra.ArbitraryArgs,
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(logListCommand(env), logGetCommand(env), logSearchCommand(env), logProveCommand(env), logFsckCommand(env))
	return cmd
}

func addLogFlags(cmd *cobra.Command) *logFlags {
	f := &logFlags{output: program.OutputFlag(cmd)}
	cmd.Flags().StringVar(&f.server, "server", "", "URL of the service (default: HALLMARK_URL)")
	f.trust.registerRoot(cmd)
	return f
}

// addLogChoice adds the flags that name one log.
func (f *logFlags) addLogChoice(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.log, "log", "", "`name` of the log, as `hallmark log list` shows it")
	cmd.Flags().StringVar(&f.url, "url", "", "URL of one log that serves C2SP tlog-tiles, such as any Rekor v2, instead of a service")
}

// keys reads the trusted root's logs.
func (f *logFlags) keys(ctx context.Context, env environment) (*logKeys, error) {
	trusted, err := f.trust.read(ctx, env)
	if err != nil {
		return nil, err
	}
	return newLogKeys(trusted.root)
}

// service is the client of the service's API.
func (f *logFlags) service(env environment) (*logClient, error) {
	c, err := newClient(env, f.server)
	if err != nil {
		return nil, err
	}
	return &logClient{c}, nil
}

// plainLog is the log at --url.
func (f *logFlags) plainLog() (tlog.Source, error) {
	if f.server != "" || f.log != "" {
		return nil, usage("--url names one log; --server and --log name a log of a service")
	}
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, usage("%q is not a URL like https://log.example", f.url)
	}
	return tiles.NewClient(strings.TrimRight(f.url, "/"), logHTTP())
}

// logHTTP needs no protection of what it sends, and believes nothing that it
// receives; it follows no redirect because no log answers with one.
func logHTTP() *http.Client {
	return &http.Client{Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// readTrustedRoot reads the file of a flag, or of TRUSTED_ROOT.
func readTrustedRoot(env environment, path string) (*trust.Root, error) {
	if path == "" {
		path = env.getenv("TRUSTED_ROOT")
	}
	if path == "" {
		return nil, usage("whom to trust? (hint: --trusted-root FILE, from https://<service>/hallmark/v1/trusted_root.json)")
	}
	return trustedRootFrom(path)
}

// wrongAnswer gives an error its exit code: what a log contradicts itself with
// is "no", what it does not answer is undecided.
func wrongAnswer(err error) error {
	if err == nil || errors.As(err, new(*program.Answer)) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, tlog.ErrNotFound) || errors.Is(err, tlog.ErrCorrupt) {
		return no("%w", err)
	}
	return err
}
