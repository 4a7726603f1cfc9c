// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxIndexDepth is how deep indexes may lie in each other: images of
	// several platforms in variants are two.
	maxIndexDepth = 3
	// maxMembers bounds what an index lists, all levels together. The largest
	// official images have about thirty, attestations included.
	maxMembers = 256
	// maxMemberBytes bounds their manifests together; one of an image is a few
	// kilobytes.
	maxMemberBytes = 16 << 20
	// wholeLife is how long it is remembered that all members of an index were
	// read. What they are cannot change; they can be deleted.
	wholeLife = 10 * time.Minute
)

// member is an entry of an index that has not been read yet.
type member struct {
	descriptor
	digest attest.Digest
}

// wholeIndex reads all that an index lists, level by level: each manifest has
// the digest, the size and the type that the index gives it, and would be
// accepted by itself. So a signature of an index speaks of things that are all
// here and can be read in one way only.
func (c *Client) wholeIndex(ctx context.Context, t target, top attest.Digest, m manifest) error {
	name := t.String() + "@" + string(top)
	if c.whole.known(name) {
		return nil
	}
	seen := map[attest.Digest]bool{top: true}
	var size int64
	for depth, level := 1, []manifest{m}; len(level) > 0; depth++ {
		next, err := unread(level, seen)
		if err != nil {
			return err
		}
		if len(next) > 0 && depth > maxIndexDepth {
			return fmt.Errorf("%w: indexes lie more than %d deep in each other", ErrTooMany, maxIndexDepth)
		}
		if len(seen)-1 > maxMembers {
			return fmt.Errorf("%w members: more than %d in the index and those in it", ErrTooMany, maxMembers)
		}
		for _, member := range next {
			size += member.Size
		}
		if size > maxMemberBytes {
			return fmt.Errorf("%w: %d bytes of members, the limit is %d", ErrTooLarge, size, maxMemberBytes)
		}
		if level, err = c.readMembers(ctx, t, next); err != nil {
			return err
		}
	}
	c.whole.learn(name)
	return nil
}

// unread are the members that indexes list and that nobody has read yet.
func unread(level []manifest, seen map[attest.Digest]bool) ([]member, error) {
	var next []member
	for _, index := range level {
		for _, d := range index.manifests {
			digest, err := attest.ParseDigest(d.Digest)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%w: member: %w", ErrBadManifest, err)
			case !slices.Contains(manifestTypes, d.MediaType):
				return nil, fmt.Errorf("%w: member %s has media type %s, which is not supported", ErrBadManifest, digest, quote(d.MediaType))
			case d.Size <= 0 || d.Size > maxManifest:
				return nil, fmt.Errorf("member %s: %w: %d bytes, not 1 to %d", digest, ErrTooLarge, d.Size, maxManifest)
			}
			if err := d.check(); err != nil {
				return nil, fmt.Errorf("%w: member %s: %w", ErrBadManifest, digest, err)
			}
			if !seen[digest] {
				seen[digest] = true
				next = append(next, member{d, digest})
			}
		}
	}
	return next, nil
}

// readMembers reads one level and returns the indexes in it.
func (c *Client) readMembers(ctx context.Context, t target, level []member) ([]manifest, error) {
	found := make([]manifest, len(level))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for i, m := range level {
		reads.Go(func() error {
			got, err := c.manifest(ctx, t, string(m.digest), manifestTypes...)
			if err != nil {
				return fmt.Errorf("member of the index: %w", err)
			}
			if found[i], err = m.accept(got); err != nil {
				return fmt.Errorf("member %s of the index: %w", m.digest, err)
			}
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(m manifest) bool { return !m.isIndex }), nil
}

// accept holds a member against its entry in the index.
func (m member) accept(got fetched) (manifest, error) {
	if int64(len(got.bytes)) != m.Size {
		return manifest{}, fmt.Errorf("%w: it has %d bytes, the index says %d", ErrDigestMismatch, len(got.bytes), m.Size)
	}
	parsed, mediaType, err := readManifest(got)
	if err != nil {
		return manifest{}, err
	}
	if mediaType != m.MediaType {
		return manifest{}, fmt.Errorf("%w: it is a %s, the index says %s", ErrBadManifest, mediaType, m.MediaType)
	}
	return parsed, nil
}
