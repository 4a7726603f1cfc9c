// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/x509"
	"slices"
)

// UnitOnRequest is the organizational unit in the name of an authority whose
// certificates are for keys of those who ask (the Fulcio API): what is signed
// with one, the signing service has not seen and no gate has judged. Only the
// root names authorities, so the name is as good as its signature. An extension
// of our own would say the same, and would need a number that is ours.
const UnitOnRequest = "certificates on request"

// IssuedOnRequest tells whether a certificate, whose chain was verified, is of
// such an authority.
func IssuedOnRequest(leaf *x509.Certificate) bool {
	return slices.Contains(leaf.Issuer.OrganizationalUnit, UnitOnRequest)
}
