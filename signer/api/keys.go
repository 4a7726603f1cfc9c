// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// PublicKey is a long-lived key that signs for rules with the mode key.
type PublicKey struct {
	Name      string `json:"name" doc:"what rules of the signing policy call it"`
	Use       string `json:"use" doc:"signatures or attestations"`
	Algorithm string `json:"algorithm"`
	Hint      string `json:"hint" doc:"base64 of the SHA-256 of the public key: its name in bundles"`
	PEM       string `json:"publicKey" doc:"PEM, for cosign verify --key"`
}

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
	out.Body.Keys = append([]PublicKey{}, s.Keys...)
	return out, nil
}

// publicKey answers with one key as a file: …/keys/NAME/signatures.pem.
func (s *server) publicKey(w http.ResponseWriter, r *http.Request) {
	for _, k := range s.Keys {
		if k.Name == r.PathValue("name") && k.Use+".pem" == r.PathValue("use") {
			w.Header().Set("Content-Type", "application/x-pem-file")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write([]byte(k.PEM)) // the client went away
			return
		}
	}
	http.NotFound(w, r)
}
