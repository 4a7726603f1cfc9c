// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

const (
	// maxRevocationsAnswer bounds one page, bytes: a thousand lines of 2 KiB,
	// with what JSON adds.
	maxRevocationsAnswer = 8 << 20
	// listAttempts is how often the list is begun again because it has changed
	// while it was read.
	listAttempts = 3
)

// revocationsAnswer is the list, or a page of it, as the service answers.
type revocationsAnswer struct {
	Version     int64              `json:"version"`
	Issued      *time.Time         `json:"issued,omitempty"`
	Target      string             `json:"target,omitempty"`
	Revocations []trust.Revocation `json:"revocations"`
	Next        string             `json:"next,omitempty"`
}

// keyIDShape is a SHA-256.
var keyIDShape = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// errListChanged says that the list has another version than the pages before.
var errListChanged = errors.New("the list has changed")

// listQuery is what is asked for.
type listQuery struct{ server, digest, identity, key string }

func revokeListCommand(env environment) *cobra.Command {
	var q listQuery
	var dir string
	cmd := &cobra.Command{
		Use: "list [--digest D | --identity URI | --key K]", Short: "List what is revoked, as the service says, or with --dir as a deployment's folder has it", Args: program.NoArguments,
		Long: "List what is revoked, why, and since when. The answer is the service's word: verifiers read the list that the trust\n" +
			"repository signs (hallmark verify --tuf-url). Exit code 1: what was asked about is not revoked.",
	}
	format := program.OutputFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&q.server, "server", "", "URL of the signing service (default: HALLMARK_URL)")
	flags.StringVar(&q.digest, "digest", "", "only what is about this artifact, sha256:HEX")
	flags.StringVar(&q.identity, "identity", "", "only what is about this identity")
	flags.StringVar(&q.key, "key", "", "only what is about this key: sha256:HEX of the public key, or the hint of a bundle")
	flags.StringVar(&dir, "dir", "", "`folder` of a deployment on this machine, instead of a service: runs hallmark-server revoke list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.Changed("dir") {
			for _, other := range []string{"server", "digest", "identity", "key"} {
				if flags.Changed(other) {
					return usage("--dir and --%s exclude each other", other)
				}
			}
			return runRevoke(cmd.Context(), env, "list", "--dir", dir, "-o", *format)
		}
		if err := q.check(); err != nil {
			return err
		}
		list, err := q.read(cmd.Context(), env)
		if err != nil {
			return err
		}
		if err := program.Print(*format, env.stdout, list, func(w io.Writer) { printRevocations(w, list.Revocations) }); err != nil {
			return err
		}
		if asked := q.digest + q.identity + q.key; asked != "" && len(list.Revocations) == 0 {
			return no("%s is not revoked", asked)
		}
		return nil
	}
	return cmd
}

func (q listQuery) check() error {
	given := 0
	for _, value := range []string{q.digest, q.identity, q.key} {
		if value != "" {
			given++
		}
	}
	if given > 1 {
		return usage("--digest, --identity and --key exclude each other")
	}
	if q.key != "" && !keyIDShape.MatchString(q.key) {
		if raw, err := base64.StdEncoding.DecodeString(q.key); err != nil || len(raw) != sha256.Size {
			return usage("--key %q is no key (hint: sha256: and 64 hexadecimal digits of the public key, or the hint of a bundle, 44 characters of base64)", q.key)
		}
	}
	if q.digest != "" && !keyIDShape.MatchString(q.digest) {
		return usage("--digest %q is no digest (hint: sha256: and 64 hexadecimal digits in lower case)", q.digest)
	}
	return nil
}

// read reads all pages of one version.
func (q listQuery) read(ctx context.Context, env environment) (revocationsAnswer, error) {
	c, err := newClient(env, q.server)
	if err != nil {
		return revocationsAnswer{}, err
	}
	for range listAttempts {
		var list revocationsAnswer
		if list, err = q.pages(ctx, c); !errors.Is(err, errListChanged) {
			return list, err
		}
	}
	return revocationsAnswer{}, err
}

func (q listQuery) pages(ctx context.Context, c *client) (revocationsAnswer, error) {
	whole := revocationsAnswer{Revocations: []trust.Revocation{}}
	for after := ""; ; {
		page, err := q.page(ctx, c, after)
		if err != nil {
			return page, err
		}
		if after != "" && page.Version != whole.Version {
			return page, errListChanged
		}
		whole.Version, whole.Issued, whole.Target = page.Version, page.Issued, page.Target
		whole.Revocations = append(whole.Revocations, page.Revocations...)
		if after = page.Next; after == "" {
			return whole, nil
		}
		if len(page.Revocations) == 0 || len(whole.Revocations) > trust.MaxRevocations {
			return page, errors.New("the service's list has no end")
		}
	}
}

func (q listQuery) page(ctx context.Context, c *client, after string) (page revocationsAnswer, err error) {
	query := url.Values{}
	for name, value := range map[string]string{"digest": q.digest, "identity": q.identity, "key": q.key, "after": after} {
		if value != "" {
			query.Set(name, value)
		}
	}
	status, err := c.get(ctx, "/hallmark/v1/revocations?"+query.Encode(), maxRevocationsAnswer, &page)
	if status == http.StatusConflict {
		return page, errListChanged
	}
	return page, err
}

func printRevocations(w io.Writer, list []trust.Revocation) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KIND\tVALUE\tREVOKED\tSINCE\tREASON")
	for _, r := range list {
		since := "-"
		if r.Since != nil {
			since = r.Since.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", program.Printable(r.Kind), program.Printable(r.Value), r.Revoked.Format(time.RFC3339), since, program.Printable(r.Reason))
	}
	_ = table.Flush() // to the same place as all output
}
