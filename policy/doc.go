// SPDX-License-Identifier: Apache-2.0

// Package policy answers two questions, each with a value and never with a side effect.
//
// Before a signature is made: may this CI job sign or attest this artifact? A [SigningPolicy] looks at an [Input], the verified
// claims of the job's token and the digest that was found in the registry, and returns a [Decision]. An allowing decision carries a
// [Grant], which can be redeemed once and can be made nowhere else. The signer accepts nothing but a redeemed grant, so a signature
// that skipped policy does not compile.
//
// Before an image runs: does what is proven about this image satisfy us? A [TrustPolicy] looks at [Fact] values, each of them one
// bundle whose cryptography somebody else has already verified, and returns a [Verdict].
//
// Both deny by their zero value, both record every check they made, passed or failed, and both read verified data only. Conditions
// are written in CEL (https://cel.dev), compiled and type-checked when the policy is read, limited in cost, and without any function
// that could reach a network, a file or a clock. The package itself reaches none of them either: time is an argument.
//
// The manual for people who write policies is docs/POLICY.md.
package policy
