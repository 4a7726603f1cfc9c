// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
)

const spiffeName = "spiffe"

// trustDomainPrefix before a trust domain is its SPIFFE ID.
const trustDomainPrefix = "spiffe://"

// spiffe reads JWT-SVIDs, which an agent gives to workloads that it has
// attested. Claims: the SPIFFE "JWT-SVID" specification.
//
// A SPIFFE ID says what runs and not which run: there is no run, repository or
// commit in it. What stands for the run claim is that the id names a workload,
// with a path, and that the trust domain's server gives it to nobody else;
// registration entries decide who that is, so policy goes by exact ids. The
// token need not have an issuer: the trust domain in sub is it.
func spiffe() provider {
	return provider{
		name: spiffeName,
		// Those that SPIRE signs with.
		algorithms: []string{"RS256", "ES256", "ES384"},
		defaultURL: func(string) string { return "" },
		read:       readSPIFFE,
		settings:   spiffeSettings,
		parseKeys:  parseBundle,
		confirm:    confirmSVID,
	}
}

// trustDomainOf returns the id of the trust domain of a SPIFFE ID, or "".
func trustDomainOf(subject string) string {
	id, err := spiffeid.FromString(subject)
	if err != nil {
		return ""
	}
	return id.TrustDomain().IDString()
}

func spiffeSettings(s *Source) error {
	td, err := spiffeid.TrustDomainFromString(s.TrustDomain)
	if err != nil || td.Name() != s.TrustDomain {
		return fmt.Errorf("trustDomain %q is not the name of a trust domain (hint: ci.corp.example, lower case, without spiffe://)", s.TrustDomain)
	}
	if (s.BundleFile == "") == (s.BundleEndpoint == "") {
		return errors.New("exactly one of bundleFile and bundleEndpoint says where the trust domain's keys are")
	}
	if s.BundleEndpoint != "" {
		if err := checkEndpoint("bundleEndpoint", s.BundleEndpoint); err != nil {
			return err
		}
	}
	if s.JWKSURI != "" || s.URL != "" {
		return errors.New("jwksURI and url are not for spiffe: keys come from the bundle, and the certificate's URI is the SPIFFE ID")
	}
	for _, alg := range s.Algorithms {
		if alg == "EdDSA" {
			return errors.New("algorithm EdDSA is not one of JWT-SVIDs")
		}
	}
	if s.Issuer == "" {
		s.Issuer = td.IDString()
	}
	return nil
}

// parseBundle reads a SPIFFE bundle: of its keys, those for JWT-SVIDs.
func parseBundle(s Source, body []byte) (map[string][]jose.JSONWebKey, error) {
	td, err := spiffeid.TrustDomainFromString(s.TrustDomain)
	if err != nil {
		return nil, err
	}
	var members map[string]any // strictly, before go-spiffe reads it its own way
	if err := decodeDocument(body, &members); err != nil {
		return nil, err
	}
	if list, _ := members["keys"].([]any); len(list) > maxKeys {
		return nil, fmt.Errorf("%d keys, the limit is %d", len(list), maxKeys)
	}
	bundle, err := spiffebundle.Parse(td, body)
	if err != nil {
		return nil, err
	}
	keys := map[string][]jose.JSONWebKey{}
	for kid, public := range bundle.JWTAuthorities() {
		if key := (jose.JSONWebKey{Key: public, KeyID: kid}); usable(key) {
			keys[kid] = []jose.JSONWebKey{key}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key for JWT-SVIDs (use: jwt-svid)")
	}
	return keys, nil
}

func readSPIFFE(r *reader, s Source) run {
	sub := r.text("sub", required)
	r.text("iss", optional)
	if r.err() != nil {
		return run{}
	}
	id, err := spiffeid.FromString(sub)
	switch {
	case err != nil:
		r.fail(ReasonBadClaim, "sub %.200q is not a SPIFFE ID: %v", sub, err)
	case id.TrustDomain().Name() != s.TrustDomain:
		r.fail(ReasonContradiction, "%.200s is not of the trust domain %s", sub, s.TrustDomain)
	case id.Path() == "":
		r.fail(ReasonMissingClaim, "%s names no workload, only its trust domain", sub)
	case id.String() != sub:
		r.fail(ReasonBadClaim, "sub %.200q is not in its normal form %q", sub, id)
	}
	if r.err() != nil {
		return run{}
	}
	return run{id: sub, san: sub, extensions: certificate.Extensions{}} // Fulcio maps issuer and subject only
}

// confirmSVID has go-spiffe read the whole token again, as every other program
// of the trust domain would.
func confirmSVID(ctx context.Context, src *source, tok token, audience string) error {
	td, err := spiffeid.TrustDomainFromString(src.TrustDomain)
	if err != nil {
		return err
	}
	keys, err := src.keys.current(ctx)
	if err != nil {
		return err
	}
	bundle := jwtbundle.New(td)
	for _, key := range keys[tok.header.kid] {
		if err := bundle.AddJWTAuthority(key.KeyID, key.Key); err != nil {
			return err
		}
	}
	if _, err := jwtsvid.ParseAndValidate(tok.raw, bundle, []string{audience}); err != nil {
		return refuse(ReasonMalformed, "the token is not a JWT-SVID: %v", err)
	}
	return nil
}
