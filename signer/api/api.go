// SPDX-License-Identifier: Apache-2.0

// Package api is Hallmark's own HTTP API, described by OpenAPI 3.1 at
// /hallmark/v1/openapi.json.
//
// An endpoint is a typed function and a table entry: decoding, validation,
// size limits and the description come from huma, and problem.go maps every
// error of the service to problem+json (RFC 9457). The package holds no rules
// about signing; those are in package signer.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// Limits on request bodies, bytes.
const (
	// maxSignBody: a reference and nothing else. A larger request brings
	// evidence and is read like an attestation.
	maxSignBody = 16 << 10
	// maxAttestBody: the largest statement, such as the SBOM of a large image,
	// and what is beside it. It is held in memory and kept in the journal.
	maxAttestBody = attest.MaxStatementBytes + maxSignBody
)

// Signer is what the API calls; *signer.Service is one.
type Signer interface {
	Admit(ctx context.Context, req signer.Request) (*signer.Admission, error)
	Sign(ctx context.Context, req signer.Request) (signer.Receipt, error)
	Attest(ctx context.Context, req signer.Request) (signer.Receipt, error)
	DryRun(ctx context.Context, req signer.Request) (signer.Explanation, error)
	Expect(ctx context.Context, req signer.Request) (*signer.Admission, error)
	AttestDocuments(ctx context.Context, req signer.Request) ([]signer.Receipt, error)
}

// Receipts looks receipts up for people who ask where something came from; see
// signer.ReceiptReader.
type Receipts interface {
	ReceiptPage(ctx context.Context, q signer.ReceiptQuery) ([]signer.ReceiptOutline, error)
	Receipt(ctx context.Context, id string) (signer.Receipt, error)
}

// Config is what the API is made of.
type Config struct {
	Version  string
	Signer   Signer
	Receipts Receipts
	Logs     Logs
	// Trust returns the trust material that is served as it is. It may change
	// while the service runs.
	Trust func(ctx context.Context) (trustedRoot, signingConfig []byte)
	// Keys are the long-lived keys that are published now; nil: none. They change
	// when one is rotated.
	Keys func() []PublicKey
	// Revocations is the list that is shown; nil: none is.
	Revocations Revocations
	// Charts are what is done with Helm charts; nil: nothing.
	Charts Charts
	// ChartKeyring is the public key ring of charts' provenance files.
	ChartKeyring []byte
	// Spool keeps large documents while they come; nil: they are not taken.
	Spool Spool
	// BodyTimeout is how long documents may take to come before they have to come
	// at the least rate; 0: a minute.
	BodyTimeout time.Duration
	// RequestID names the request in answers and records; it is also in the
	// server's log.
	RequestID func(ctx context.Context) string
	Logger    *slog.Logger
}

type server struct {
	Config
	turns       *turns
	lookupBytes *semaphore.Weighted
	parts       *parts
}

// New returns the handler of everything under /hallmark/v1/.
func New(cfg Config) (http.Handler, error) {
	if cfg.Signer == nil || cfg.Receipts == nil || cfg.Logs == nil || cfg.Trust == nil || cfg.RequestID == nil || cfg.Logger == nil {
		return nil, errors.New("new API: Signer, Receipts, Logs, Trust, RequestID and Logger are compulsory")
	}
	cfg.BodyTimeout = cmp.Or(cfg.BodyTimeout, bodyTimeout)
	s := &server{Config: cfg, turns: newTurns(), lookupBytes: newLookupBytes()}
	s.parts = &parts{server: s, receiving: semaphore.NewWeighted(maxReceiving)}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Hallmark", cfg.Version)
	config.OpenAPIPath = "/hallmark/v1/openapi"
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // no $schema members: answers hold data only
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"ci": {Type: "http", Scheme: "bearer", BearerFormat: "OIDC token of a CI run"}, //nolint:gosec // a description, not a credential
	}
	api := humago.New(mux, config)
	huma.Register(api, huma.Operation{
		OperationID: "sign", Method: http.MethodPost, Path: "/hallmark/v1/sign", Summary: "Sign an artifact of the central registry",
		MaxBodyBytes: maxAttestBody, BodyReadTimeout: bodyTimeout, SkipValidateBody: true, Middlewares: huma.Middlewares{s.gate(signer.ActionSign, maxAttestBody)},
		Security: []map[string][]string{{"ci": {}}}, Errors: signingErrors,
	}, s.sign)
	describeSignBody(api.OpenAPI())
	huma.Register(api, huma.Operation{
		OperationID: "attest", Method: http.MethodPost, Path: "/hallmark/v1/attest", Summary: "Attest a statement about an artifact",
		MaxBodyBytes: maxAttestBody, BodyReadTimeout: bodyTimeout, SkipValidateBody: true, Middlewares: huma.Middlewares{s.gate(signer.ActionAttest, maxAttestBody)},
		Security: []map[string][]string{{"ci": {}}}, Errors: signingErrors,
	}, s.attest)
	describeAttestBody(api.OpenAPI())
	s.registerArtifact(api)
	s.registerLogs(api, mux)
	s.registerKeys(api, mux)
	s.registerRevocations(api)
	s.registerCharts(api, mux)
	mux.HandleFunc("GET /hallmark/v1/trusted_root.json", func(w http.ResponseWriter, r *http.Request) {
		root, _ := cfg.Trust(r.Context())
		writeJSON(w, root)
	})
	mux.HandleFunc("GET /hallmark/v1/signing_config.json", func(w http.ResponseWriter, r *http.Request) {
		_, config := cfg.Trust(r.Context())
		writeJSON(w, config)
	})
	return mux, nil
}

// writeJSON answers with trust material. It changes when keys are rotated, days
// before anybody has to know: clients may keep it for a minute.
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=60")
	_, _ = w.Write(body) // the client went away
}
