// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// Resolve reads the manifest that ref names, hashes it and tells what it is.
// Where ref has a digest its tag is not looked at. With Config.Members the
// members of an index are read as well. Errors: ErrBadReference,
// ErrForeignRegistry (both before any connection), ErrNotFound, ErrDenied,
// ErrUnavailable, ErrRejected, ErrDigestMismatch, ErrBadManifest, ErrTooLarge,
// ErrTooMany.
func (c *Client) Resolve(ctx context.Context, ref string) (Artifact, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return Artifact{}, err
	}
	t, err := c.target(r, pull)
	if err != nil {
		return Artifact{}, fmt.Errorf("resolve %s: %w", r, err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()

	name := r.Tag
	if r.Digest != "" {
		name = string(r.Digest)
	}
	got, err := c.manifest(ctx, t, name, manifestTypes...)
	if err != nil {
		return Artifact{}, fmt.Errorf("resolve: %w", err)
	}
	a, members, err := c.inspect(r, got)
	got.release() // before members are read
	if err != nil {
		return Artifact{}, fmt.Errorf("resolve %s: %w", r, err)
	}
	if err := c.wholeIndex(ctx, t, a.Digest, members); err != nil {
		return Artifact{}, fmt.Errorf("resolve %s: %w", r, err)
	}
	return a, nil
}

// inspect tells what was read, and which members of it are to be read.
func (c *Client) inspect(r Reference, got fetched) (Artifact, []member, error) {
	m, mediaType, err := readManifest(got)
	if err != nil {
		return Artifact{}, nil, err
	}
	var members []member
	if c.members {
		if members, err = m.membersOf(); err != nil {
			return Artifact{}, nil, err
		}
	}
	return Artifact{
		Registry: r.Registry, Repository: r.Repository, Tag: r.Tag,
		Digest: got.digest, MediaType: mediaType, Size: int64(len(got.bytes)), Kind: m.kind(),
	}, members, nil
}

func (c *Client) target(r Reference, actions string) (target, error) {
	registry, err := c.registry(r.Registry)
	return target{registry: registry, repository: r.Repository, actions: actions}, err
}

// fetched is a manifest as it came. Its digest was computed here. Whoever has
// one calls release when nothing refers to its bytes any more.
type fetched struct {
	release     func()
	bytes       []byte
	digest      attest.Digest
	contentType string
}

// manifest reads the manifest with that tag or digest.
func (c *Client) manifest(ctx context.Context, t target, name string, accept ...string) (fetched, error) {
	object := "manifest " + t.String() + ":" + name
	want, err := attest.ParseDigest(name)
	byDigest := err == nil
	if byDigest {
		object = "manifest " + t.String() + "@" + name
	}
	resp, err := c.send(ctx, t, request{
		method: http.MethodGet, url: t.url("manifests/" + name), object: object,
		header: http.Header{"Accept": {strings.Join(accept, ", ")}},
	})
	if err != nil {
		return fetched{}, err
	}
	defer closeBody(resp)
	if resp.StatusCode != http.StatusOK {
		return fetched{}, statusError(object, resp)
	}
	release, err := c.reserve(ctx, resp.ContentLength)
	if err != nil {
		return fetched{}, netError(object, err)
	}
	got, err := readFetched(object, resp, want, byDigest)
	if err != nil {
		release()
		return fetched{}, err
	}
	got.release = release
	return got, nil
}

// readFetched reads a manifest and compares its digest with the one that it was
// asked for by, if it was.
func readFetched(object string, resp *http.Response, want attest.Digest, byDigest bool) (fetched, error) {
	b, err := readAll(object, resp.Body, maxManifest)
	if err != nil {
		return fetched{}, err
	}
	got := fetched{bytes: b, digest: attest.DigestOf(b), contentType: resp.Header.Get("Content-Type")}
	if byDigest && got.digest != want {
		return fetched{}, fmt.Errorf("%s: %w: the registry sent %s", object, ErrDigestMismatch, got.digest)
	}
	// By tag there is nothing to compare with but the registry's own word. If
	// it is against the bytes, others will get something else by that digest.
	if said, err := attest.ParseDigest(resp.Header.Get("Docker-Content-Digest")); err == nil && said != got.digest {
		return fetched{}, fmt.Errorf("%s: %w: the registry says %s and sent %s", object, ErrDigestMismatch, said, got.digest)
	}
	return got, nil
}

// url returns a URL of the target's repository. Repository, tags and digests
// need no escaping: their grammars have no character that would.
func (t target) url(path string) url.URL {
	return url.URL{Scheme: t.registry.scheme(), Host: t.registry.Host, Path: "/v2/" + t.repository + "/" + path}
}

// Locate reads a reference and refuses one that is on none of the configured
// hosts: ErrBadReference, ErrForeignRegistry. It asks nobody.
func (c *Client) Locate(ref string) (Reference, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return Reference{}, err
	}
	if _, err := c.target(r, pull); err != nil {
		return Reference{}, fmt.Errorf("resolve %s: %w", r, err)
	}
	return r, nil
}
