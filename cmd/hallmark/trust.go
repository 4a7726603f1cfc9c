// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	decides                  bool // by revocations
}

func (f *trustFlags) register(cmd *cobra.Command) {
	f.registerRoot(cmd)
	f.decides = true
	flags := cmd.Flags()
	flags.StringVar(&f.revocations, "revocations", "", "revocations.json `file` (default: with --tuf-url that of the repository)")
	flags.Var((*ageValue)(&f.maxAge), "revocations-max-age", "refuse to decide by revocations that are older, such as 24h or 7d, or without any (default: use what there is)")
}

// registerRoot adds the flags that say whom to trust, for commands to which a
// revocation means nothing.
func (f *trustFlags) registerRoot(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "trusted_root.json `file` (default: TRUSTED_ROOT)")
	flags.StringVar(&f.tufURL, "tuf-url", "", "`URL` of the trust repository, instead of --trusted-root (default without TRUSTED_ROOT: TUF_URL)")
	flags.StringVar(&f.tufRoot, "tuf-root", "", "root.json `file` of the repository (default: TUF_ROOT_JSON)")
}

// ageValue is a duration as policies write it: Go's, or a number of days.
type ageValue time.Duration

func (a *ageValue) String() string {
	if *a == 0 {
		return "" // no default to show
	}
	return time.Duration(*a).String()
}

// Type implements pflag.Value.
func (a *ageValue) Type() string { return "duration" }

// Set implements pflag.Value.
func (a *ageValue) Set(s string) error {
	age, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		age = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || age < 0 {
		return errors.New("want a duration such as 24h or 7d")
	}
	*a = ageValue(age)
	return nil
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
	if f.decides && path != "" && f.revocations == "" && f.maxAge == 0 {
		hint := "--tuf-url instead of it, or --revocations FILE"
		if f.trustedRoot == "" {
			hint = "unset TRUSTED_ROOT, or --tuf-url"
		}
		_, _ = fmt.Fprintf(env.stderr, "hallmark: revocations were not looked at: --trusted-root knows none (hint: %s)\n", hint)
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
	var metadata struct {
		Signed struct {
			Type string `json:"_type"`
		} `json:"signed"`
	}
	if json.Unmarshal(root, &metadata) != nil || metadata.Signed.Type != "root" {
		return nil, nil, usage("%s is not the root.json of a trust repository (hint: --tuf-root 1.root.json, obtained once over a channel that you trust)", path)
	}
	published, err := trust.FromTUF(ctx, trust.TUF{URL: url, Root: root, Cache: tufCache()})
	if err != nil {
		return nil, nil, notThere(err, "the service", "TUF_URL or --tuf-url")
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
