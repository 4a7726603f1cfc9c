// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

const (
	// searchLimit is how many entries search prints unless told otherwise.
	searchLimit = 100
	// maxSearch is the most that it may be told: what a person or a script
	// still reads.
	maxSearch = 100_000
)

func logSearchCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "search TERM...", Short: "Find entries by artifact, signer or source",
		Long: "Find entries of all logs: by any of the terms, or with --all by every one of them, oldest first. Terms:\n" +
			"  sha256:HEX                 what was signed, or what a statement is about (sha1:, sha384: and sha512: likewise)\n" +
			"  image:REGISTRY/REPOSITORY  identity:URI  email:ADDRESS  subject:NAME  issuer:URL\n" +
			"  repository:URI  commit:HEX  workflow:URI  publickey:HEX\n" +
			"Listed are place, time, kind, what the entry is about (if the search names it, by digest or image) and who signed; -o json has all.\n" +
			"What is found is what the service's index says; `hallmark log get` and `hallmark log prove` check it.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > tlog.MaxQueryKeys {
				return usage("%s takes 1 to %d terms, got %d (hint: %s)", cmd.CommandPath(), tlog.MaxQueryKeys, len(args), cmd.UseLine())
			}
			return nil
		},
	}
	f := &logFlags{output: program.OutputFlag(cmd)}
	q := searchQuery{}
	cmd.Flags().StringVar(&f.server, "server", "", "URL of the service (default: HALLMARK_URL)")
	cmd.Flags().BoolVar(&q.all, "all", false, "entries that match every term")
	cmd.Flags().BoolVar(&q.newest, "newest", false, "newest first")
	cmd.Flags().IntVar(&q.limit, "limit", searchLimit, "print at most this many")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.limit < 1 || q.limit > maxSearch {
			return usage("--limit %d is not between 1 and %d", q.limit, maxSearch)
		}
		for _, arg := range args {
			term, err := index.ParseTerm(arg)
			if err != nil {
				return usage("%w", err)
			}
			q.terms = append(q.terms, term)
		}
		service, err := f.service(env)
		if err != nil {
			return err
		}
		hits, err := service.searchAll(cmd.Context(), q)
		if err != nil {
			return err
		}
		found, err := service.describe(cmd.Context(), q, hits)
		if err != nil {
			return err
		}
		if err := program.Print(*f.output, env.stdout, map[string]any{"entries": found}, func(w io.Writer) { printFound(w, found) }); err != nil {
			return err
		}
		if len(found) == 0 {
			return no("nothing is found under these terms (hint: %s)", nothingFound(args))
		}
		return nil
	}
	return cmd
}

// nothingFound says, by the kinds of the terms, what they may lack.
func nothingFound(terms []string) string {
	var hints []string
	say := func(hint string) {
		if !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	for _, term := range terms {
		kind, value, _ := strings.Cut(strings.TrimSpace(term), ":")
		kind = strings.ToLower(kind)
		first, _, _ := strings.Cut(value, "/")
		switch {
		case strings.ContainsAny(value, "*?"):
			say("values are whole: * stands for nothing else here")
		case kind == "hash", kind == "digest", strings.HasPrefix(kind, "sha"), value == "" && !strings.Contains(term, "@"):
			say("the digest is that of the manifest, as the registry has it; of an index, its images have others")
		case kind == "image" && !strings.ContainsAny(first, ".:") && first != "localhost":
			say("image: names the registry, too, such as image:registry.example/" + value)
		case kind == "image":
			say("image: is registry and repository as they were when it was signed, without tag")
		case kind == "publickey", kind == "key":
			say("publickey: is the SHA-256 of the DER SubjectPublicKeyInfo")
		default:
			say("values are whole and as certificates have them, such as repository:https://github.com/acme/app")
		}
	}
	return program.Printable(strings.Join(hints, "; "))
}

// searchAll reads pages until there are as many entries as the query wants, or
// no more.
func (c *logClient) searchAll(ctx context.Context, q searchQuery) ([]logHint, error) {
	found, after := []logHint{}, ""
	for {
		page := q
		page.limit = min(q.limit-len(found), maxPage)
		got, err := c.search(ctx, page, after)
		if err != nil {
			return nil, err
		}
		if len(got.Entries) > page.limit {
			return nil, no("the service answers %d entries where it was asked for %d", len(got.Entries), page.limit)
		}
		found = append(found, got.Entries...)
		if got.Next == "" || len(found) == q.limit {
			return found, nil
		}
		if len(got.Entries) == 0 || got.Next == after {
			return nil, no("the service says that more is found and does not say what")
		}
		after = got.Next
	}
}
