// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// A sign request may bring evidence, which is as large as an attestation's
// predicate. Requests without any are small and never wait for the others.

// maxBodyDocuments bounds the documents that are taken apart; how many may be
// attested is the signer's business.
const maxBodyDocuments = 64

// ErrTooLarge says that a request is larger than is ever read.
var ErrTooLarge = errors.New("the request is too large")

// signInputBody is the body of a sign request. huma only describes it.
type signInputBody struct {
	Image    string         `json:"image" minLength:"1" maxLength:"1024" doc:"Reference in the central registry, by digest; a tag is resolved once" example:"registry.corp.example/acme/app@sha256:…"`
	DryRun   bool           `json:"dryRun,omitempty" doc:"Decide and explain, and do nothing"`
	Platform string         `json:"platform,omitempty" doc:"What of an index the documents are about: index (the default), all, a platform such as linux/amd64, or the digest of one of its images"`
	Evidence []evidenceBody `json:"evidence,omitempty" maxItems:"16" doc:"Documents that are attested before the policy decides; each at most 16 MiB, all together about 23 MiB; larger ones go in parts"`
	Claims
}

type evidenceBody struct {
	Name     string `json:"name,omitempty" doc:"For messages, such as a file's name"`
	Kind     string `json:"kind,omitempty" doc:"What it has to be: sbom, scan, vex, test, … or a format; a document of another kind is refused"`
	Platform string `json:"platform,omitempty" doc:"What of an index this document is about, in place of the request's platform: index, all, a platform, or the digest of one of its images"`
	Document any    `json:"document" doc:"JSON document as the tool wrote it; or a text with a document in any format, byte for byte. White space around a JSON value is not part of it, so that a file which ends in a newline has another digest: send it as a text, or in parts"`
}

// signOutput holds a receipt, or the explanation of a dry run.
type signOutput struct{ Body any }

// describeSignBody puts what is read and answered in the place of the bytes
// that huma knows.
func describeSignBody(doc *huma.OpenAPI) {
	op := doc.Paths["/hallmark/v1/sign"].Post
	op.RequestBody.Required = true
	op.RequestBody.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[signInputBody](), true, "")
	describeParts(doc, op)
	op.Responses["200"].Description = "The receipt; of a dry run, the decision"
	op.Responses["200"].Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{
		doc.Components.Schemas.Schema(reflect.TypeFor[signer.Receipt](), true, ""),
		doc.Components.Schemas.Schema(reflect.TypeFor[signer.Explanation](), true, ""),
	}}}}
}

// signBody is a sign request, taken apart.
type signBody struct {
	image     string
	dryRun    bool
	documents []signer.Document
	platform  string
	claimed   signer.Claimed
}

// readSignBody takes each member once, by its exact name, and no others.
// Errors are ErrBadRequest.
func readSignBody(raw []byte) (signBody, error) {
	var b signBody
	var evidence json.RawMessage
	var claimed Claims
	members := map[string]any{"image": &b.image, "dryRun": &b.dryRun, "platform": &b.platform, "evidence": &evidence}
	claimed.members(members)
	err := readMembers(raw, members)
	if err != nil {
		return signBody{}, fmt.Errorf("%w: body: %w", signer.ErrBadRequest, err)
	}
	if b.claimed, err = claimed.claimed(); err != nil {
		return signBody{}, err
	}
	if b.image == "" {
		return signBody{}, fmt.Errorf("%w: body: image is compulsory", signer.ErrBadRequest)
	}
	if evidence == nil {
		return b, nil
	}
	dec := json.NewDecoder(bytes.NewReader(evidence))
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return signBody{}, fmt.Errorf("%w: body: evidence is not a list", signer.ErrBadRequest)
	}
	for dec.More() {
		if len(b.documents) == maxBodyDocuments {
			return signBody{}, fmt.Errorf("%w: body: more than %d documents", signer.ErrBadRequest, maxBodyDocuments)
		}
		var one json.RawMessage
		if err := dec.Decode(&one); err != nil {
			return signBody{}, fmt.Errorf("%w: body: evidence: %w", signer.ErrBadRequest, err)
		}
		d, err := readEvidenceBody(one)
		if err != nil {
			return signBody{}, fmt.Errorf("%w: body: evidence[%d]: %w", signer.ErrBadRequest, len(b.documents), err)
		}
		b.documents = append(b.documents, d)
	}
	return b, nil
}

func readEvidenceBody(raw json.RawMessage) (signer.Document, error) {
	var d signer.Document
	var kind string
	var document json.RawMessage
	if err := readMembers(raw, map[string]any{"name": &d.Name, "kind": &kind, "platform": &d.Platform, "document": &document}); err != nil {
		return d, err
	}
	if len(document) == 0 {
		return d, errors.New("document is compulsory")
	}
	d.Kind, d.Content = attest.EvidenceKind(kind), document
	if document[0] == '"' { // another format than JSON
		var text string
		if err := json.Unmarshal(document, &text); err != nil {
			return d, fmt.Errorf("document: %w", err)
		}
		d.Content = []byte(text)
	}
	return d, nil
}

// readMembers decodes the members of one JSON object into the pointers, each at
// most once and no others.
func readMembers(raw []byte, members map[string]any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // a member's name always is one
		member := members[name]
		if member == nil {
			return fmt.Errorf("member %.100q is unknown or there twice", name)
		}
		delete(members, name)
		if err := dec.Decode(member); err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("the JSON object does not end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// refusedProblem is the problem document of a refusal by policy, with what was
// found of the evidence that it requires.
type refusedProblem struct {
	huma.ErrorModel
	Checks []checkBody `json:"checks,omitempty"`
}

type checkBody struct {
	Rule   string `json:"rule"`
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"`
}

func newRefusedProblem(refused *signer.Refused) error {
	p := &refusedProblem{ErrorModel: *newProblem(http.StatusForbidden, "refused", refused.Error())}
	for _, reason := range refused.Reasons {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Message: reason, Location: refused.Stage})
	}
	for _, c := range refused.Checks {
		p.Checks = append(p.Checks, checkBody(c))
	}
	return p
}
