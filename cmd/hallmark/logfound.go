// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// An entry of a log has a signature and its certificate, but of what is signed
// only a hash. What it is about is in the bundle, and the service's receipts of an
// artifact say which entries are its: they are asked for artifacts that a search
// names by their digest.

const (
	// maxLookedUp is how many artifacts' receipts one search asks for.
	maxLookedUp = 8
	// hashTerm and imageTerm begin normalised terms, see package index.
	hashTerm  = "hash:sha256:"
	imageTerm = "image:"
)

// foundHint is an entry that a search found, with what it is about as far as that
// is known.
type foundHint struct {
	logHint
	// Artifact is what the search says that it is about: a digest, or a
	// repository; "" if the search does not say.
	Artifact string `json:"artifact,omitempty"`
	// Receipt is what the service's receipt says of it.
	Receipt *foundReceipt `json:"receipt,omitempty"`
}

// foundReceipt is what search shows of a receipt.
type foundReceipt struct {
	Image         string        `json:"image"`
	Action        signer.Action `json:"action"`
	PredicateType string        `json:"predicateType"`
	Requester     string        `json:"requester"`
}

// describe says of entries what they are about.
func (c *logClient) describe(ctx context.Context, q searchQuery, hits []logHint) ([]foundHint, error) {
	found := make([]foundHint, len(hits))
	for i, hit := range hits {
		found[i].logHint = hit
	}
	if len(hits) == 0 {
		return found, nil
	}
	if len(q.terms) == 1 || q.all { // every entry is about it
		for _, term := range q.terms {
			digest, isDigest := strings.CutPrefix(term, hashTerm)
			image, isImage := strings.CutPrefix(term, imageTerm)
			for i := range found {
				switch {
				case isDigest:
					found[i].Artifact = "sha256:" + digest
				case isImage && found[i].Artifact == "":
					found[i].Artifact = image
				}
			}
		}
	}
	return found, c.addReceipts(ctx, q, found)
}

// place is what a receipt calls an entry by.
type place struct {
	logID string
	index int64 // global
}

// addReceipts looks for entries among the receipts of artifacts that the query
// names.
func (c *logClient) addReceipts(ctx context.Context, q searchQuery, found []foundHint) error {
	var digests []string
	for _, term := range q.terms {
		if digest, ok := strings.CutPrefix(term, hashTerm); ok && len(digests) < maxLookedUp {
			digests = append(digests, "sha256:"+digest)
		}
	}
	if len(digests) == 0 {
		return nil
	}
	logs, err := c.logs(ctx)
	if err != nil {
		return err
	}
	places := make(map[place]*foundHint, len(found))
	for i := range found {
		row := slices.IndexFunc(logs, func(l logRow) bool { return l.Name == found[i].Log })
		if row >= 0 {
			places[place{logs[row].LogID, found[i].GlobalIndex}] = &found[i]
		}
	}
	for _, digest := range digests {
		for r, err := range c.receipts(ctx, digest) {
			if err != nil {
				return err
			}
			said := &foundReceipt{Image: r.Image, Action: r.Action, PredicateType: r.PredicateType, Requester: r.Requester}
			for _, at := range placesOf(r) {
				if hint := places[at]; hint != nil {
					hint.Receipt = said
				}
			}
		}
	}
	return nil
}

// placesOf are the entries of a receipt.
func placesOf(r signer.Receipt) []place {
	all := []place{{r.LogID, r.LogIndex}}
	for _, other := range r.Others {
		all = append(all, place{other.LogID, other.LogIndex})
	}
	for _, tag := range r.Tags {
		all = append(all, place{tag.LogID, tag.LogIndex})
	}
	return all
}

// about is the artifact in words, and what is said of it.
func (f foundHint) about() string {
	if f.Receipt == nil {
		if strings.HasPrefix(f.Artifact, "sha256:") {
			return program.Printable(shortened(f.Artifact))
		}
		return cmp.Or(program.Printable(f.Artifact), "-")
	}
	image := f.Receipt.Image
	if ref, err := oci.ParseReference(image); err == nil {
		image = ref.Repository + "@" + shortened(string(ref.Digest))
	}
	what := f.Receipt.PredicateType
	if f.Receipt.Action == signer.ActionSign {
		what = "signature"
	}
	return program.Printable(image + " " + what)
}

// shortened is as much of a digest as people compare.
func shortened(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// by is who signed, in words: for a statement of the service for somebody, both.
func (f foundHint) by() string {
	var names []string
	for _, s := range f.Signers {
		name := s.Identity
		if name == "" {
			name = "key " + shortened(s.Key)
		}
		if s.Issuer != "" {
			name += " (" + s.Issuer + ")"
		}
		names = append(names, name)
	}
	said := strings.Join(names, ", ")
	if f.Receipt != nil && f.Receipt.Requester != "" && !slices.ContainsFunc(f.Signers, func(s logSigner) bool { return s.Identity == f.Receipt.Requester }) {
		said += ", for " + f.Receipt.Requester
	}
	return program.Printable(cmp.Or(strings.TrimPrefix(said, ", "), "-"))
}

func printFound(w io.Writer, found []foundHint) {
	if len(found) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "LOG\tINDEX\tTIME\tKIND\tARTIFACT\tSIGNER")
	for _, e := range found {
		at := "-"
		if e.IntegratedTime != 0 {
			at = time.Unix(e.IntegratedTime, 0).UTC().Format("2006-01-02 15:04:05 UTC")
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s %s\t%s\t%s\n", program.Printable(e.Log), e.Index, at, program.Printable(e.Kind), program.Printable(e.APIVersion), e.about(), e.by())
	}
	_ = table.Flush() // of a buffer
}
