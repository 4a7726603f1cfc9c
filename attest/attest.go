// SPDX-License-Identifier: Apache-2.0

// Package attest reads and writes what is signed and what proves it.
//
// A Statement is a sentence about an artifact: a subject, which is a digest, a
// predicate, which is a JSON document, and the predicate's type. An image
// signature is the shortest such sentence: type PredicateSignature, predicate
// {}. Nobody signs a statement itself; what is signed is PAE(PayloadType,
// statement bytes), the pre-authentication encoding of DSSE, which binds the
// bytes to their type.
//
// A Bundle carries everything a verifier needs beside the artifact's digest
// and a trusted root: statement bytes, signature, certificate (or the hint of
// a key), one transparency log entry with its inclusion proof, and a
// timestamp. It is JSON of media type BundleMediaType, version 0.3 of the
// Sigstore bundle.
//
// Two rules shape the code. Writing is deterministic: the same value gives the
// same bytes, because the bytes are hashed, signed, logged and retried.
// Reading is strict: two parsers that disagree about one document are how
// signed things get misread, so a document that could be read in two ways
// (duplicate members, members that differ in case only, lone surrogates,
// trailing data) is not read at all.
//
// The package is pure: no network, no files, no clock.
package attest

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

const (
	// PayloadType is the DSSE payload type of in-toto statements.
	PayloadType = "application/vnd.in-toto+json"
	// BundleMediaType is the media type of what Bundle.Encode writes.
	BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

	// MaxDepth bounds the nesting of any JSON this package reads. Real SBOMs
	// stay below 20.
	MaxDepth = 64
	// MaxBundleBytes bounds an encoded bundle.
	MaxBundleBytes = 32 << 20
	// MaxStatementBytes bounds an encoded statement. In base64 it grows by a
	// third to 30.7 MiB, so that its bundle stays below MaxBundleBytes.
	MaxStatementBytes = 23 << 20
)

// Errors to be matched with errors.Is. Messages name the place and the reason.
var (
	// ErrDigest: not the canonical spelling of a SHA-256.
	ErrDigest = errors.New("not a digest")
	// ErrJSON: not JSON, or JSON that could be read in two ways.
	ErrJSON = errors.New("unacceptable JSON")
	// ErrTooLarge: above a size limit, which the message names.
	ErrTooLarge = errors.New("too large")
	// ErrPredicateType: neither a known short name nor an absolute URI.
	ErrPredicateType = errors.New("not a predicate type")
	// ErrStatement: not an in-toto statement this package reads or writes.
	ErrStatement = errors.New("unacceptable statement")
	// ErrBundle: not a Sigstore bundle this package reads or writes.
	ErrBundle = errors.New("unacceptable bundle")
)

// maxQuoted bounds how much of a stranger's text gets into a message.
const maxQuoted = 80

// quote makes foreign text safe for one line of a log.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
