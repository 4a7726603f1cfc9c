// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// A document that is too large for a statement, or whose statement holds only
// what it says in other words, is an artifact of its own beside the image: a
// referrer with the document as its one layer, byte for byte. Its artifact type
// is the document's media type, by which other tools list and fetch it, and the
// subject keeps the registry from collecting it. Nothing in it is proven; that is
// for the statement that names its digest.

const (
	// MaxDocument bounds a document, bytes: the largest that is read.
	MaxDocument = attest.MaxStreamBytes
	// uploadRate is the least that a registry has to take, bytes a second, before
	// an upload is given up.
	uploadRate = 1 << 20
	// annotationTitle is what tools call the file that they write.
	annotationTitle = "org.opencontainers.image.title"
)

// mediaTypes have the form that RFC 6838 gives them.
var mediaTypes = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

// DocumentBlob is a document to be attached.
type DocumentBlob struct {
	// From has Size bytes with this digest. It may be read more than once.
	From   io.ReaderAt
	Size   int64
	Digest attest.Digest
	// MediaType is the document's, and the artifact's type.
	MediaType string
	// Title is the name that other tools give the file; a label.
	Title string
}

// AttachDocument writes a document as a referrer of subject and returns the
// digest of the referrer's manifest. The same document gives the same digest,
// and is not uploaded again; repeating after an error is right. Errors are those
// of AttachBundle.
func (c *Client) AttachDocument(ctx context.Context, subject Artifact, d DocumentBlob) (attest.Digest, error) {
	t, err := c.subjectTarget(subject, pullPush)
	if err != nil {
		return "", fmt.Errorf("attach document: %w", err)
	}
	switch {
	case d.Size <= 0 || d.Size > MaxDocument:
		return "", fmt.Errorf("attach document to %s: %w: %d bytes, not 1 to %d", subject, ErrTooLarge, d.Size, MaxDocument)
	case !mediaTypes.MatchString(d.MediaType):
		return "", fmt.Errorf("attach document to %s: %w: %s is not a media type", subject, ErrBadManifest, quote(d.MediaType))
	}
	layer := descriptor{
		MediaType: d.MediaType, Size: d.Size, Digest: string(d.Digest), Annotations: map[string]string{annotationTitle: d.Title},
	}
	raw, err := referrerManifest(subject, d.MediaType, layer, map[string]string{})
	if err != nil {
		return "", fmt.Errorf("attach document to %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout+time.Duration(d.Size/uploadRate)*time.Second)
	defer cancel()
	a := attachment{
		blob: content{digest: d.Digest, size: d.Size, from: d.From}, raw: raw, digest: attest.DigestOf(raw), artifactType: d.MediaType,
	}
	// A question is cheaper than a large blob that is there already, and gets the
	// token before anything is sent.
	if d.Size > inOne {
		has, err := c.hasBlob(ctx, t, d.Digest)
		if err != nil {
			return "", fmt.Errorf("attach document to %s: %w", subject, err)
		}
		a.stored = has
	}
	if err := c.attach(ctx, t, subject.Digest, []attachment{a}); err != nil {
		return "", fmt.Errorf("attach document to %s: %w", subject, err)
	}
	return a.digest, nil
}
