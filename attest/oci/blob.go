// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hallmark-dev/hallmark/attest"
)

// hasBlob asks whether the repository has the blob.
func (c *Client) hasBlob(ctx context.Context, t target, digest attest.Digest) (bool, error) {
	object := "blob " + t.String() + "@" + string(digest)
	resp, err := c.send(ctx, t, request{method: http.MethodHead, url: t.url("blobs/" + string(digest)), object: object, stay: true})
	if err != nil {
		return false, err
	}
	defer closeBody(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	// Some registries answer 403 or 405 to this question only, and some send
	// the client to their storage to ask. The upload that follows a "no" tells
	// the truth.
	if resp.StatusCode < 500 {
		return false, nil
	}
	return false, statusError(object, resp)
}

// blob reads a blob of known digest and size, at most limit bytes.
func (c *Client) blob(ctx context.Context, t target, digest attest.Digest, size, limit int64) ([]byte, error) {
	object := "blob " + t.String() + "@" + string(digest)
	if size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, the limit is %d", object, ErrTooLarge, size, limit)
	}
	resp, err := c.send(ctx, t, request{method: http.MethodGet, url: t.url("blobs/" + string(digest)), object: object, blobGet: true})
	if err != nil {
		return nil, err
	}
	defer closeBody(resp)
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(object, resp)
	}
	// One byte more than announced is enough to know that it is not the blob.
	// The buffer has room from the start: one that grows takes three times as
	// much, and the announcement is within the limit.
	var buf bytes.Buffer
	buf.Grow(int(size) + 1 + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(resp.Body, size+1)); err != nil {
		return nil, netError(object, err)
	}
	b := buf.Bytes()
	if int64(len(b)) != size || attest.DigestOf(b) != digest {
		return nil, fmt.Errorf("%s: %w: the registry sent something else (%d bytes are announced)", object, ErrDigestMismatch, size)
	}
	return b, nil
}

// content is a blob to be uploaded. It is read as often as it is sent.
type content struct {
	digest attest.Digest
	size   int64
	from   io.ReaderAt
}

func contentOf(b []byte) content {
	return content{digest: attest.DigestOf(b), size: int64(len(b)), from: bytes.NewReader(b)}
}

func (b content) reader() io.Reader { return io.NewSectionReader(b.from, 0, b.size) }

// inOne is how large a blob may be that is offered to a registry in one request
// before it is known whether it takes such: an offer costs the blob.
const inOne = 1 << 20

// putBlob is putContent of bytes.
func (c *Client) putBlob(ctx context.Context, t target, b []byte) error {
	return c.putContent(ctx, t, contentOf(b))
}

// putContent uploads a blob. Uploading what is there already is harmless. Some
// registries take it in one request (OCI distribution specification, "Single
// POST"); the others answer as if there were no blob in it and get it in a
// second one, and from then on in that way at once.
func (c *Client) putContent(ctx context.Context, t target, b content) error {
	object := "upload of blob " + t.String() + "@" + string(b.digest)
	start := request{method: http.MethodPost, url: t.url("blobs/uploads/"), object: object}
	once := !c.shortcuts.known(twoRequests(t)) && (b.size <= inOne || c.shortcuts.known(oneRequest(t)))
	if once {
		start.url.RawQuery = url.Values{"digest": {string(b.digest)}}.Encode()
		start.content, start.header = b, octets()
	}
	resp, err := c.send(ctx, t, start)
	if err != nil {
		return err
	}
	defer closeBody(resp)
	switch {
	case once && resp.StatusCode == http.StatusCreated:
		c.shortcuts.learn(oneRequest(t))
		return nil
	case once && resp.StatusCode != http.StatusAccepted && resp.StatusCode < 500 && !isDenied(resp.StatusCode):
		c.shortcuts.learn(twoRequests(t))
		return c.putContent(ctx, t, b)
	case resp.StatusCode != http.StatusAccepted:
		return statusError(object, resp)
	}
	if once {
		c.shortcuts.learn(twoRequests(t))
	}
	// The location is the registry's choice; send refuses other hosts.
	location, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || location.User != nil {
		return fmt.Errorf("%s: %w: it gives no usable upload location", object, ErrRejected)
	}
	location = start.url.ResolveReference(location)
	location.Fragment = ""
	query := location.Query()
	query.Set("digest", string(b.digest))
	location.RawQuery = query.Encode()
	return c.put(ctx, t, request{url: *location, object: object, content: b, header: octets()})
}

// twoRequests is the fact that a registry does not take a blob in one request.
func twoRequests(t target) string { return "two requests " + t.registry.Host }

// oneRequest is the fact that it does.
func oneRequest(t target) string { return "one request " + t.registry.Host }

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }

// putManifest stores a manifest under a tag or digest.
func (c *Client) putManifest(ctx context.Context, t target, name, mediaType string, b []byte) error {
	return c.put(ctx, t, request{
		url: t.url("manifests/" + name), object: "write of manifest " + t.String() + " " + name, body: b,
		header: http.Header{"Content-Type": {mediaType}},
	})
}

// put makes a PUT that must be answered with 201.
func (c *Client) put(ctx context.Context, t target, r request) error {
	r.method = http.MethodPut
	resp, err := c.send(ctx, t, r)
	if err != nil {
		return err
	}
	defer closeBody(resp)
	if resp.StatusCode != http.StatusCreated {
		return statusError(r.object, resp)
	}
	return nil
}
