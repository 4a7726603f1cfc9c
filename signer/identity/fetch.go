// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxDocument bounds a discovery document or a key set. GitHub's key set,
	// with certificates, has about 10 KiB.
	maxDocument = 256 << 10
	// maxDocumentDepth of their JSON; discovery documents are nearly flat.
	maxDocumentDepth = 16
	// maxKeys in a key set; real ones have two to eight.
	maxKeys = 64
	// maxBearer bounds the file of a bearer token.
	maxBearer = 16 << 10
	// minRSA and maxRSA are modulus lengths in bits: below it is weak, above
	// it costs too much to check.
	minRSA, maxRSA = 2048, 8192
	// discoveryPath is appended to the issuer (OpenID Connect Discovery 1.0,
	// section 4).
	discoveryPath = "/.well-known/openid-configuration"
)

// fetcher reads the keys of one issuer over HTTP.
type fetcher struct {
	source   Source
	provider provider
	client   *http.Client
}

// keys returns the issuer's usable keys by kid; none is an error.
func (f *fetcher) keys(ctx context.Context) (map[string][]jose.JSONWebKey, error) {
	where, body, err := f.document(ctx)
	if err != nil {
		return nil, err
	}
	parse := f.provider.parseKeys
	if parse == nil {
		parse = func(_ Source, body []byte) (map[string][]jose.JSONWebKey, error) { return parseKeys(body) }
	}
	keys, err := parse(f.source, body)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s at %s: %w", f.source.Issuer, where, err)
	}
	return keys, nil
}

// document reads the document that holds the keys: a file, a configured
// address, or what discovery leads to.
func (f *fetcher) document(ctx context.Context) (where string, body []byte, err error) {
	switch {
	case f.source.BundleFile != "":
		body, err = readFile(f.source.BundleFile, maxDocument)
		return f.source.BundleFile, body, err
	case f.source.BundleEndpoint != "":
		where = f.source.BundleEndpoint
	case f.source.JWKSURI != "":
		where = f.source.JWKSURI
	default:
		if where, err = f.discover(ctx); err != nil {
			return "", nil, err
		}
	}
	body, err = f.get(ctx, where)
	return where, body, err
}

// discover returns the jwks_uri of the issuer's discovery document. It must be
// on the issuer's own host: the document alone cannot send us elsewhere.
func (f *fetcher) discover(ctx context.Context) (string, error) {
	where := strings.TrimRight(f.source.Issuer, "/") + discoveryPath
	body, err := f.get(ctx, where)
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := decodeDocument(body, &doc); err != nil {
		return "", fmt.Errorf("discovery document %s: %w", where, err)
	}
	if doc.Issuer != f.source.Issuer {
		return "", fmt.Errorf("discovery document %s is of issuer %.200q", where, doc.Issuer)
	}
	if f.provider.checkDiscovery != nil {
		var members map[string]any
		if err := json.Unmarshal(body, &members); err != nil {
			return "", err
		}
		if err := f.provider.checkDiscovery(members); err != nil {
			return "", fmt.Errorf("discovery document %s: %w", where, err)
		}
	}
	issuer, err := url.Parse(f.source.Issuer)
	if err != nil {
		return "", err
	}
	keys, err := url.Parse(doc.JWKSURI)
	if err != nil || keys.User != nil || keys.Scheme != issuer.Scheme || keys.Host != issuer.Host {
		return "", fmt.Errorf("discovery document %s names keys at %.200q, not on the issuer's host (hint: set jwksURI if that is right)", where, doc.JWKSURI)
	}
	return doc.JWKSURI, nil
}

// get reads one document, bounded.
func (f *fetcher) get(ctx context.Context, uri string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	if err := authorize(req, f.source.BearerTokenFile); err != nil {
		return nil, err
	}
	status, body, err := exchange(f.client, req)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch keys of issuer %s: %w", f.source.Issuer, err)
	case status != http.StatusOK:
		return nil, fmt.Errorf("fetch keys of issuer %s: GET %s answered %d", f.source.Issuer, uri, status)
	}
	return body, nil
}

// exchange sends a request and reads the answer, bounded.
func exchange(client *http.Client, req *http.Request) (status int, body []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	if len(body) > maxDocument {
		return 0, nil, fmt.Errorf("%s %s answered more than %d bytes", req.Method, req.URL, maxDocument)
	}
	return resp.StatusCode, body, nil
}

// authorize adds the token in a file, if there is one. It is read each time,
// because such tokens rotate.
func authorize(req *http.Request, bearerTokenFile string) error {
	if bearerTokenFile == "" {
		return nil
	}
	b, err := readFile(bearerTokenFile, maxBearer)
	if err != nil {
		return fmt.Errorf("bearerTokenFile: %w", err)
	}
	bearer := strings.TrimSpace(string(b))
	if bearer == "" || strings.ContainsAny(bearer, "\r\n") {
		return fmt.Errorf("bearerTokenFile %s does not hold one token", bearerTokenFile)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	return nil
}

// readFile reads a file of the configuration; a larger one than limit bytes is
// an error.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's configuration names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, nil
}

func decodeDocument(body []byte, into any) error {
	if err := attest.CheckJSON(body, maxDocumentDepth, maxDocument); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// parseKeys reads a JWK set (RFC 7517 section 5). Keys that cannot check a
// token's signature are passed over, as the RFC wants: other uses, unknown
// kinds, symmetric or weak ones, ones without a name.
func parseKeys(body []byte) (map[string][]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := decodeDocument(body, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, the limit is %d", len(set.Keys), maxKeys)
	}
	keys := map[string][]jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && usable(key) {
			keys[key.KeyID] = append(keys[key.KeyID], key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable signature key")
	}
	return keys, nil
}

func usable(key jose.JSONWebKey) bool {
	if key.KeyID == "" || (key.Use != "" && key.Use != "sig") {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSA && public.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
