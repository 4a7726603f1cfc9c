// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

// What is read, changed and written again has an end: a legacy tag, and the
// list of referrers in a registry that keeps none itself. Whoever can push to a
// repository can fill both for any digest in it, and so can years of rebuilds
// that give the same digest. That must be noticed before something is signed
// and logged that then cannot be attached.
//
// A registry with the referrers API needs no room: a manifest there says itself
// what it refers to, and however many do, one more is a write like any other.

const (
	// layerRoom is what a layer takes in a tag's manifest at most, bytes:
	// certificate and chain, a log entry, a timestamp, all of them as text in
	// annotations. Real ones take 6 to 9 KiB.
	layerRoom = 16 << 10
	// referrerRoom is what a bundle takes in a list of referrers, bytes.
	referrerRoom = 1 << 10
	// roomLife is how long it is remembered that a subject has plenty of room:
	// for the other statements of the same request. What fills it within that
	// time is noticed as late as what fills it after the last look.
	roomLife = 10 * time.Second
)

// Attachments are what is going to be attached to a subject.
type Attachments struct {
	Bundles int
	// Layers are those under the tag Kind; 0 without legacy tags.
	Layers int
	Kind   TagKind
}

// Room returns nil if what is to be attached to subject has room there, as far
// as can be told before it is written. Errors are those of AttachBundle and
// AttachLayers: ErrTooMany and ErrTooLarge if there is none, ErrBadManifest if
// something else is in its place; they say what to delete.
func (c *Client) Room(ctx context.Context, subject Artifact, want Attachments) error {
	t, err := c.subjectTarget(subject, pullPush) // as will be needed: another scope is another token
	if err != nil {
		return fmt.Errorf("room for signatures: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	looks, looksCtx := errgroup.WithContext(ctx)
	looks.Go(func() error { return c.roomForBundles(looksCtx, t, subject.Digest, want.Bundles) })
	looks.Go(func() error { return c.roomForLayers(looksCtx, t, subject.Digest, want) })
	if err := looks.Wait(); err != nil {
		return fmt.Errorf("room for signatures of %s: %w", subject, err)
	}
	return nil
}

func (c *Client) roomForLayers(ctx context.Context, t target, subject attest.Digest, want Attachments) error {
	tag := fallbackTag(subject) + "." + string(want.Kind)
	plenty := "tag " + t.String() + ":" + tag
	if want.Layers == 0 || c.roomy.known(plenty) {
		return nil
	}
	now, err := c.tagManifest(ctx, t, tag)
	if err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	defer now.release()
	n, size := len(now.layers)+want.Layers, len(now.raw)+want.Layers*layerRoom
	switch {
	case n > maxTagLayers:
		return fmt.Errorf("tag %s: %w", tag, tooManyLayers(n))
	case size > maxManifest:
		return fmt.Errorf("tag %s: %w", tag, tooLargeTag(size))
	case 2*n <= maxTagLayers && 2*size <= maxManifest:
		c.roomy.learn(plenty)
	}
	return nil
}

func (c *Client) roomForBundles(ctx context.Context, t target, subject attest.Digest, bundles int) error {
	plenty := "referrers " + t.String() + "@" + string(subject)
	if bundles == 0 || c.shortcuts.known(hasReferrers(t)) || c.roomy.known(plenty) {
		return nil
	}
	if !c.shortcuts.known(lacksReferrers(t)) {
		some, err := c.hasListed(ctx, t, subject)
		if err != nil || some {
			return err
		}
	}
	index, err := c.fallbackIndex(ctx, t, subject)
	if errors.Is(err, ErrBadManifest) {
		err = fmt.Errorf("%w (hint: what is under this tag is no list of referrers: look who wrote it, and delete the tag)", err)
	}
	if err != nil {
		return err
	}
	defer index.release()
	n, size := len(index.manifests)+bundles, len(index.raw)+bundles*referrerRoom
	switch {
	case n > maxReferrers || size > maxManifest:
		return fmt.Errorf("referrers tag %s:%s: %w: %d in %d bytes, the limits are %d and %d (hint: delete referrers that nobody needs, and the tag: repeated requests put their bundles back into it)",
			t, fallbackTag(subject), ErrTooMany, n, size, maxReferrers, maxManifest)
	case 2*n <= maxReferrers && 2*size <= maxManifest:
		c.roomy.learn(plenty)
	}
	return nil
}

// hasReferrers is the fact that the registry of a repository keeps lists of
// referrers itself: it has shown one with something in it. An empty answer
// proves nothing.
func hasReferrers(t target) string { return "referrers of " + t.String() }

// lacksReferrers is the fact that it said it does not.
func lacksReferrers(t target) string { return "no referrers of " + t.String() }

// hasListed says whether the registry's own list has anything in it. One page
// of it is enough, and so is one that is too large to be read.
func (c *Client) hasListed(ctx context.Context, t target, subject attest.Digest) (bool, error) {
	object := "referrers of " + t.String() + "@" + string(subject)
	list, _, err := c.referrersPage(ctx, t, t.url("referrers/"+string(subject)), object)
	if errors.Is(err, ErrTooLarge) {
		c.shortcuts.learn(hasReferrers(t))
		return true, nil
	}
	if len(list) > 0 {
		c.shortcuts.learn(hasReferrers(t))
	}
	return len(list) > 0, err
}

// unlisted says which of the manifests that were just written are not in the
// registry's own list of referrers. More than can be read (not readable) is a
// list, too: the registry keeps one, and the manifests say themselves whose they
// are. Somebody who attaches a thousand things to a digest must not keep it from
// being signed.
func (c *Client) unlisted(ctx context.Context, t target, subject attest.Digest, all []attachment) (missing []attachment, readable bool, err error) {
	list, err := c.referrersAPI(ctx, t, subject)
	switch {
	case errors.Is(err, ErrTooMany) || errors.Is(err, ErrTooLarge):
		c.log.WarnContext(ctx, "more referrers than can be read: whether the new ones are among them was not looked at", "repository", t.String(), "subject", string(subject), "error", err)
		c.shortcuts.learn(hasReferrers(t))
		return nil, false, nil
	case err != nil:
		return nil, true, err
	case len(list) > 0:
		c.shortcuts.learn(hasReferrers(t))
	}
	return slices.DeleteFunc(slices.Clone(all), func(a attachment) bool { return a.listedIn(list) }), true, nil
}

// lacksAPI notes that a registry said it has no referrers API.
func (c *Client) lacksAPI(t target, status int) {
	if status == http.StatusNotFound {
		c.shortcuts.forget(hasReferrers(t))
		c.shortcuts.learn(lacksReferrers(t))
	}
}
