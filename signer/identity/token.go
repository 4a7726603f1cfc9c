// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxToken is far above real tokens (1 to 3 KiB; GitLab's list the user's
	// groups) and far below anything that could hurt.
	maxToken = 16 << 10
	// maxDepth of nested JSON; the deepest real token (Kubernetes) has three.
	maxDepth = 8
)

// header is what is used of the JOSE header (RFC 7515 section 4).
type header struct {
	alg string
	kid string
}

// token is a compact JWS taken apart (RFC 7515 section 7.1, RFC 7519). Until
// its signature is checked, it is a stranger's word.
type token struct {
	raw string
	// signed is the part that the signature covers: header "." payload.
	signed  string
	header  header
	payload []byte
	claims  map[string]any
	// expiry is set by check.
	expiry time.Time
}

// forbiddenHeaders bring a key, point to one, or change how the rest is read.
// A token could name its own judge with them.
var forbiddenHeaders = []string{"jwk", "jku", "x5c", "x5u", "crit", "b64", "enc", "zip"}

// registeredClaims must be spelled exactly: other readers of the same token
// match names without case, and two readings of one token are one too many.
var registeredClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "email", "email_verified"}

// strictBase64 refuses padding and non-zero trailing bits: one token must have
// one spelling.
var strictBase64 = base64.RawURLEncoding.Strict()

// parseToken reads a token without believing it. On refusal the returned token
// holds what could be read.
func parseToken(text string) (token, error) {
	if len(text) > maxToken {
		return token{}, refuse(ReasonTooLarge, "the token has %d bytes, the limit is %d", len(text), maxToken)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return token{}, refuse(ReasonMalformed, "a token has three base64url parts joined by dots (hint: pass the bare token, without quotes or line breaks)")
	}
	t := token{raw: text, signed: parts[0] + "." + parts[1]}
	var err error
	if t.payload, err = decodeBase64("payload", parts[1]); err != nil {
		return t, err
	}
	if t.claims, err = decodeObject("payload", t.payload); err != nil {
		return t, err
	}
	if err := checkSpelling(t.claims); err != nil {
		return t, err
	}
	if _, err := decodeBase64("signature", parts[2]); err != nil {
		return t, err
	}
	headerJSON, err := decodeBase64("header", parts[0])
	if err != nil {
		return t, err
	}
	head, err := decodeObject("header", headerJSON)
	if err != nil {
		return t, err
	}
	t.header, err = readHeader(head)
	return t, err
}

// decodeBase64 decodes one part of a token. Line breaks, which even the strict
// decoder skips, are refused.
func decodeBase64(what, part string) ([]byte, error) {
	b, err := strictBase64.DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, refuse(ReasonMalformed, "the token's %s is not base64url without padding", what)
	}
	return b, nil
}

// decodeObject reads a JSON object that every parser reads alike.
func decodeObject(what string, b []byte) (map[string]any, error) {
	if err := attest.CheckJSON(b, maxDepth, maxToken); err != nil {
		return nil, refuse(ReasonMalformed, "the token's %s is not strict JSON: %v", what, err)
	}
	var members map[string]any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // 1000000 must not become 1e+06
	if err := dec.Decode(&members); err != nil || members == nil {
		return nil, refuse(ReasonMalformed, "the token's %s is not a JSON object", what)
	}
	return members, nil
}

func checkSpelling(claims map[string]any) error {
	for name := range claims {
		for _, registered := range registeredClaims {
			if name != registered && strings.EqualFold(name, registered) {
				return refuse(ReasonMalformed, "the claim %q is another spelling of %q", name, registered)
			}
		}
	}
	return nil
}

func readHeader(members map[string]any) (header, error) {
	for name := range members {
		for _, forbidden := range forbiddenHeaders {
			if strings.EqualFold(name, forbidden) {
				return header{}, refuse(ReasonForbiddenHeader, "the token's header has %q; keys come from the issuer only", name)
			}
		}
	}
	r := newReader(members)
	h := header{alg: r.text("alg", required), kid: r.text("kid", required)}
	if typ := r.text("typ", optional); typ != "" && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "JOSE") {
		r.fail(ReasonForbiddenHeader, "the token's header says typ %q, not JWT", typ)
	}
	return h, r.err()
}

// issuer returns the iss claim, or "".
func (t token) issuer() string { return t.stringClaim("iss") }

// from is the text by which the token's source is found: its issuer or, since
// a JWT-SVID need not have one, the trust domain of its subject.
func (t token) from() string {
	if _, has := t.claims["iss"]; has {
		return t.issuer()
	}
	return trustDomainOf(t.subject())
}

// subject returns the sub claim, or "".
func (t token) subject() string { return t.stringClaim("sub") }

func (t token) stringClaim(name string) string {
	s, _ := t.claims[name].(string)
	return s
}

// id names the token for the replay store and the audit record: its jti, or
// the hash of what is signed. The signature is left out of the hash because an
// ECDSA signature has a second valid form, and one token must have one id.
func (t token) id() string {
	if jti := t.stringClaim("jti"); jti != "" {
		return "jti:" + jti
	}
	sum := sha256.Sum256([]byte(t.signed))
	return "sha256:" + hex.EncodeToString(sum[:])
}
