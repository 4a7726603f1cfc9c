// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// The kinds of key that are rotated. Attestations are signed with certificates
// of the same authority as signatures, so that ca is the attestor's as well.
// Beside them: v1 and v2, the logs; tuf-…, the trust repository's online roles;
// charts-pgp, the OpenPGP key of charts' provenance files; sign-NAME and attest-NAME, the long-lived keys of signing.keys.
const (
	kindCA     = "ca"
	kindFulcio = keyFulcio
	kindCT     = "ct"
	kindTSA    = "tsa"
	kindCharts = keyCharts
)

// fixedKinds are those that have the same name in every deployment.
func fixedKinds() []string {
	kinds := []string{kindCA, kindFulcio, kindCT, kindTSA, string(tlog.V1), string(tlog.V2), kindCharts}
	for _, role := range tuf.OnlineRoles() {
		kinds = append(kinds, tufKey(role))
	}
	return kinds
}

// kindWords are all kinds, as people read them.
func kindWords() []string { return append(fixedKinds(), "sign-NAME", "attest-NAME") }

// longLivedKind is the form of the kinds of long-lived keys: the name of the
// first key's file.
var longLivedKind = regexp.MustCompile(`^(sign|attest)-[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// isLongLived says whether a kind is that of a long-lived key.
func isLongLived(kind string) bool { return longLivedKind.MatchString(kind) }

// isKind says whether it is one that a deployment may have.
func isKind(kind string) bool { return slices.Contains(fixedKinds(), kind) || isLongLived(kind) }

// keyKinds are the kinds that this deployment has keys of.
func (c *Config) keyKinds() []string {
	kinds := slices.DeleteFunc(fixedKinds(), func(kind string) bool {
		return kind == kindFulcio && !c.hasFulcio() || kind == kindCharts && c.Charts.PGPKey == ""
	})
	for _, k := range c.signingKeys() {
		kinds = append(kinds, k.place.name)
	}
	return kinds
}

// checkKind refuses to rotate what this deployment does not have.
func (c *Config) checkKind(kind string) error {
	switch {
	case kind == kindFulcio && !c.hasFulcio():
		return noError{fmt.Errorf("rotate %s: there is no authority for certificates on request (hint: hallmark-server fulcio enable --dir %s)", kind, c.dir)}
	case kind == kindCharts && c.Charts.PGPKey == "":
		return noError{fmt.Errorf("rotate %s: there is no OpenPGP key (hint: charts.pgpKey in %s, then hallmark-server keys create --dir %s)", kind, c.path(configName), c.dir)}
	case !slices.Contains(c.keyKinds(), kind):
		return noError{fmt.Errorf("rotate %s: signing.keys of %s has no such key (hint: %s)", kind, c.path(configName), strings.Join(c.keyKinds(), ", "))}
	case (isLongLived(kind) || kind == kindCharts) && !exists(c.place(kind).pinIn(c.path("keys"))):
		return noError{fmt.Errorf("rotate %s: the key is not in use yet (hint: hallmark-server keys create --dir %s)", kind, c.dir)}
	}
	return nil
}

// hasFulcio says whether there is an authority for certificates on request. It
// stays when the API is switched off.
func (c *Config) hasFulcio() bool { return exists(c.chainFile(keyFulcio)) }

// hasCertificates says whether a kind's keys are those of authorities.
func hasCertificates(kind string) bool {
	return kind == kindCA || kind == kindFulcio || kind == kindTSA
}

// numberedKey is the n-th key of a kind. Names of signing.keys may end in a
// number, and have no dot.
func numberedKey(kind string, n int) string {
	if isLongLived(kind) {
		return fmt.Sprintf("%s.%d", kind, n)
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// tufKey is the name of the first key of an online role, which is also the kind.
func tufKey(role tuf.Role) string { return "tuf-" + string(role) }

// tufRole is the role of a kind, if it is one's.
func tufRole(kind string) (tuf.Role, bool) {
	for _, role := range tuf.OnlineRoles() {
		if tufKey(role) == kind {
			return role, true
		}
	}
	return "", false
}

func isLogKind(kind string) bool { return kind == string(tlog.V1) || kind == string(tlog.V2) }
