// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"time"
)

// TrustPolicy is a validated, compiled trust policy.
type TrustPolicy struct{ name string }

// ParseTrustPolicy reads an ImageTrustPolicy document.
func ParseTrustPolicy(b []byte) (*TrustPolicy, error) { panic("unwritten") }

// NewTrustPolicy makes a trust policy.
func NewTrustPolicy(name string, spec TrustPolicySpec) (*TrustPolicy, error) { panic("unwritten") }

// Fact is one bundle whose cryptography was verified.
type Fact struct {
	PredicateType string
	Bound         bool
	SAN           string
	Issuer        string
	Extensions    map[string]string
	SignedAt      time.Time
	LogIndex      int64
	LogID         string
	Bundle        string
	Predicate     json.RawMessage
}

// Image is a canonical image reference.
type Image struct{ Registry, Repository, Tag, Digest string }

// Name returns the policy's name.
func (p *TrustPolicy) Name() string { return p.name }

// Matches reports whether the policy speaks about the image.
func (p *TrustPolicy) Matches(img Image) bool { panic("unwritten") }

// ModeFor returns the mode for a namespace.
func (p *TrustPolicy) ModeFor(namespace string, now time.Time) Mode { panic("unwritten") }

// Evaluate judges the facts about an image.
func (p *TrustPolicy) Evaluate(img Image, facts []Fact, now time.Time) Verdict { panic("unwritten") }

// Verdict is the answer of a trust policy; the zero value denies.
type Verdict struct {
	Checks   []Check
	Evidence []string
	allowed  bool
}

// Allowed reports whether every requirement was proven.
func (v Verdict) Allowed() bool { return v.allowed }

// Reasons says why the verdict denies.
func (v Verdict) Reasons() []string { return nil }
