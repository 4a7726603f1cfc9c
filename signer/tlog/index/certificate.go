// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// OfCertificate returns the keys of a signing certificate: its public key, who
// it was issued to (every subject alternative name), and what Fulcio's
// extensions say: the issuer of the token, repository, commit and workflow.
// What a certificate does not say, or says in a way that cannot be read, has no
// key.
func OfCertificate(cert *x509.Certificate) []string {
	var keys []string
	if key, err := PublicKey(cert.PublicKey); err == nil {
		keys = append(keys, key)
	}
	add := func(key func(string) string, values ...string) {
		for _, value := range values {
			if k := key(value); !empty(k) {
				keys = append(keys, k)
			}
		}
	}
	add(Identity, cryptoutils.GetSubjectAlternateNames(cert)...)
	ext, err := certificate.ParseExtensions(indexed(cert.Extensions))
	if err != nil {
		return Collect(keys)
	}
	add(Issuer, ext.Issuer)
	add(Identity, ext.Subject)
	add(Repository, ext.SourceRepositoryURI)
	if ext.SourceRepositoryURI == "" && ext.GithubWorkflowRepository != "" {
		add(Repository, "github.com/"+ext.GithubWorkflowRepository) // before Fulcio 1.0
	}
	add(Commit, ext.SourceRepositoryDigest, ext.GithubWorkflowSHA)
	for _, uri := range []string{ext.BuildSignerURI, ext.BuildConfigURI} {
		withoutRef, _, _ := strings.Cut(uri, "@")
		add(Workflow, uri, withoutRef)
	}
	return Collect(keys)
}

// indexedIDs are the extensions that OfCertificate reads, of some twenty.
var indexedIDs = []asn1.ObjectIdentifier{
	certificate.OIDIssuer, certificate.OIDIssuerV2, certificate.OIDTokenSubject, //nolint:staticcheck // SA1019: old certificates have only the deprecated ones
	certificate.OIDSourceRepositoryURI, certificate.OIDGitHubWorkflowRepository, //nolint:staticcheck // SA1019: as above
	certificate.OIDSourceRepositoryDigest, certificate.OIDGitHubWorkflowSHA, //nolint:staticcheck // SA1019: as above
	certificate.OIDBuildSignerURI, certificate.OIDBuildConfigURI,
}

// indexed picks them out.
func indexed(all []pkix.Extension) []pkix.Extension {
	some := make([]pkix.Extension, 0, len(indexedIDs))
	for _, e := range all {
		if slices.ContainsFunc(indexedIDs, e.Id.Equal) {
			some = append(some, e)
		}
	}
	return some
}
