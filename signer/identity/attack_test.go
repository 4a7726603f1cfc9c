// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// nextLetter follows a letter in the base64url alphabet. As the last letter of
// a 256-byte signature it differs in bits that lenient decoders drop.
func nextLetter(letter byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, letter)+1:][:1]
}

// TestTimes holds the life of a token: who may use it, from when, for how long.
func TestTimes(t *testing.T) {
	c := newCI(t)
	now := start.Unix()
	times := func(iat, nbf, exp int64) claims {
		return c.githubClaims().with("iat", now+iat).with("nbf", now+nbf).with("exp", now+exp)
	}
	const ok = ""
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"GitHub's own":                {times(0, -600, 300), ok},
		"an hour":                     {times(0, 0, 3600), ok},
		"longer than an hour":         {times(0, 0, 3601), identity.ReasonTooLongLived},
		"expired within the skew":     {times(-300, -300, -59), ok},
		"expired":                     {times(-300, -300, -60), identity.ReasonExpired},
		"expired long ago":            {times(-90000, -90000, -86400), identity.ReasonExpired},
		"issued within the skew":      {times(60, 60, 300), ok},
		"issued in the future":        {times(61, 0, 300), identity.ReasonNotYetValid},
		"not yet valid":               {times(0, 61, 300), identity.ReasonNotYetValid},
		"ten minutes old":             {times(-600, -600, 300), ok},
		"older than ten minutes":      {times(-601, -601, 300), identity.ReasonTooOld},
		"expires before it is issued": {times(0, 0, 0), identity.ReasonContradiction},
		"no exp":                      {c.githubClaims().without("exp"), identity.ReasonMissingClaim},
		"no iat":                      {c.githubClaims().without("iat"), identity.ReasonMissingClaim},
		"no nbf":                      {c.githubClaims().without("nbf"), ok},
		"exp as a string":             {c.githubClaims().with("exp", "1750000300"), identity.ReasonWrongType},
		"iat as a string":             {c.githubClaims().with("iat", "1750000000"), identity.ReasonWrongType},
		"exp as a fraction":           {c.githubClaims().with("exp", json.Number("1750000300.5")), identity.ReasonBadClaim},
		"exp with an exponent":        {c.githubClaims().with("exp", json.Number("1.7500003e9")), identity.ReasonBadClaim},
		"exp beyond 64 bits":          {c.githubClaims().with("exp", json.Number("99999999999999999999")), identity.ReasonBadClaim},
		"exp that overflows times":    {c.githubClaims().with("exp", json.Number("9223372036854775807")), identity.ReasonBadClaim},
		"negative iat":                {c.githubClaims().with("iat", json.Number("-9223372036854775808")), identity.ReasonBadClaim},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.authenticator(t, "github")
			if tc.reason == ok {
				wantAccepted(t, a, sign(t, tc.claims))
				return
			}
			wantRefused(t, a, sign(t, tc.claims), tc.reason)
		})
	}
}

func TestConfiguredCaps(t *testing.T) {
	c := newCI(t)
	long := c.gitlabClaims().with("exp", start.Add(3*time.Hour).Unix())
	a := c.authenticator(t, "gitlab", func(cfg *identity.Config) {
		cfg.Sources[0].MaxAge, cfg.Sources[0].MaxLife = 2*time.Hour, 3*time.Hour
	})
	token := sign(t, long)
	c.clock.advance(2 * time.Hour)
	wantAccepted(t, a, token)
	c.clock.advance(time.Second)
	wantRefused(t, a, token, identity.ReasonTooOld)
}

// TestAudience: exactly one, exactly ours.
func TestAudience(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	base := c.githubClaims()
	wantAccepted(t, a, sign(t, base.with("aud", []string{audience})))
	for name, tc := range map[string]struct {
		aud    any
		reason string
	}{
		"another":         {"https://other.example", identity.ReasonWrongAudience},
		"GitHub's own":    {"https://github.com/acme", identity.ReasonWrongAudience},
		"sigstore":        {"sigstore", identity.ReasonWrongAudience},
		"two, ours first": {[]string{audience, "sigstore"}, identity.ReasonWrongAudience},
		"ours twice":      {[]string{audience, audience}, identity.ReasonWrongAudience},
		"none":            {[]string{}, identity.ReasonWrongAudience},
		"empty":           {"", identity.ReasonWrongAudience},
		"trailing slash":  {audience + "/", identity.ReasonWrongAudience},
		"another case":    {strings.ToUpper(audience), identity.ReasonWrongAudience},
		"nested":          {[]any{[]string{audience}}, identity.ReasonWrongAudience},
		"a number":        {7, identity.ReasonWrongType},
		"an object":       {claims{"x": audience}, identity.ReasonWrongType},
		"null":            {nil, identity.ReasonMissingClaim},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, base.with("aud", tc.aud)), tc.reason) })
	}
	wantRefused(t, a, sign(t, base.without("aud")), identity.ReasonMissingClaim)
}

