// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// maxChartImagesBody bounds a question about a chart's images: values are YAML
// of people, and at most 1 MiB of them is read.
const maxChartImagesBody = 2 << 20

// Charts is what the API does with Helm charts; *signer.Service is one.
type Charts interface {
	ChartProvenance(ctx context.Context, req signer.ChartRequest) (signer.ChartReceipt, error)
	ChartImages(ctx context.Context, req signer.Request, q attest.ChartQuestion) (signer.Receipt, error)
}

type provenanceInput struct {
	Authorization string `header:"Authorization" doc:"Bearer token of the CI run, for this service's audience"`
	Repository    string `query:"repository" required:"true" minLength:"1" maxLength:"512" doc:"where the chart will be, without a tag" example:"registry.corp.example/charts/app"`
	File          string `query:"file" required:"true" minLength:"1" maxLength:"512" doc:"name of the archive" example:"app-1.2.3.tgz"`
	RawBody       []byte `contentType:"application/gzip" doc:"the chart, as helm package makes it"`
}

type provenanceOutput struct{ Body signer.ChartReceipt }

type chartImagesInput struct {
	Authorization string `header:"Authorization" doc:"Bearer token of the CI run, for this service's audience"`
	Body          struct {
		Image     string   `json:"image" minLength:"1" maxLength:"1024" doc:"Reference to the chart in the central registry"`
		Values    []string `json:"values,omitempty" maxItems:"32" doc:"YAML documents, later ones over earlier ones"`
		Set       []string `json:"set,omitempty" maxItems:"128" doc:"NAME=VALUE, as helm's --set, over the documents"`
		Release   string   `json:"release,omitempty" maxLength:"53" pattern:"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" doc:"name of the release that the chart is told"`
		Namespace string   `json:"namespace,omitempty" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"namespace that the chart is told"`
	}
}

// registerCharts adds the endpoints of charts.
func (s *server) registerCharts(api huma.API, mux *http.ServeMux) {
	if s.Charts == nil {
		return
	}
	security := []map[string][]string{{"ci": {}}}
	huma.Register(api, huma.Operation{
		OperationID: "chartProvenance", Method: http.MethodPost, Path: "/hallmark/v1/charts/provenance", Summary: "Make the provenance file of a Helm chart",
		MaxBodyBytes: signer.MaxChartBytes, BodyReadTimeout: bodyTimeout, Security: security, Errors: signingErrors,
		Middlewares: huma.Middlewares{s.gate(signer.ActionChartProvenance, signer.MaxChartBytes)},
	}, s.chartProvenance)
	huma.Register(api, huma.Operation{
		OperationID: "chartImages", Method: http.MethodPost, Path: "/hallmark/v1/charts/images", Summary: "Attest the images that a Helm chart refers to",
		MaxBodyBytes: maxChartImagesBody, BodyReadTimeout: bodyTimeout, Security: security, Errors: signingErrors,
		Middlewares: huma.Middlewares{s.gate(signer.ActionAttest, maxChartImagesBody)},
	}, s.chartImages)
	mux.HandleFunc("GET /hallmark/v1/charts/keyring", s.chartKeyring)
}

func (s *server) chartProvenance(ctx context.Context, in *provenanceInput) (*provenanceOutput, error) {
	receipt, err := s.Charts.ChartProvenance(ctx, signer.ChartRequest{
		Token: bearer(in.Authorization), Repository: in.Repository, FileName: in.File, Archive: in.RawBody, Origin: s.origin(ctx), Admission: admissionOf(ctx),
	})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &provenanceOutput{Body: receipt}, nil
}

func (s *server) chartImages(ctx context.Context, in *chartImagesInput) (*receiptOutput, error) {
	b := in.Body
	receipt, err := s.Charts.ChartImages(ctx,
		signer.Request{Token: bearer(in.Authorization), Image: oci.WithoutScheme(b.Image), Origin: s.origin(ctx), Admission: admissionOf(ctx)},
		attest.ChartQuestion{Values: b.Values, Set: b.Set, Release: b.Release, Namespace: b.Namespace})
	return s.answer(ctx, receipt, err)
}

// chartKeyring answers with the public key ring of provenance files, binary:
// `helm verify --keyring` takes no other. Whoever believes it from here believes
// this server. ?key=FINGERPRINT has one key alone, as log entries have it.
func (s *server) chartKeyring(w http.ResponseWriter, r *http.Request) {
	var ring []byte
	if s.ChartKeyring != nil {
		ring = s.ChartKeyring(r.URL.Query().Get("key"))
	}
	switch {
	case len(ring) == 0 && r.URL.Query().Has("key"):
		answerProblem(w, s.problem(r.Context(), fmt.Errorf("%w: no provenance files are signed by a key with this fingerprint", ErrNotFound)))
		return
	case len(ring) == 0:
		answerProblem(w, s.problem(r.Context(), fmt.Errorf("%w: %w", ErrNotFound, signer.ErrNoProvenance)))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="pubring.gpg"`)
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(ring) // the client went away
}
