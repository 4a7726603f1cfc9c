// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxReferrers bounds the referrers of one subject, of whatever kind:
	// bundles and the SBOMs, scans and signatures of other tools.
	maxReferrers = 256
	// maxPages bounds the pages in which a registry may send them.
	maxPages = 32
)

// fallbackTag is the tag under which clients keep the list of referrers when
// the registry does not (OCI distribution specification, "Referrers Tag
// Schema").
func fallbackTag(subject attest.Digest) string { return "sha256-" + subject.Hex() }

// referrers lists everything that refers to subject. The list is not filtered
// by artifact type, since registries differ in what they report as that. An
// empty answer of the referrers API is followed by the fallback tag: some
// registries answer so instead of admitting that they do not have the API.
func (c *Client) referrers(ctx context.Context, t target, subject attest.Digest) ([]descriptor, error) {
	list, err := c.referrersAPI(ctx, t, subject)
	if err != nil || len(list) > 0 {
		return list, err
	}
	index, err := c.fallbackIndex(ctx, t, subject)
	if err != nil {
		return nil, err
	}
	defer index.release()
	return checkReferrers(t, subject, index.manifests)
}

// referrersAPI asks the registry. An empty list may also mean that it does not
// know the question.
func (c *Client) referrersAPI(ctx context.Context, t target, subject attest.Digest) ([]descriptor, error) {
	object := "referrers of " + t.String() + "@" + string(subject)
	path := t.url("referrers/" + string(subject))
	var list []descriptor
	for page, next := 0, &path; next != nil; page++ {
		if page == maxPages {
			return nil, fmt.Errorf("%s: %w pages: more than %d", object, ErrTooMany, maxPages)
		}
		part, link, err := c.referrersPage(ctx, t, *next, object)
		if err != nil {
			return nil, err
		}
		if list, err = checkReferrers(t, subject, append(list, part...)); err != nil {
			return nil, err
		}
		if next, err = nextPage(*next, path.Path, link); err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
	}
	return list, nil
}

// noReferrersAPI are the answers of registries that do not know the question:
// 404 and 400 by the specification, the others by observation.
var noReferrersAPI = []int{http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable}

func (c *Client) referrersPage(ctx context.Context, t target, u url.URL, object string) (list []descriptor, link string, err error) {
	resp, err := c.send(ctx, t, request{method: http.MethodGet, url: u, object: object, header: http.Header{"Accept": {ociIndex}}})
	if err != nil {
		return nil, "", err
	}
	defer closeBody(resp)
	if slices.Contains(noReferrersAPI, resp.StatusCode) {
		c.lacksAPI(t, resp.StatusCode)
		return nil, "", nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", statusError(object, resp)
	}
	if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || mediaType != ociIndex {
		return nil, "", nil // a page for people, from a registry that knows no such path
	}
	release, err := c.reserve(ctx, resp.ContentLength)
	if err != nil {
		return nil, "", netError(object, err)
	}
	defer release()
	b, err := readAll(object, resp.Body, maxManifest)
	if err != nil {
		return nil, "", err
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", object, err)
	}
	if !m.isIndex {
		return nil, "", fmt.Errorf("%s: %w: the answer is not an index", object, ErrBadManifest)
	}
	return m.manifests, resp.Header.Get("Link"), nil
}

// nextPage reads `</v2/…?…>; rel="next"` (RFC 8288). The next page must be of
// the same list.
func nextPage(current url.URL, path, link string) (*url.URL, error) {
	if link == "" {
		return nil, nil
	}
	uri, params, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
		return nil, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: next page %s is not a URL", ErrRejected, quote(uri))
	}
	next := current.ResolveReference(u)
	if next.Scheme != current.Scheme || next.Host != current.Host || next.User != nil {
		return nil, fmt.Errorf("%w: next page is on %s", ErrForeignRegistry, quote(next.Host))
	}
	if next.Path != path {
		return nil, fmt.Errorf("%w: next page %s is of another list", ErrRejected, quote(next.Path))
	}
	return next, nil
}

// fallbackIndex reads the list under the fallback tag; an absent tag is an
// empty list. raw is what must be preserved when the list is written again.
func (c *Client) fallbackIndex(ctx context.Context, t target, subject attest.Digest) (manifestWithRaw, error) {
	tag := fallbackTag(subject)
	got, err := c.manifest(ctx, t, tag, ociIndex)
	if errors.Is(err, ErrNotFound) {
		return manifestWithRaw{release: func() {}}, nil
	}
	if err != nil {
		return manifestWithRaw{}, err
	}
	m, err := parseManifest(got.bytes)
	if err == nil && !m.isIndex {
		err = fmt.Errorf("%w: not an index", ErrBadManifest)
	}
	if err != nil {
		got.release()
		return manifestWithRaw{}, fmt.Errorf("referrers tag %s:%s: %w", t, tag, err)
	}
	return manifestWithRaw{manifest: m, raw: got.bytes, release: got.release}, nil
}

// manifestWithRaw is a manifest and the bytes it was read from. Whoever has one
// calls release when nothing refers to its bytes any more.
type manifestWithRaw struct {
	manifest
	raw     []byte
	release func()
}

// checkReferrers counts the referrers and leaves repetitions out.
func checkReferrers(t target, subject attest.Digest, list []descriptor) ([]descriptor, error) {
	seen := make(map[string]bool, len(list))
	list = slices.DeleteFunc(list, func(d descriptor) bool {
		dup := seen[d.Digest]
		seen[d.Digest] = true
		return dup
	})
	if len(list) > maxReferrers {
		return nil, fmt.Errorf("referrers of %s@%s: %w: %d, the limit is %d (hint: delete referrers that nobody needs)",
			t, subject, ErrTooMany, len(list), maxReferrers)
	}
	return list, nil
}

func lists(list []descriptor, digest attest.Digest) bool {
	return slices.ContainsFunc(list, func(d descriptor) bool { return d.Digest == string(digest) })
}
