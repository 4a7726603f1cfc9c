// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// The paths of the API.
const (
	apiPath         = "/api/v1/"
	entriesPath     = "/api/v1/log/entries"
	entryPrefix     = entriesPath + "/"
	retrievePath    = "/api/v1/log/entries/retrieve"
	logPath         = "/api/v1/log"
	proofPath       = "/api/v1/log/proof"
	publicKeyPath   = "/api/v1/log/publicKey"
	searchPath      = "/api/v1/index/retrieve"
	pingPath        = "/ping"
	pong            = "."
	jsonContentType = "application/json"
)

// endpoint answers a request, or returns an error before it has written
// anything.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// endpoints are the methods of a path; nil if there is no such path.
func (s *Service) endpoints(path string) map[string]endpoint {
	switch path {
	case entriesPath:
		return map[string]endpoint{http.MethodPost: s.createEntry, http.MethodGet: s.entryByIndex}
	case retrievePath:
		// The path is an entry's too, with an id that is none: go-openapi
		// prefers the one without a variable, but per method.
		return map[string]endpoint{http.MethodPost: s.withBody(s.retrieve), http.MethodGet: s.entryByID}
	case logPath:
		return map[string]endpoint{http.MethodGet: s.logInfo}
	case proofPath:
		return map[string]endpoint{http.MethodGet: s.consistency}
	case publicKeyPath:
		return map[string]endpoint{http.MethodGet: s.publicKey}
	case searchPath:
		return map[string]endpoint{http.MethodPost: s.withBody(s.searchIndex)}
	case pingPath:
		return map[string]endpoint{http.MethodGet: ping}
	}
	if id, ok := strings.CutPrefix(path, entryPrefix); ok && id != "" && !strings.Contains(id, "/") {
		return map[string]endpoint{http.MethodGet: s.entryByID}
	}
	return nil
}

// route finds the endpoint and runs it.
func (s *Service) route(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		preflight(w)
		return nil
	}
	// A path that is spelled with escapes where none are needed is no path: a
	// proxy in front would see another one than we do.
	var methods map[string]endpoint
	if r.URL.RawPath == "" {
		methods = s.endpoints(strings.TrimSuffix(r.URL.Path, "/"))
	}
	if methods == nil {
		return refuse(http.StatusNotFound, "path %s was not found", r.URL.EscapedPath())
	}
	run, ok := methods[r.Method]
	if !ok && r.Method == http.MethodHead {
		run, ok = methods[http.MethodGet] // net/http drops the body
	}
	if !ok {
		allowed := make([]string, 0, len(methods))
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		slices.Reverse(allowed) // POST before GET, as Rekor has it
		w.Header().Set("Allow", strings.Join(allowed, ","))
		return refuse(http.StatusMethodNotAllowed, "method %s is not allowed, but [%s] are", r.Method, strings.Join(allowed, ","))
	}
	if r.Method == http.MethodPost {
		if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
			return err
		}
	}
	return run(w, r)
}

// preflight answers a browser that asks whether it may send a request from a
// page of another site: any of ours, without credentials.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	h.Set("Access-Control-Allow-Headers", "Accept, Content-Type")
	w.WriteHeader(http.StatusNoContent)
}

// checkContentType takes JSON with any parameters.
func checkContentType(header string) error {
	if header == "" {
		header = "application/octet-stream" // RFC 9110 8.3
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil || media != jsonContentType {
		if err != nil {
			media = header
		}
		return refuse(http.StatusUnsupportedMediaType, "unsupported media type %q, only [%s] are allowed", media, jsonContentType)
	}
	return nil
}

func ping(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(pong)) // a client that is gone needs no pong
	return nil
}

// writeJSON sends an answer. Go writes no Content-Length of its own for what is
// larger than its buffer.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", jsonContentType)
	w.WriteHeader(status)
	// The type is none that a browser would run. A client that is gone may ask again.
	_, _ = w.Write(body) //nolint:gosec // not HTML, see Content-Type and nosniff
}
