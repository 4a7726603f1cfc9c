// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/generated/protobuf/legacy"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxBody bounds a request, bytes: a token of at most 16 KiB, a key or a
	// signing request of at most a few, in base64.
	maxBody = 64 << 10
	// maxDepth of a request's JSON; the deepest has four.
	maxDepth = 8
	// maxPart bounds a key, a proof and a signing request, bytes. An RSA key of
	// 4096 bits has 800.
	maxPart = 16 << 10
)

// request is what both versions of the API ask for: a certificate on a key,
// which is shown with a proof or is in a signing request. Nothing of it is
// judged yet.
type request struct {
	token string // of the body, or empty

	publicKey []byte // PEM or DER; empty with csr
	proof     []byte
	csr       []byte // PEM
}

// badRequest is an ErrBadRequest in the words of the API.
func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: %w", signer.ErrBadRequest, fmt.Errorf(format, args...))
}

// errTooLarge says that a request is larger than maxBody.
var errTooLarge = errors.New("the request is too large")

// readBody reads a request's bytes.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != contentJSON {
			return nil, badRequest("content type %.100q is not %s", kind, contentJSON)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, badRequest("the request has not arrived completely")
	}
	return body, nil
}

// decode reads JSON as grpc-gateway does, which lets unknown members pass: a
// newer client says more than this server knows. But one that other parsers
// would read otherwise is refused.
func decode(body []byte, into proto.Message) error {
	if err := attest.CheckJSON(body, maxDepth, maxBody); err != nil {
		return badRequest("the request is not JSON: %w", err)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, into); err != nil {
		return badRequest("the request cannot be read: %s", clip(err.Error()))
	}
	return nil
}

// readV2 reads a request of the v2 API.
func readV2(body []byte) (request, error) {
	var msg protobuf.CreateSigningCertificateRequest
	if err := decode(body, &msg); err != nil {
		return request{}, err
	}
	return request{
		token:     msg.GetCredentials().GetOidcIdentityToken(),
		publicKey: []byte(msg.GetPublicKeyRequest().GetPublicKey().GetContent()),
		proof:     msg.GetPublicKeyRequest().GetProofOfPossession(),
		csr:       msg.GetCertificateSigningRequest(),
	}.check()
}

// readV1 reads a request of the v1 API. Its token is in the header only.
//
//nolint:staticcheck // deprecated upstream, and what cosign 2.6 sends
func readV1(body []byte) (request, error) {
	var msg legacy.CreateSigningCertificateRequest
	if err := decode(body, &msg); err != nil {
		return request{}, err
	}
	return request{
		publicKey: msg.GetPublicKey().GetContent(), proof: msg.GetSignedEmailAddress(), csr: msg.GetCertificateSigningRequest(),
	}.check()
}

// check wants one key, shown in one way.
func (r request) check() (request, error) {
	for name, part := range map[string][]byte{"public key": r.publicKey, "proof of possession": r.proof, "certificate signing request": r.csr} {
		if len(part) > maxPart {
			return request{}, badRequest("%s of %d bytes, at most %d", name, len(part), maxPart)
		}
	}
	switch {
	case len(r.csr) > 0 && len(r.publicKey)+len(r.proof) > 0:
		return request{}, badRequest("both a public key and a certificate signing request (hint: one of them)")
	case len(r.csr) == 0 && len(r.publicKey) == 0:
		return request{}, badRequest("%s: there is none", sayBadKey)
	case len(r.csr) == 0 && len(r.proof) == 0:
		return request{}, badRequest("%s: there is none", sayBadProof)
	}
	return r, nil
}

// bearer returns the token, of the Authorization header or of the body. One
// request is one token's. No token at all is for the authenticator to refuse.
func (r request) bearer(headers []string) (string, error) {
	if len(headers) > 1 {
		return "", badRequest("more than one Authorization header")
	}
	token := ""
	if len(headers) == 1 {
		scheme, rest, ok := strings.Cut(headers[0], " ")
		if !ok || !strings.EqualFold(scheme, "bearer") {
			return "", badRequest("the Authorization header is not that of a bearer token")
		}
		token = strings.TrimSpace(rest)
	}
	switch {
	case r.token == "":
		return token, nil
	case token != "" && token != r.token:
		return "", badRequest("two different tokens, in the Authorization header and in credentials")
	}
	return r.token, nil
}

// clip shortens what repeats parts of a request for its sender.
func clip(s string) string {
	const enough = 200
	if len(s) > enough {
		return strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}
