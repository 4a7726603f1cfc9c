// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"

	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxReceiptsAnswer bounds one page of receipts, bytes: one receipt has the
	// bundles of every signing mode.
	maxReceiptsAnswer = 4 * maxAnswer
	// maxReceipts bounds what a service may list of one artifact, so that one
	// which lists for ever ends a command all the same. Ours refuses to sign where
	// there is more.
	maxReceipts = 4096
)

// receipts are those that the service has about an artifact, newest first, from
// as many pages as they are in. An error ends them.
func (c *client) receipts(ctx context.Context, digest string) iter.Seq2[signer.Receipt, error] {
	return func(yield func(signer.Receipt, error) bool) {
		query := url.Values{}
		for listed := 0; ; {
			raw, err := c.read(ctx, "/hallmark/v1/artifacts/"+digest+"?"+query.Encode(), maxReceiptsAnswer)
			if isNo(err) {
				return // it has none
			}
			var page struct {
				Receipts []signer.Receipt `json:"receipts"`
				Next     string           `json:"next"`
			}
			if err == nil {
				if err = json.Unmarshal(raw, &page); err != nil {
					err = fmt.Errorf("read the service's answer: %w", err)
				}
			}
			if listed += len(page.Receipts); err == nil && listed > maxReceipts {
				err = fmt.Errorf("the service lists more than %d receipts about %s", maxReceipts, digest)
			}
			if err != nil {
				yield(signer.Receipt{}, err)
				return
			}
			for _, r := range page.Receipts {
				if !yield(r, nil) {
					return
				}
			}
			if page.Next == "" || len(page.Receipts) == 0 {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}
