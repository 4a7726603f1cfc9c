// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// trustFlags say whom to trust: a file, or a trust repository (TUF) that a file
// is the root of; and what is revoked.
type trustFlags struct {
	trustedRoot, revocations string
	tufURL, tufRoot          string
	maxAge                   time.Duration
}

func (f *trustFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "trusted_root.json (default: TRUSTED_ROOT)")
	flags.StringVar(&f.revocations, "revocations", "", "revocations.json (default: with --tuf-url that of the repository)")
	flags.StringVar(&f.tufURL, "tuf-url", "", "`URL` of the trust repository, instead of --trusted-root (default without TRUSTED_ROOT: TUF_URL)")
	flags.StringVar(&f.tufRoot, "tuf-root", "", "root.json `file` of the repository (default: TUF_ROOT_JSON)")
	flags.DurationVar(&f.maxAge, "revocations-max-age", 0, "refuse to decide by revocations that are older, or without any (default: use what there is)")
}

// trusted is what the flags lead to.
type trusted struct {
	root    *trust.Root
	options []verifier.Option
}

// read reads the files, or asks the repository. A flag beats the environment,
// and there a file beats a repository: it needs no network.
func (f *trustFlags) read(ctx context.Context, env environment) (trusted, error) {
	if f.maxAge < 0 {
		return trusted{}, usage("--revocations-max-age is negative")
	}
	if f.trustedRoot != "" && f.tufURL != "" {
		return trusted{}, usage("--trusted-root and --tuf-url exclude each other")
	}
	path := f.trustedRoot
	if path == "" && f.tufURL == "" {
		path = env.getenv("TRUSTED_ROOT")
	}
	url := f.tufURL
	if path == "" && url == "" {
		url = env.getenv("TUF_URL")
	}
	var t trusted
	var list *trust.Revocations
	var err error
	switch {
	case path != "":
		t.root, err = trustedRootFrom(path)
	case url != "":
		t.root, list, err = f.fromTUF(ctx, env, url)
	default:
		return t, usage("whom to trust? (hint: --trusted-root FILE, from https://<service>/hallmark/v1/trusted_root.json; or --tuf-url https://<service>/tuf --tuf-root 1.root.json)")
	}
	if err != nil {
		return t, err
	}
	if f.revocations != "" {
		if list, err = trust.RevocationsFromFile(f.revocations); err != nil {
			return t, usage("%w", err)
		}
	}
	t.options = []verifier.Option{verifier.WithRevocations(list, f.maxAge)}
	return t, nil
}

// trustedRootFrom reads a trusted root. A file that is not there, or is none, is
// wrong usage, as of any flag that names a file.
func trustedRootFrom(path string) (*trust.Root, error) {
	root, err := trust.FromFile(path)
	for _, wrong := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR, trust.ErrInvalid} {
		if errors.Is(err, wrong) {
			return nil, usage("%w", err)
		}
	}
	return root, err
}

func (f *trustFlags) fromTUF(ctx context.Context, env environment, url string) (*trust.Root, *trust.Revocations, error) {
	path := f.tufRoot
	if path == "" {
		path = env.getenv("TUF_ROOT_JSON")
	}
	if path == "" {
		return nil, nil, usage("--tuf-url needs the repository's root (hint: --tuf-root 1.root.json, obtained once over a channel that you trust)")
	}
	root, err := readBounded(env, path, maxRoot)
	if err != nil {
		return nil, nil, err
	}
	published, err := trust.FromTUF(ctx, trust.TUF{URL: url, Root: root, Cache: tufCache()})
	if err != nil {
		return nil, nil, err
	}
	if published.Unreachable != nil {
		_, _ = fmt.Fprintf(env.stderr, "hallmark: warning: %s; going on with what it said on %s\n",
			program.Printable(published.Unreachable.Error()), published.Checked.UTC().Format(time.RFC3339))
	}
	return published.Root, published.Revocations, nil
}

// tufCache is where what a repository said is kept; nowhere without a home.
func tufCache() string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "hallmark", "tuf")
}
