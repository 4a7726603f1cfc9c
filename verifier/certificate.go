// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/attest"
)

// signer is what a certificate says about who signed.
type signer struct {
	san        string
	issuer     string
	extensions map[string]string
	onRequest  bool
}

// readSigner takes the identity from a certificate whose chain was verified. The certificate must be for code signing, must not be an
// authority, and must carry exactly one name and one issuer: a policy compares one of each, and which one is not for us to choose.
func readSigner(leaf *x509.Certificate) (signer, error) {
	switch {
	case leaf.IsCA:
		return signer{}, refuse(ReasonCertificate, "signed with the certificate of an authority")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return signer{}, refuse(ReasonCertificate, "certificate is not for code signing")
	}
	san, err := readName(leaf)
	if err != nil {
		return signer{}, refuse(ReasonCertificate, "certificate %w", err)
	}
	extensions, err := certificate.ParseExtensions(leaf.Extensions)
	if err != nil {
		return signer{}, refuse(ReasonCertificate, "certificate: %w", err)
	}
	if err := checkIssuer(leaf, extensions.Issuer); err != nil {
		return signer{}, refuse(ReasonCertificate, "certificate %w", err)
	}
	return signer{san: san, issuer: extensions.Issuer, extensions: extensionNames(extensions), onRequest: attest.IssuedOnRequest(leaf)}, nil
}

// The kinds of name in a subject alternative name extension (RFC 5280, 4.2.1.6) that Fulcio issues.
const (
	nameOther = 0 // a user name, "user!domain"
	nameEmail = 1
	nameURI   = 6
)

// A policy compares names as strings and does not see their kind. The three kinds cannot be taken for each other: a URI has a scheme
// and a colon, which the other two must not contain.
var (
	emailForm = regexp.MustCompile(`^[^@!:/\s]+@[^@!:/\s]+$`)
	otherForm = regexp.MustCompile(`^[^@!:/\s]+![^@!:/\s]+$`)
)

// readName returns the only name in the certificate. It reads the extension itself: crypto/x509 sorts names into lists by kind, drops
// kinds it does not know, and gives URIs back re-assembled.
func readName(leaf *x509.Certificate) (string, error) {
	var names []asn1.RawValue
	for _, ext := range leaf.Extensions { // crypto/x509 refuses repeated extensions
		if ext.Id.Equal(cryptoutils.SANOID) {
			if rest, err := asn1.Unmarshal(ext.Value, &names); err != nil || len(rest) != 0 {
				return "", errors.New("has an unreadable name")
			}
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("names %d signers, must name exactly one", len(names))
	}
	name := names[0]
	if name.Class != asn1.ClassContextSpecific {
		return "", errors.New("has an unreadable name")
	}
	text := string(name.Bytes)
	switch name.Tag {
	case nameURI:
		if u, err := url.Parse(text); err != nil || !u.IsAbs() || u.String() != text {
			return "", fmt.Errorf("names the signer %q, which is not a URI in its normal form", text)
		}
		return text, nil
	case nameEmail:
		if !emailForm.MatchString(text) {
			return "", fmt.Errorf("names the signer %q, which is not an e-mail address", text)
		}
		return text, nil
	case nameOther:
		text, err := cryptoutils.UnmarshalOtherNameSAN(leaf.Extensions)
		if err != nil || !otherForm.MatchString(text) {
			return "", fmt.Errorf("names the signer %q, which is not a user name", text)
		}
		return text, nil
	}
	return "", fmt.Errorf("names the signer by kind %d, want a URI", name.Tag)
}

// checkIssuer wants an issuer, and the old and the new extension for it to agree: readers in the field look at either.
func checkIssuer(leaf *x509.Certificate, issuer string) error {
	if issuer == "" {
		return errors.New("names no issuer of the identity")
	}
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(certificate.OIDIssuer) && string(ext.Value) != issuer { //nolint:staticcheck // the deprecated extension is what is checked
			return fmt.Errorf("names two issuers, %q and %q", ext.Value, issuer)
		}
	}
	return nil
}

// extensionNames lists the extensions that are present, under the names that Sigstore's tools print them with.
func extensionNames(e certificate.Extensions) map[string]string {
	named := map[string]string{
		"githubWorkflowTrigger":               e.GithubWorkflowTrigger,
		"githubWorkflowSHA":                   e.GithubWorkflowSHA,
		"githubWorkflowName":                  e.GithubWorkflowName,
		"githubWorkflowRepository":            e.GithubWorkflowRepository,
		"githubWorkflowRef":                   e.GithubWorkflowRef,
		"buildSignerURI":                      e.BuildSignerURI,
		"buildSignerDigest":                   e.BuildSignerDigest,
		"runnerEnvironment":                   e.RunnerEnvironment,
		"sourceRepositoryURI":                 e.SourceRepositoryURI,
		"sourceRepositoryDigest":              e.SourceRepositoryDigest,
		"sourceRepositoryRef":                 e.SourceRepositoryRef,
		"sourceRepositoryIdentifier":          e.SourceRepositoryIdentifier,
		"sourceRepositoryOwnerURI":            e.SourceRepositoryOwnerURI,
		"sourceRepositoryOwnerIdentifier":     e.SourceRepositoryOwnerIdentifier,
		"buildConfigURI":                      e.BuildConfigURI,
		"buildConfigDigest":                   e.BuildConfigDigest,
		"buildTrigger":                        e.BuildTrigger,
		"runInvocationURI":                    e.RunInvocationURI,
		"sourceRepositoryVisibilityAtSigning": e.SourceRepositoryVisibilityAtSigning,
		"deploymentEnvironment":               e.DeploymentEnvironment,
		"tokenSubject":                        e.Subject,
	}
	for name, value := range named {
		if value == "" {
			delete(named, name)
		}
	}
	return named
}