// TestIssuerLookAlikes: nothing but the exact text, and nothing is fetched.
func TestIssuerLookAlikes(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	for _, iss := range []any{
		c.URL + "/", c.URL + ".evil.example", c.URL + "/enterprise", strings.ToUpper(c.URL), " " + c.URL, c.URL + "\u200b",
		strings.Replace(c.URL, "http:", "https:", 1), strings.Replace(c.URL, "127.0.0.1", "localhost", 1),
		c.URL + "#", c.URL + "?", "https://evil.example/" + c.URL, "", nil, 7, []string{c.URL},
	} {
		no := refusal(t, a, sign(t, c.githubClaims().with("iss", iss)), identity.ReasonUnknownIssuer)
		if want, _ := iss.(string); no.Issuer != want {
			t.Errorf("refusal names issuer %q, want %q", no.Issuer, want)
		}
	}
	if n := c.discoveries.Load() + c.keyFetches.Load(); n != 0 {
		t.Errorf("%d fetches for tokens of foreign issuers", n)
	}
}

// TestCheapRefusalsFetchNothing: a flood of old tokens costs the issuer nothing.
func TestCheapRefusalsFetchNothing(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantRefused(t, a, sign(t, c.githubClaims().with("aud", "x")), identity.ReasonWrongAudience)
	wantRefused(t, a, sign(t, c.githubClaims().with("iat", 1).with("exp", 2)), identity.ReasonExpired)
	if n := c.discoveries.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

// TestForgedSignatures: every way to have a key judge its own token.
func TestForgedSignatures(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	base := c.githubClaims()
	payload, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, base)
	wantAccepted(t, a, good)
	parts := strings.Split(good, ".")
	none := func(alg string) string {
		return b64([]byte(`{"alg":"`+alg+`","kid":"a"}`)) + "." + b64(payload) + "."
	}
	hmac := func(secret []byte) string {
		return signAs(t, jose.HS256, secret, base, map[string]any{"kid": "a"})
	}
	der, err := x509.MarshalPKIXPublicKey(&keyA().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	spki := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := jose.JSONWebKey{Key: &keyB().PublicKey, KeyID: "a"}
	ownKey := func(header map[string]any) string {
		header["kid"] = "a"
		return signAs(t, jose.RS256, keyB(), base, header)
	}
	other := b64([]byte(strings.Replace(string(payload), "acme/app", "acme/api", 1)))

	for name, tc := range map[string]struct{ token, reason string }{
		"alg none":                        {none("none") + "eA", identity.ReasonWrongAlgorithm},
		"alg none without signature":      {none("none"), identity.ReasonMalformed},
		"alg None":                        {none("None") + "eA", identity.ReasonWrongAlgorithm},
		"no alg":                          {b64([]byte(`{"kid":"a"}`)) + "." + parts[1] + "." + parts[2], identity.ReasonMissingClaim},
		"alg a number":                    {b64([]byte(`{"alg":1,"kid":"a"}`)) + "." + parts[1] + "." + parts[2], identity.ReasonWrongType},
		"HS256 with the public key, PEM":  {hmac(spki), identity.ReasonWrongAlgorithm},
		"HS256 with the public key, DER":  {hmac(der), identity.ReasonWrongAlgorithm},
		"HS256 with the modulus":          {hmac(keyA().N.Bytes()), identity.ReasonWrongAlgorithm},
		"PS256, right key":                {signAs(t, jose.PS256, keyA(), base, map[string]any{"kid": "a"}), identity.ReasonWrongAlgorithm},
		"ES256, another key":              {signAs(t, jose.ES256, ec, base, map[string]any{"kid": "a"}), identity.ReasonWrongAlgorithm},
		"another RSA key":                 {ownKey(map[string]any{}), identity.ReasonBadSignature},
		"embedded jwk":                    {ownKey(map[string]any{"jwk": own}), identity.ReasonForbiddenHeader},
		"embedded JWK, another case":      {ownKey(map[string]any{"JWK": own}), identity.ReasonForbiddenHeader},
		"jku":                             {ownKey(map[string]any{"jku": "https://evil.example/jwks"}), identity.ReasonForbiddenHeader},
		"x5u":                             {ownKey(map[string]any{"x5u": "https://evil.example/cert"}), identity.ReasonForbiddenHeader},
		"x5c":                             {ownKey(map[string]any{"x5c": []string{b64(der)}}), identity.ReasonForbiddenHeader},
		"crit":                            {ownKey(map[string]any{"crit": []string{"exp"}}), identity.ReasonForbiddenHeader},
		"typ of another kind":             {signAs(t, jose.RS256, keyA(), base, map[string]any{"kid": "a", "typ": "secevent+jwt"}), identity.ReasonForbiddenHeader},
		"no kid":                          {signAs(t, jose.RS256, keyA(), base, nil), identity.ReasonMissingClaim},
		"unknown kid":                     {signAs(t, jose.RS256, keyA(), base, map[string]any{"kid": "z"}), identity.ReasonUnknownKey},
		"other payload, same signature":   {parts[0] + "." + other + "." + parts[2], identity.ReasonBadSignature},
		"signature of nothing":            {parts[0] + "." + parts[1] + "." + b64(make([]byte, 256)), identity.ReasonBadSignature},
		"truncated signature":             {good[:len(good)-6], identity.ReasonBadSignature},
		"truncated payload":               {parts[0] + "." + parts[1][:len(parts[1])/4*2] + "." + parts[2], identity.ReasonMalformed},
		"with spare bits set":             {good[:len(good)-1] + nextLetter(good[len(good)-1]), identity.ReasonMalformed},
		"without signature":               {parts[0] + "." + parts[1], identity.ReasonMalformed},
		"with a fourth part":              {good + ".x", identity.ReasonMalformed},
		"JSON serialization":              {`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, identity.ReasonMalformed},
		"empty":                           {"", identity.ReasonMalformed},
		"with Bearer":                     {"Bearer " + good, identity.ReasonMalformed},
		"with a line break at the end":    {good + "\n", identity.ReasonMalformed},
		"with a line break in the middle": {parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], identity.ReasonMalformed},
		"with padding":                    {parts[0] + "." + parts[1] + "." + parts[2] + "==", identity.ReasonMalformed},
		"one megabyte":                    {parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], identity.ReasonTooLarge},
		"closed ten thousand deep":        {parts[0] + "." + b64([]byte(`{"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+"}")) + "." + parts[2], identity.ReasonTooLarge},
		"just too large":                  {sign(t, base.with("pad", strings.Repeat("x", 12<<10))), identity.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, c.authenticator(t, "github"), tc.token, tc.reason)
		})
	}
	wantAccepted(t, a, sign(t, base.with("pad", strings.Repeat("x", 8<<10))))
}

