// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// member is an entry of an index.
type member struct {
	digest    attest.Digest
	mediaType string
	size      int64
}

// wholeIndex reads all that an index lists, level by level: each manifest has
// the digest, the size and the type that the index gives it, and would be
// accepted by itself. So a signature of an index speaks of things that are all
// here and can be read in one way only. Many requests about one index read it
// once.
func (c *Client) wholeIndex(ctx context.Context, t target, top attest.Digest, members []member) error {
	name := t.String() + "@" + string(top)
	if len(members) == 0 || c.whole.known(name) {
		return nil
	}
	unlock, err := c.subjects.lock(ctx, "members "+name)
	if err != nil {
		return netError("turn to read the members of "+name, err)
	}
	defer unlock()
	if c.whole.known(name) {
		return nil // somebody read them while we waited
	}
	if err := c.readLevels(ctx, t, top, members); err != nil {
		return err
	}
	c.whole.learn(name)
	return nil
}

func (c *Client) readLevels(ctx context.Context, t target, top attest.Digest, level []member) (err error) {
	seen := map[attest.Digest]bool{top: true}
	var size int64
	for depth := 1; len(level) > 0; depth++ {
		level = slices.DeleteFunc(level, func(m member) bool {
			again := seen[m.digest]
			seen[m.digest] = true
			return again
		})
		if len(level) > 0 && depth > maxIndexDepth {
			return fmt.Errorf("%w: indexes lie more than %d deep in each other", ErrTooMany, maxIndexDepth)
		}
		if len(seen)-1 > maxMembers {
			return fmt.Errorf("%w members: more than %d in the index and those in it", ErrTooMany, maxMembers)
		}
		for _, m := range level {
			size += m.size
		}
		if size > maxMemberBytes {
			return fmt.Errorf("%w: %d bytes of members, the limit is %d", ErrTooLarge, size, maxMemberBytes)
		}
		if level, err = c.readMembers(ctx, t, level); err != nil {
			return err
		}
	}
	return nil
}

// membersOf are the members that an index lists, each as it must be; none of
// what is no index.
func (m manifest) membersOf() ([]member, error) {
	if len(m.manifests) > maxMembers {
		return nil, fmt.Errorf("%w members: %d, the limit is %d", ErrTooMany, len(m.manifests), maxMembers)
	}
	var all []member
	for _, d := range m.manifests {
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
		all = append(all, member{digest: digest, mediaType: strings.Clone(d.MediaType), size: d.Size})
	}
	return all, nil
}

// readMembers reads one level and returns the members of the indexes in it.
func (c *Client) readMembers(ctx context.Context, t target, level []member) ([]member, error) {
	found := make([][]member, len(level))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for i, m := range level {
		reads.Go(func() error {
			got, err := c.manifest(ctx, t, string(m.digest), manifestTypes...)
			if err != nil {
				return fmt.Errorf("member of the index: %w", err)
			}
			defer got.release()
			if found[i], err = m.accept(got); err != nil {
				return fmt.Errorf("member %s of the index: %w", m.digest, err)
			}
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// accept holds a member against its entry in the index, and returns its own
// members.
func (m member) accept(got fetched) ([]member, error) {
	if int64(len(got.bytes)) != m.size {
		return nil, fmt.Errorf("%w: it has %d bytes, the index says %d", ErrDigestMismatch, len(got.bytes), m.size)
	}
	parsed, mediaType, err := readManifest(got)
	if err != nil {
		return nil, err
	}
	if mediaType != m.mediaType {
		return nil, fmt.Errorf("%w: it is a %s, the index says %s", ErrBadManifest, mediaType, m.mediaType)
	}
	return parsed.membersOf()
}
