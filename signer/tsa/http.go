// SPDX-License-Identifier: Apache-2.0

package tsa

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

const (
	// Path takes timestamp requests; it is the URL that signing configurations
	// name.
	Path = "/api/v1/timestamp"
	// ChainPath serves the certificates.
	ChainPath = Path + "/certchain"

	// queryType and replyType are the media types of RFC 3161 section 3.4.
	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
	chainType = "application/pem-certificate-chain"

	// maxRequest in bytes: a request with SHA-512, nonce and policy takes less
	// than 200, and parsing grows with the square of some members.
	maxRequest = 4 << 10
)

// Handler serves the API of Sigstore's timestamp authority:
//
//   - POST /api/v1/timestamp takes a TimeStampReq and answers 201 with a
//     TimeStampResp. 201 and not 200, because old Sigstore clients insist on it
//     and every other client takes both. A refused request is 400 with a
//     TimeStampResp that says why.
//   - GET /api/v1/timestamp/certchain answers the chain as PEM, leaf first.
func (t *TSA) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, t.serveTimestamp)
	mux.HandleFunc("GET "+ChainPath, t.serveChain)
	return mux
}

func (t *TSA) serveTimestamp(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != queryType {
		http.Error(w, "content type has to be "+queryType, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, fmt.Sprintf("request is larger than %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "request body cannot be read", http.StatusBadRequest)
		return
	}
	status, reply, err := t.answer(body)
	if err != nil {
		t.logger.ErrorContext(r.Context(), "timestamp failed", "error", err)
		http.Error(w, "timestamp cannot be made", http.StatusInternalServerError)
		return
	}
	// A token is about one moment: a cached one would be a lie.
	w.Header().Set("Cache-Control", "no-store")
	t.write(w, r, status, replyType, reply)
}

// answer returns the status and the TimeStampResp for a request's body.
func (t *TSA) answer(body []byte) (int, []byte, error) {
	req, err := parseRequest(body)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		reply, err := refusal.encode()
		return http.StatusBadRequest, reply, err
	}
	if err != nil {
		return 0, nil, err
	}
	reply, err := t.respond(req)
	return http.StatusCreated, reply, err
}

func (t *TSA) serveChain(w http.ResponseWriter, r *http.Request) {
	chain, err := cryptoutils.MarshalCertificatesToPEM(t.chain)
	if err != nil {
		t.logger.ErrorContext(r.Context(), "timestamp chain failed", "error", err)
		http.Error(w, "chain cannot be encoded", http.StatusInternalServerError)
		return
	}
	t.write(w, r, http.StatusOK, chainType, chain)
}

func (t *TSA) write(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		t.logger.DebugContext(r.Context(), "timestamp client went away", "error", err)
	}
}
