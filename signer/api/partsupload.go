// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// upload is a body of parts while it comes, and its documents until it is closed.
type upload struct {
	*parts
	body     *paced
	reader   *multipart.Reader
	boundary string

	asked partsRequest
	// files are the documents in the order of asked.Evidence; nil: it has not come.
	files []*received
}

// received is a document that the spool keeps.
type received struct {
	signer.Stored
	forget func()
}

func (p *parts) newUpload(w http.ResponseWriter, r *http.Request, boundary string) *upload {
	body := &paced{r: http.MaxBytesReader(w, r.Body, p.mostOf()), control: http.NewResponseController(w), begun: time.Now(), grace: p.BodyTimeout}
	return &upload{parts: p, body: body, reader: multipart.NewReader(body, boundary), boundary: boundary}
}

// Close forgets the documents.
func (u *upload) Close() {
	for _, f := range u.files {
		if f != nil {
			f.forget()
		}
	}
	u.files = nil
}

// receive reads the body into the request.
func (u *upload) receive(ctx context.Context, req *signer.Request) error {
	if err := u.readRequest(req); err != nil {
		return err
	}
	if !u.asked.DryRun { // its answer is the refusal
		var err error
		if req.Admission, err = u.Signer.Expect(ctx, *req); err != nil {
			return err
		}
	}
	if err := u.readDocuments(req.Admission.Tenant()); err != nil {
		return err
	}
	if err := u.end(); err != nil {
		return err
	}
	for i, f := range u.files {
		req.Documents[i].Stored = &f.Stored
	}
	return nil
}

// readRequest reads the first part.
func (u *upload) readRequest(req *signer.Request) error {
	first, err := u.next()
	if err != nil {
		return err
	}
	if first == nil || partName(first) != requestPart {
		return fmt.Errorf("%w: the first part is not called %s", signer.ErrBadRequest, requestPart)
	}
	raw, err := io.ReadAll(io.LimitReader(first, maxPartsRequest+1))
	if err != nil {
		return truncated(err)
	}
	if len(raw) > maxPartsRequest {
		return fmt.Errorf("%w: part %s has more than %d bytes", ErrTooLarge, requestPart, maxPartsRequest)
	}
	if u.asked, err = readPartsRequest(raw); err != nil {
		return err
	}
	if u.asked.DryRun && req.Action == signer.ActionAttest {
		return fmt.Errorf("%w: only a signature has a dry run", signer.ErrBadRequest)
	}
	return u.asked.into(req)
}

// readDocuments reads the other parts into the spool.
func (u *upload) readDocuments(tenant string) error {
	at := map[string]int{}
	for i, e := range u.asked.Evidence {
		at[e.Part] = i
	}
	u.files = make([]*received, len(at))
	for range u.files {
		part, err := u.next()
		if err != nil {
			return err
		}
		if part == nil {
			break
		}
		name := partName(part)
		i, known := at[name]
		if !known || u.files[i] != nil {
			return fmt.Errorf("%w: part %.100q is not named in evidence, or is there twice", signer.ErrBadRequest, name)
		}
		stored, forget, err := u.Spool.Receive(tenant, bodyReader{part}, signer.MaxDocument)
		if err != nil {
			return fmt.Errorf("part %s: %w", name, notKept(err))
		}
		u.files[i] = &received{stored, forget}
		if err := u.asked.Evidence[i].check(stored); err != nil {
			return err
		}
	}
	for i, f := range u.files {
		if f == nil {
			return fmt.Errorf("%w: there is no part %.100q", signer.ErrBadRequest, u.asked.Evidence[i].Part)
		}
	}
	return nil
}

// end wants nothing behind the last part but white space. The reader of parts
// does not tell what it has read beyond the end.
func (u *upload) end() error {
	part, err := u.next()
	if err != nil {
		return err
	}
	if part != nil {
		return fmt.Errorf("%w: part %.100q is not named in evidence", signer.ErrBadRequest, partName(part))
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(u.body, maxPartsRequest)); err != nil {
		return truncated(err)
	}
	if !bytes.HasSuffix(bytes.TrimRight(u.body.last, " \t\r\n"), []byte("--"+u.boundary+"--")) {
		return fmt.Errorf("%w: something follows the last part", signer.ErrBadRequest)
	}
	return nil
}

// next is the next part as it is sent; nil: there is none.
func (u *upload) next() (*multipart.Part, error) {
	part, err := u.reader.NextRawPart()
	if errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // the end is no error
	}
	if err != nil {
		return nil, truncated(err)
	}
	for _, header := range []string{"Content-Encoding", "Content-Transfer-Encoding"} {
		if e := part.Header.Get(header); e != "" && !strings.EqualFold(e, "binary") && !strings.EqualFold(e, "8bit") && !strings.EqualFold(e, "identity") {
			return nil, fmt.Errorf("%w: part %.100q: %.40q (hint: send it as it is)", ErrEncoded, partName(part), e)
		}
	}
	return part, nil
}

// partName is the name in a part's disposition, whatever that is called.
func partName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["name"]
}

// bodyReader tells errors of the body from those of the spool: the former are of
// who sends it.
type bodyReader struct{ from io.Reader }

// bodyError is an error of reading a body.
type bodyError struct{ error }

// Read implements io.Reader.
func (r bodyReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = bodyError{err}
	}
	return n, err
}

// notKept says what an error of the spool means for who sent the document. What is
// none of a body is the service's own, and says nothing to anybody else.
func notKept(err error) error {
	var body bodyError
	if errors.As(err, &body) {
		return truncated(body.error)
	}
	return err
}

// truncated says what an error of reading a body means for who sent it.
func truncated(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, large.Limit)
	case isTimeout(err):
		return fmt.Errorf("%w: the body came too slowly (%w)", ErrSlow, err)
	}
	return fmt.Errorf("%w: the body of parts cannot be read: %w", signer.ErrBadRequest, err)
}

// ErrSlow says that a body did not come in time.
var ErrSlow = errors.New("the request is too slow")

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
