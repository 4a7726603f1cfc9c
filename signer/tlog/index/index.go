// SPDX-License-Identifier: Apache-2.0

// Package index says what a log entry is found by. An entry that is appended
// carries a few index keys (tlog.Leaf.Keys): the digests it is about, the key
// and the certificate that verify it, the image it belongs to. A search asks
// for keys. Both sides make them here, so that what is written is what is
// looked up.
//
// A key is "kind:value", and the value has one spelling. Storage may keep no
// more than a keyed hash of it, so there is no search by prefix or by part:
// whatever people write in several ways must be reduced to one way before.
// That is what this package does. Case, schemes, ".git", tags and the like are
// dropped where nobody means anything by them. A key that says too little finds
// too much, which a reader sees at a glance; one that says too much finds
// nothing.
//
// Nothing here is a judgement: an entry under a key is a hint where to look,
// and is verified like any other.
package index

import (
	"strings"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Kind is the part of a key before the colon.
type Kind string

// The kinds of keys.
const (
	KindHash       Kind = "hash"       // hash:sha256:<hex>, a digest that was signed, or that a statement is about
	KindPublicKey  Kind = "publickey"  // publickey:<hex SHA-256 of the key>
	KindIdentity   Kind = "identity"   // identity:<e-mail address, URI or other subject alternative name>
	KindIssuer     Kind = "issuer"     // issuer:<host and path of the OpenID Connect issuer>
	KindRepository Kind = "repository" // repository:<host and path of the source repository>
	KindCommit     Kind = "commit"     // commit:<hex id>
	KindWorkflow   Kind = "workflow"   // workflow:<host and path of the workflow's definition, with or without @ref>
	KindImage      Kind = "image"      // image:<registry>/<repository>
)

// join makes a key.
func join(k Kind, value string) string { return string(k) + ":" + value }

// Collect merges keys from several sources into what tlog.Leaf.Keys takes:
// without duplicates, without those that are empty or longer than tlog.MaxKey,
// the first tlog.MaxKeys of them. What matters most comes first.
func Collect(groups ...[]string) []string {
	var keys []string
	seen := make(map[string]bool)
	for _, group := range groups {
		for _, key := range group {
			if key == "" || len(key) > tlog.MaxKey || seen[key] {
				continue
			}
			if len(keys) == tlog.MaxKeys {
				return keys
			}
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// lower is the form that all values have: lower case, no white space around.
func lower(s string) string {
	return strings.TrimSpace(strings.ToLower(s))
}

// empty says whether a key has no value.
func empty(key string) bool {
	_, value, _ := strings.Cut(key, ":")
	return value == ""
}
