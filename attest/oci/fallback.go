// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxFallbackWrites is how often the list is written when other writers keep
// replacing it. Each try reads their work first, so a second one is rare.
const maxFallbackWrites = 8

// addToFallback adds all of add to the list under the subject's fallback tag,
// at once. The list is read, changed and written, so writers of one subject take turns, and each
// reads the list again until they are in it.
func (c *Client) addToFallback(ctx context.Context, t target, subject attest.Digest, add []descriptor) error {
	tag := fallbackTag(subject)
	unlock, err := c.subjects.lock(ctx, t.String()+"@"+string(subject))
	if err != nil {
		return netError("turn to write referrers tag "+t.String()+":"+tag, err)
	}
	defer unlock()
	if c.turn != nil {
		release, err := c.turn(ctx, "referrers tag "+t.String()+":"+tag)
		if err != nil {
			return fmt.Errorf("turn to write referrers tag %s:%s: %w: %w", t, tag, ErrUnavailable, err)
		}
		defer release()
	}
	for writes := 0; ; writes++ {
		if done, err := c.addReferrers(ctx, t, subject, add, writes); done || err != nil {
			return err
		}
	}
}

// addReferrers reads the list, and writes it with those of add that are not in
// it. It is done when a list that was read has them all. Meanwhile the list's memory is reserved.
func (c *Client) addReferrers(ctx context.Context, t target, subject attest.Digest, add []descriptor, writes int) (done bool, err error) {
	tag := fallbackTag(subject)
	index, err := c.fallbackIndex(ctx, t, subject)
	if err != nil {
		return false, err
	}
	defer index.release()
	missing := slices.DeleteFunc(slices.Clone(add), func(d descriptor) bool { return lists(index.manifests, attest.Digest(d.Digest)) })
	if len(missing) == 0 {
		return true, nil
	}
	if writes == maxFallbackWrites {
		return false, fmt.Errorf("referrers tag %s:%s: %w: written %d times, and each time somebody else replaced it (hint: let one service write to a repository)",
			t, tag, ErrUnavailable, writes)
	}
	if writes > 0 {
		c.log.WarnContext(ctx, "referrers tag was replaced by another writer", "repository", t.String(), "tag", tag, "try", writes)
	}
	if _, err := checkReferrers(t, subject, append(index.manifests, missing...)); err != nil {
		return false, err
	}
	b, err := appendReferrers(index.raw, missing)
	if err != nil {
		return false, fmt.Errorf("referrers tag %s:%s: %w", t, tag, err)
	}
	return false, c.putManifest(ctx, t, tag, ociIndex, b)
}

// appendReferrers adds descriptors to an index, or to an empty one for nil.
// Everything that others wrote into it is kept, known to us or not.
func appendReferrers(index []byte, add []descriptor) ([]byte, error) {
	top := members{
		"schemaVersion": json.RawMessage(`2`),
		"mediaType":     json.RawMessage(`"` + ociIndex + `"`),
	}
	var list []json.RawMessage
	if index != nil {
		var err error
		if top, err = membersOf(index); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadManifest, err)
		}
		if err := top.decode(map[string]any{"manifests": &list}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadManifest, err)
		}
	}
	for _, d := range add {
		entry, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	var err error
	if top["manifests"], err = json.Marshal(list); err != nil {
		return nil, err
	}
	b, err := json.Marshal(top)
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("%w: list of %d bytes, the limit is %d", ErrTooLarge, len(b), maxManifest)
	}
	return b, err
}
