// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer/keys/kms"
)

// SigningKeyConfig is a pair of long-lived keys, for rules of the signing policy
// that say `keys: [NAME]`.
type SigningKeyConfig struct {
	// Name is what rules call it: letters, digits and dashes.
	Name string `yaml:"name"`
	// Signatures is where the key is that signs artifacts: file, for a key of the
	// deployment's own folder, or the reference of a KMS.
	Signatures string `yaml:"signatures"`
	// Attestations is where the key is that signs attestations. It has to be
	// another one: cosign takes any bundle of an accepted key for a signature.
	// Without it the key attests nothing.
	Attestations string `yaml:"attestations,omitempty"`
}

// inFile is what stands for a key in the deployment's own folder.
const inFile = "file"

// What a long-lived key is used for. Its public half is published as NAME, or
// NAME.attestations.
const (
	forSignatures   = "signatures"
	forAttestations = "attestations"
)

// signingKey is one of the two keys of a pair.
type signingKey struct {
	name string // of the pair
	use  string
	place
}

// signingKeys are all long-lived keys, in the order of the configuration.
func (c *Config) signingKeys() []signingKey {
	var all []signingKey
	for _, k := range c.Signing.Keys {
		for _, one := range []struct{ use, where, file string }{
			{forSignatures, k.Signatures, "sign-" + k.Name}, {forAttestations, k.Attestations, "attest-" + k.Name},
		} {
			if one.where == "" {
				continue
			}
			p := place{name: one.file}
			if one.where != inFile {
				p.reference = one.where
			}
			all = append(all, signingKey{name: k.Name, use: one.use, place: p})
		}
	}
	return all
}

// checkSigningKeys looks at the form only.
func (s *SigningConfig) checkSigningKeys() error {
	names, places := map[string]bool{}, map[string]bool{}
	for _, k := range s.Keys {
		switch {
		case !keyName.MatchString(k.Name):
			return fmt.Errorf("signing.keys: name %q: want lower-case letters, digits and dashes, at most 63 of them", k.Name)
		case names[k.Name]:
			return fmt.Errorf("signing.keys: two keys are called %q", k.Name)
		case k.Signatures == "":
			return fmt.Errorf("signing.keys: key %q: signatures is missing (hint: file, or the reference of a KMS)", k.Name)
		}
		names[k.Name] = true
		for _, where := range []string{k.Signatures, k.Attestations} {
			if where == "" || where == inFile {
				continue
			}
			if !kms.IsReference(where) && !strings.HasPrefix(where, "pkcs11:") {
				return fmt.Errorf("signing.keys: key %q: %q is neither file nor the reference of a KMS", k.Name, where)
			}
			if err := kms.CheckReference(where); err != nil {
				return fmt.Errorf("signing.keys: key %q: %w", k.Name, err)
			}
			if places[where] {
				return fmt.Errorf("signing.keys: %s is named twice (hint: signatures and attestations, and every pair, have keys of their own)", where)
			}
			places[where] = true
		}
	}
	return nil
}

// checkPolicyKeys wants every key that a rule names, for what the rule does with
// it: such a rule would grant what can never be signed.
func (c *Config) checkPolicyKeys(p *policy.SigningPolicy) error {
	have := map[string]bool{}
	for _, k := range c.signingKeys() {
		have[k.name+" "+k.use] = true
	}
	for name, use := range p.Keys() {
		for need, used := range map[string]bool{forSignatures: use.Signs, forAttestations: use.Attest} {
			if used && !have[name+" "+need] {
				return fmt.Errorf("rule %q of the signing policy names the key %q, which has no key for %s (hint: signing.keys in %s)",
					use.Rule, name, need, filepath.Base(c.path(configName)))
			}
		}
	}
	return nil
}

// Duration is a span of time as people write it: 10s.
type Duration struct{ time.Duration }

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	var text string
	if err := node.Decode(&text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed <= 0 {
		return errors.New("want a span of time such as 10s, not " + text)
	}
	d.Duration = parsed
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil } //nolint:unparam // yaml.Marshaler has the error
