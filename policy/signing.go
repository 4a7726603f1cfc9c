// SPDX-License-Identifier: Apache-2.0

package policy

// SigningPolicy is a parsed, compiled signing policy.
type SigningPolicy struct {
	digest string
}

// ParseSigningPolicy reads a SigningPolicy document.
func ParseSigningPolicy(b []byte) (*SigningPolicy, error) { panic("unwritten") }

// Digest returns "sha256:<hex>" of the file's bytes.
func (p *SigningPolicy) Digest() string { return p.digest }

// Decide answers whether the input's action is allowed.
func (p *SigningPolicy) Decide(in Input) Decision { panic("unwritten") }
