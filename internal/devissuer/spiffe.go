// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"time"

	"github.com/go-jose/go-jose/v4"
)

const spiffeLife = 5 * time.Minute

// TrustDomain is that of development JWT-SVIDs.
const TrustDomain = "ci.acme.example"

const spiffeSource = `provider: spiffe, trustDomain: ` + TrustDomain + `, bundleEndpoint: "ISSUER/bundle"`

// spiffeClaims are those of the JWT-SVID specification: hardly any. There is no
// issuer, unless iss= asks for one.
func spiffeClaims(_, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("sub", "spiffe://"+TrustDomain+"/ns/acme-ci/sa/release")
	c.list("aud", audience)
	c.number("iat", now.Unix())
	c.number("exp", now.Add(spiffeLife).Unix())
	return c.rest()
}

// bundle is the trust domain's bundle document.
func (i *Issuer) bundle() map[string]any {
	return map[string]any{
		"keys":                []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: i.kid, Use: "jwt-svid"}},
		"spiffe_sequence":     1,
		"spiffe_refresh_hint": 300,
	}
}