// TestTwoReadings: payloads that two parsers would read differently, signed by
// the right key.
func TestTwoReadings(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	valid, err := json.Marshal(c.githubClaims())
	if err != nil {
		t.Fatal(err)
	}
	add := func(member string) string { return string(valid[:len(valid)-1]) + "," + member + "}" }
	deep := func(n int) string { return `"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, payload := range map[string]string{
		"duplicate claim":             add(`"repository_id":"1"`),
		"duplicate, escaped":          add(`"repository\u005fid":"1"`),
		"duplicate sub":               add(`"sub":"repo:evil/app"`),
		"duplicate in another case":   add(`"Repository_ID":"1"`),
		"duplicate in a nested claim": add(`"x":{"a":1,"a":2}`),
		"nested too deep":             add(deep(8)),
		"nested five thousand deep":   `{` + deep(5000) + `}`,
		"nested ten thousand deep":    `{"x":` + strings.Repeat("[", 10_000),
		"objects a thousand deep":     strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000),
		"invalid UTF-8":               add("\"x\":\"\xff\""),
		"lone surrogate":              add(`"x":"\ud800"`),
		"trailing data":               string(valid) + "{}",
		"comment":                     add(`/* x */ "x":1`),
		"not a number":                add(`"x":NaN`),
		"a list":                      "[" + string(valid) + "]",
		"null":                        "null",
		"a string":                    `"x"`,
		"nothing but space":           " ",
	} {
		t.Run(name, func(t *testing.T) {
			token := signBytes(t, jose.RS256, keyA(), []byte(payload), map[string]any{"kid": "a"})
			wantRefused(t, a, token, identity.ReasonMalformed)
		})
	}
	t.Run("only in another case", func(t *testing.T) {
		for _, name := range []string{"nbf", "jti", "sub", "exp"} {
			other := c.githubClaims().without(name).with(strings.ToUpper(name), c.githubClaims()[name])
			wantRefused(t, a, sign(t, other), identity.ReasonMalformed)
		}
		wantRefused(t, a, sign(t, c.githubClaims().with("Email", "x@y.z")), identity.ReasonMalformed)
	})
	t.Run("duplicate in the header", func(t *testing.T) {
		head := b64([]byte(`{"alg":"RS256","kid":"a","kid":"b"}`))
		wantRefused(t, a, head+"."+b64(valid)+"."+b64([]byte("x")), identity.ReasonMalformed)
	})
	if n := c.keyFetches.Load(); n != 0 {
		t.Errorf("%d fetches for malformed tokens", n)
	}
}

// TestHumans: tokens of people are refused whatever signed them.
func TestHumans(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "gitlab")
	wantAccepted(t, a, sign(t, c.gitlabClaims())) // it has user_email
	for _, member := range []string{"email", "email_verified"} {
		for _, value := range []any{"jane@acme.example", true, nil, ""} {
			wantRefused(t, a, sign(t, c.gitlabClaims().with(member, value)), identity.ReasonHumanToken)
		}
	}
	for _, member := range []string{"nonce", "auth_time", "at_hash", "amr", "acr", "preferred_username", "given_name", "upn", "cognito:username"} {
		wantRefused(t, a, sign(t, c.gitlabClaims().with(member, "x")), identity.ReasonHumanToken)
	}
	// A login that says nothing of the kind lacks what only a run has.
	login := c.common().with("name", "Jane").with("groups", []string{"staff"})
	for _, provider := range []string{"github", "gitlab", "buildkite", "circleci", "kubernetes"} {
		wantRefused(t, c.authenticator(t, provider), sign(t, login), identity.ReasonMissingClaim)
	}
	wantRefused(t, c.jenkins(t), sign(t, login), identity.ReasonMissingClaim)
}

// TestTokenID: one token has one id, however it is written.
func TestTokenID(t *testing.T) {
	c := newCI(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.publish(public("e", &ec.PublicKey))
	a := c.authenticator(t, "kubernetes")
	token := signAs(t, jose.ES256, ec, c.podClaims().with("jti", ""), map[string]any{"kid": "e"})
	cut := strings.LastIndexByte(token, '.')
	sum := sha256.Sum256([]byte(token[:cut]))
	want := "sha256:" + hex.EncodeToString(sum[:])
	if got := wantAccepted(t, a, token).TokenID; got != want {
		t.Errorf("id %q, want %q", got, want)
	}

	// The other valid form of an ECDSA signature: (r, n-s).
	sig, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	twin := token[:cut+1] + b64(sig)
	if got := wantAccepted(t, a, twin).TokenID; got != want || twin == token {
		t.Errorf("the twin's id is %q, want %q", got, want)
	}
	withJTI := signAs(t, jose.ES256, ec, c.podClaims(), map[string]any{"kid": "e"})
	if got := wantAccepted(t, a, withJTI).TokenID; got != "jti:token-1" {
		t.Errorf("id %q", got)
	}
}

// TestRefusalSaysWho: the audit record learns what the token claimed, and never
// the token.
func TestRefusalSaysWho(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	token := sign(t, c.githubClaims().with("aud", "x").with("sub", "repo:acme/é"))
	no := refusal(t, a, token, identity.ReasonWrongAudience)
	if no.Issuer != c.URL || no.Subject != "repo:acme/é" {
		t.Errorf("issuer %q, subject %q", no.Issuer, no.Subject)
	}
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(no.Error(), part) {
			t.Error("the refusal contains the token")
		}
	}
}

// BenchmarkAuthenticate measures the hot path: keys are there already. A
// refusal must cost less than two milliseconds of CPU.
func BenchmarkAuthenticate(b *testing.B) {
	c := newCI(b)
	a := c.authenticator(b, "github")
	good := sign(b, c.githubClaims())
	wantAccepted(b, a, good)
	for name, token := range map[string]string{
		"accepted":       good,
		"wrong audience": sign(b, c.githubClaims().with("aud", "x")),
		"bad signature":  signAs(b, jose.RS256, keyB(), c.githubClaims(), map[string]any{"kid": "a"}),
		"nested deeply":  b64([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + b64([]byte(strings.Repeat(`{"a":`, 2000))) + ".eA",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(b.Context(), token); (err == nil) != (token == good) {
					b.Fatal(err)
				}
			}
		})
	}
	if n := c.keyFetches.Load(); n > 2 {
		b.Errorf("%d fetches on the hot path", n)
	}
}
