// SPDX-License-Identifier: Apache-2.0

// Package verifier answers one question: do the bundles that were found for an artifact prove what a policy demands of it?
//
// It works in two halves that know nothing of each other.
//
// Facts first. [Crypto] turns the bytes of a Sigstore bundle into a [policy.Fact]: who signed what, about which digest, when, and in which
// transparency log it stands. It needs the bytes, the digest and the trusted root, and asks nobody else: no network, no clock except to
// refuse evidence from the future. Whatever cannot be proven completely is not a fact but a [Refusal] that says why.
//
// Policy second. [Verifier] gathers the bundles of an artifact, makes facts of them, and lets a [policy.TrustPolicy] judge the facts.
// The answer is a [Decision]: allow or deny, with every check that was made and every bundle that was looked at, so that a command
// line, a webhook and an auditor's page explain it with the same words. An error instead of a Decision means "could not decide" and has
// to be treated like a denial. The zero Decision denies.
//
// # What a fact proves
//
//   - The certificate was issued by a certificate authority of the trusted root, was seen by a certificate transparency log of it, and
//     names exactly one signer and one issuer.
//   - That signer's key signed these bytes, and these bytes speak about this digest.
//   - A transparency log of the trusted root contains this signature, this certificate and this content, and nothing else, at this index.
//   - An authority of the trusted root says when, and at that time every certificate and key on the way was valid and in use.
//
// # What it does not prove
//
// That the signer is one you want (that is policy), that the content is true, that the log shows the same entries to everybody (that
// takes monitors and witnesses), or that no newer statement exists which the source withheld.
package verifier
