// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

const (
	// maxClaimDepth bounds claims as the service does.
	maxClaimDepth = 16
	// maxEvidenceFiles bounds a folder of evidence.
	maxEvidenceFiles = 64
	// testOrigin stands for the service in documents that are not bundles.
	testOrigin = "https://policy-test.invalid"
)

// claims are those of the token, or the file itself if it is their JSON.
func (f *policyTest) claims(env environment) (map[string]any, error) {
	var raw []byte
	var err error
	name := f.token
	switch {
	case f.token != "":
		raw, err = readBounded(env, f.token, maxToken)
	case env.getenv("HALLMARK_ID_TOKEN") != "":
		raw, name = []byte(env.getenv("HALLMARK_ID_TOKEN")), "HALLMARK_ID_TOKEN"
	default:
		return nil, usage("which token? (hint: --token FILE, with a CI token or with its claims as JSON)")
	}
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	if !bytes.HasPrefix(raw, []byte("{")) {
		parts := strings.Split(string(raw), ".")
		if len(parts) != 3 {
			return nil, usage("%s holds neither a token of three parts nor a JSON object", name)
		}
		if raw, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil {
			return nil, usage("%s: the token's claims are not base64url", name) // without the token
		}
	}
	if err := attest.CheckJSON(raw, maxClaimDepth, maxToken); err != nil {
		return nil, usage("%s: claims: %w", name, err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var claims map[string]any
	if err := dec.Decode(&claims); err != nil || claims == nil {
		return nil, usage("%s: claims are not a JSON object", name)
	}
	return claims, nil
}

// verified is what a bundle proves. One that is not evidence is passed over.
func (f *policyTest) verified(env environment, in policy.Input, raw []byte, bundle attest.Bundle, name string) (policy.Document, bool, error) {
	st, err := attest.ParseStatement(bundle.Payload)
	if err != nil || !attest.IsEvidence(st.PredicateType) {
		return policy.Document{}, false, nil //nolint:nilerr // a bundle of something else is no evidence, and no error
	}
	root, err := readTrustedRoot(env, f.trustedRoot)
	if err != nil {
		return policy.Document{}, false, err
	}
	fact, err := factOf(root, attest.Digest(in.Digest), raw)
	if err != nil {
		return policy.Document{}, false, no("evidence %s: %w", name, err)
	}
	if fact.SAN != fact.Issuer+"/attestor" {
		return policy.Document{}, false, no("evidence %s: signed by %s of %s, which is no service's attestor", name, fact.SAN, fact.Issuer)
	}
	d, ok := document.Of(fact, attest.Digest(in.Digest))
	return d, ok, nil
}

func factOf(root *trust.Root, digest attest.Digest, bundle []byte) (policy.Fact, error) {
	crypto, err := verifier.NewCrypto(root)
	if err != nil {
		return policy.Fact{}, err
	}
	return crypto.Facts(digest, bundle)
}

// provenanceOf stands for what the service would make of the claims: builder,
// source and commit.
func provenanceOf(in policy.Input) policy.Document {
	text := func(name string) string { s, _ := in.Claims[name].(string); return s }
	p := &policy.Provenance{Builder: in.SAN, Commit: text("sha")}
	for provider, repository := range map[string]string{"github": text("repository"), "gitlab": text("project_path")} {
		if provider == in.Provider && repository != "" {
			ref := text("ref")
			if path := text("ref_path"); path != "" {
				ref = path
			}
			p.Source = "git+https://" + provider + ".com/" + repository + "@" + ref
		}
	}
	signer := testOrigin + "/attestor"
	return policy.Document{
		Kind: policy.EvidenceProvenance, PredicateType: policy.PredicateProvenance, Digest: in.Digest, Signer: signer, Issuer: testOrigin,
		Author: signer, At: in.Now, Provenance: p,
	}
}
