// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// PublicKey is a long-lived key that signs for rules with the mode key.
type PublicKey struct {
	Name      string `json:"name" doc:"what rules of the signing policy call it"`
	Use       string `json:"use" doc:"signatures or attestations"`
	Algorithm string `json:"algorithm"`
	Hint      string `json:"hint" doc:"base64 of the SHA-256 of the public key: its name in bundles"`
	PEM       string `json:"publicKey" doc:"PEM, for cosign verify --key"`
	State     string `json:"state" enum:"next,active,retiring,retired" doc:"next: not used yet; active: signs; retiring: signs beside the active one; retired: signs no more, and what it signed before its end counts"`
	// Start and End are those of its window, by proven time.
	Start *time.Time `json:"start,omitempty" doc:"when it was made; absent of the first key of a name"`
	End   *time.Time `json:"end,omitempty" doc:"signatures of a later time do not count; absent while it signs"`
}

// stateActive is the state of the key in use.
const stateActive = "active"

type keysOutput struct {
	Body struct {
		Keys []PublicKey `json:"keys"`
	}
}

// registerKeys publishes the public keys. Like the trusted root they are for
// everybody, and whoever believes them from here believes this server: give
// verifiers the file, over a way that they trust.
func (s *server) registerKeys(api huma.API, mux *http.ServeMux) {
	huma.Register(api, huma.Operation{
		OperationID: "keys", Method: http.MethodGet, Path: "/hallmark/v1/keys", Summary: "Public keys of signatures that are made by key",
	}, s.keys)
	mux.HandleFunc("GET /hallmark/v1/keys/{name}/{use}", s.publicKey)
}

func (s *server) keys(context.Context, *struct{}) (*keysOutput, error) {
	out := &keysOutput{}
	out.Body.Keys = append([]PublicKey{}, s.published()...)
	return out, nil
}

func (s *server) published() []PublicKey {
	if s.Keys == nil {
		return nil
	}
	return s.Keys()
}

// publicKey answers with the key in use as a file: …/keys/NAME/signatures.pem.
func (s *server) publicKey(w http.ResponseWriter, r *http.Request) {
	for _, k := range s.published() {
		if k.State == stateActive && k.Name == r.PathValue("name") && k.Use+".pem" == r.PathValue("use") {
			w.Header().Set("Content-Type", "application/x-pem-file")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write([]byte(k.PEM)) // the client went away
			return
		}
	}
	http.NotFound(w, r)
}
