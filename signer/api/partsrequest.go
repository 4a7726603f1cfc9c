// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// maxPartsRequest bounds the request in the first part, bytes.
const maxPartsRequest = 64 << 10

// requestPart is the name of the first part.
const requestPart = "request"

// partsRequest is the first part. huma only describes it.
type partsRequest struct {
	Image    string          `json:"image" minLength:"1" maxLength:"1024" doc:"Reference in the central registry, by digest; a tag is resolved once"`
	DryRun   bool            `json:"dryRun,omitempty" doc:"Decide and explain, and do nothing; for sign only"`
	Platform string          `json:"platform,omitempty" doc:"What of an index the documents are about: index (the default), all, a platform such as linux/amd64, or the digest of one of its images"`
	Evidence []partsEvidence `json:"evidence" maxItems:"16" doc:"The documents that follow, in any order; each at most 256 MiB"`
	Claims
}

type partsEvidence struct {
	Part string `json:"part" doc:"Name of the part with the document"`
	Name string `json:"name,omitempty" doc:"For messages and as the document's title, such as a file's name"`
	Kind string `json:"kind,omitempty" doc:"What it has to be: sbom, scan, vex, test, … or a format; a document of another kind is refused"`
	// Platform is in place of the request's.
	Platform string `json:"platform,omitempty" doc:"What of an index this document is about, in place of the request's platform: index, all, a platform, or the digest of one of its images"`
	Digest   string `json:"digest,omitempty" doc:"sha256:… of the document; another one is refused"`
	Size     int64  `json:"size,omitempty" doc:"Bytes of the document; another number is refused"`
}

// readPartsRequest takes the first part apart.
func readPartsRequest(raw []byte) (partsRequest, error) {
	var r partsRequest
	var evidence []json.RawMessage
	members := map[string]any{"image": &r.Image, "dryRun": &r.DryRun, "platform": &r.Platform, "evidence": &evidence}
	r.Claims.members(members)
	if err := readMembers(raw, members); err != nil {
		return r, fmt.Errorf("%w: part %s: %w", signer.ErrBadRequest, requestPart, err)
	}
	if r.Image == "" || len(evidence) == 0 {
		return r, fmt.Errorf("%w: part %s: image and evidence are compulsory", signer.ErrBadRequest, requestPart)
	}
	if len(evidence) > maxBodyDocuments {
		return r, fmt.Errorf("%w: part %s: more than %d documents", signer.ErrBadRequest, requestPart, maxBodyDocuments)
	}
	seen := map[string]bool{requestPart: true, "": true}
	for i, one := range evidence {
		var e partsEvidence
		err := readMembers(one, map[string]any{"part": &e.Part, "name": &e.Name, "kind": &e.Kind, "platform": &e.Platform, "digest": &e.Digest, "size": &e.Size})
		if err == nil && seen[e.Part] {
			err = errors.New("its part has no name, or that of another one")
		}
		if err == nil && e.Digest != "" {
			_, err = attest.ParseDigest(e.Digest)
		}
		if err == nil && (e.Size < 0 || e.Size > signer.MaxDocument) {
			err = fmt.Errorf("%w: %d bytes, the limit is %d", attest.ErrTooLarge, e.Size, signer.MaxDocument)
		}
		if err != nil {
			return r, fmt.Errorf("%w: part %s: evidence[%d]: %w", signer.ErrBadRequest, requestPart, i, err)
		}
		seen[e.Part] = true
		r.Evidence = append(r.Evidence, e)
	}
	return r, nil
}

// into puts into a request what it says. The documents have no content yet.
func (r *partsRequest) into(req *signer.Request) (err error) {
	req.Image, req.Platform = oci.WithoutScheme(r.Image), r.Platform
	for _, e := range r.Evidence {
		req.Documents = append(req.Documents, signer.Document{Name: e.Name, Kind: attest.EvidenceKind(e.Kind), Platform: e.Platform})
	}
	req.Claimed, err = r.claimed()
	return err
}

// check holds a document against what was announced of it.
func (e *partsEvidence) check(got signer.Stored) error {
	if (e.Digest != "" && string(got.Digest) != e.Digest) || (e.Size != 0 && got.Size != e.Size) {
		return fmt.Errorf("%w: part %s has %d bytes and is %s, announced were %d and %s", signer.ErrBadRequest, e.Part, got.Size, got.Digest, e.Size, e.Digest)
	}
	return nil
}

// receiptsBody is the answer to a request with several statements: receipts
// without bundles.
type receiptsBody struct {
	Receipts []signer.Receipt `json:"receipts"`
}

// newReceiptsBody leaves the bundles out: there are as many as statements in all logs
// and with all keys, and who wants one gets it under its artifact (artifact.go).
func newReceiptsBody(receipts []signer.Receipt) receiptsBody {
	outlines := make([]signer.Receipt, len(receipts))
	for i, r := range receipts {
		outlines[i], _ = signer.OutlineOf(r)
	}
	return receiptsBody{Receipts: outlines}
}

// describeParts tells of bodies of parts.
func describeParts(doc *huma.OpenAPI, op *huma.Operation) {
	op.RequestBody.Content["multipart/form-data"] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{requestPart},
		Description: "First the part request, then a part for each entry of its evidence, under the name that the entry has; multipart/mixed is read alike",
		Properties: map[string]*huma.Schema{
			requestPart: doc.Components.Schemas.Schema(reflect.TypeFor[partsRequest](), true, ""),
		},
		AdditionalProperties: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A document, byte for byte as the tool wrote it"},
	}}
}
