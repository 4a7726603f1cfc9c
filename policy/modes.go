// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
)

// Ways to sign. What a rule grants is signed in each of the rule's modes.
const (
	// ModeCertificate signs with a key that exists for one signature, and a certificate that says whose workflow asked for it.
	ModeCertificate = "certificate"
	// ModeKey signs with a long-lived key, for verifiers that know signers by their keys.
	ModeKey = "key"
)

// maxKeys bounds the keys of a rule: each is a signature, a log entry and an attachment.
const maxKeys = 4

// checkModes holds a rule to saying the same with its modes and its keys.
func checkModes(path string, rule signingRule) error {
	if len(rule.Keys) > maxKeys {
		return fieldErrorf(path+".keys", "has %d entries, more than %d", len(rule.Keys), maxKeys)
	}
	if rule.Keys != nil {
		if err := checkEntries(path+".keys", rule.Keys, isName, "the name of a key under signing.keys of the service's configuration"); err != nil {
			return err
		}
	}
	if rule.Modes == nil {
		return nil
	}
	if err := checkEntries(path+".modes", rule.Modes, oneOf(ModeCertificate, ModeKey), "certificate or key"); err != nil {
		return err
	}
	switch byKey := slices.Contains(rule.Modes, ModeKey); {
	case byKey && len(rule.Keys) == 0:
		return fieldErrorf(path+".keys", "the mode key needs the names of the keys")
	case !byKey && len(rule.Keys) > 0:
		return fieldErrorf(path+".modes", "the rule names keys, so that one of its modes must be key")
	}
	return nil
}

// byCertificate says whether the rule's signatures have a certificate: unless its modes say otherwise.
func (r *signingRule) byCertificate() bool {
	return r.Modes == nil || slices.Contains(r.Modes, ModeCertificate)
}

// KeyUse is how rules use a signing key.
type KeyUse struct {
	Rule   string // the first rule that names it
	Signs  bool
	Attest bool
}

// Keys returns the signing keys that rules name, and what for. A key that the service does not have stops it from starting: whoever loads
// the policy looks.
func (p *SigningPolicy) Keys() map[string]KeyUse {
	uses := make(map[string]KeyUse)
	if p == nil {
		return uses
	}
	for _, rule := range p.rules {
		for _, name := range rule.Keys {
			use, known := uses[name]
			if !known {
				use.Rule = rule.Name
			}
			use.Signs = use.Signs || slices.Contains(rule.Actions, ActionSign)
			use.Attest = use.Attest || slices.Contains(rule.Actions, ActionAttest)
			uses[name] = use
		}
	}
	return uses
}
