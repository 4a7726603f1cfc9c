// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hallmark-dev/hallmark/signer"
)

const (
	contentJSON = "application/json"
	contentPEM  = "application/pem-certificate-chain"
)

// The answers of the v2 API, as grpc-gateway writes them: with all members.
type (
	chain struct {
		Certificates []string `json:"certificates"` // PEM
	}
	embedded struct {
		Chain chain `json:"chain"`
	}
	signingCertificate struct {
		SignedCertificateEmbeddedSCT embedded `json:"signedCertificateEmbeddedSct"`
	}
	trustBundle struct {
		Chains []chain `json:"chains"`
	}
	configuration struct {
		Issuers []issuer `json:"issuers"`
	}
	issuer struct {
		IssuerURL         string `json:"issuerUrl"`
		Audience          string `json:"audience"`
		ChallengeClaim    string `json:"challengeClaim"`
		SPIFFETrustDomain string `json:"spiffeTrustDomain"`
		IssuerType        string `json:"issuerType"`
		SubjectDomain     string `json:"subjectDomain"`
	}
)

// answerV2 sends a certificate as v2 does: the leaf first, the root last.
func (a *API) answerV2(w http.ResponseWriter, c signer.Certificate) {
	body, err := json.Marshal(signingCertificate{embedded{chain{certificates(c)}}})
	if err != nil { // cannot be: strings
		writeError(w, http.StatusInternalServerError, codeInternal, "internal error")
		return
	}
	write(w, http.StatusOK, contentJSON, body)
}

// answerV1 sends it as v1 does. cosign 2.6 wants this very status.
func (a *API) answerV1(w http.ResponseWriter, c signer.Certificate) {
	write(w, http.StatusCreated, contentPEM, []byte(strings.Join(certificates(c), "")))
}

func certificates(c signer.Certificate) []string {
	return encodePEM(append([][]byte{c.Leaf}, c.Chain...))
}

// challengeClaim is the claim that a proof of possession signs.
const challengeClaim = "sub"

func configurationOf(cfg Config) configuration {
	var c configuration
	for _, i := range cfg.Issuers {
		c.Issuers = append(c.Issuers, issuer{IssuerURL: i.URL, Audience: cfg.Audience, ChallengeClaim: challengeClaim, IssuerType: issuerType(i.Provider)})
	}
	return c
}

// issuerType is what Fulcio calls a kind of issuer.
func issuerType(provider string) string {
	switch provider {
	case "github":
		return "github-workflow"
	case "gitlab":
		return "gitlab-pipeline"
	case "buildkite":
		return "buildkite-job"
	case "kubernetes", "spiffe":
		return provider
	}
	return "ci-provider"
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The types are none that a browser would run. A client that is gone may ask again.
	_, _ = w.Write(body) //nolint:gosec // not HTML, see Content-Type and nosniff
}
