// SPDX-License-Identifier: Apache-2.0

// Package attest holds statements and bundles.

package attest

// Digest is "sha256:<64 lower-case hex digits>". The zero value is invalid.
type Digest string

// ParseDigest accepts exactly the canonical spelling.
func ParseDigest(s string) (Digest, error) { panic("unwritten") }

// DigestOf hashes b.
func DigestOf(b []byte) Digest { panic("unwritten") }

// Hex returns the 64 hex digits.
func (d Digest) Hex() string { panic("unwritten") }

// Bytes returns the 32 bytes.
func (d Digest) Bytes() []byte { panic("unwritten") }
