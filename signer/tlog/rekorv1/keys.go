// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// What an entry is found by is all that Rekor finds it by, and more: a key under
// the hash of the key, whatever kind of entry it is in, and the dependencies
// that SLSA provenance of version 1 names.

// keysOf returns the index keys of an entry that has been made canonical, but
// for those of its verifiers.
func keysOf(impl types.EntryImpl, proposed models.ProposedEntry) []string {
	switch proposed.(type) {
	case *models.DSSE, *models.Intoto:
		// Rekor's own functions write what a client sent into the program's
		// log here.
		return keysOfProposedEnvelope(specOf(proposed))
	}
	found, err := impl.IndexKeys()
	if err != nil {
		return nil // what can be verified can be logged, found or not
	}
	var keys []string
	for _, k := range found {
		// The others are its verifiers' names, and digests of keys, which
		// verifiersOf has better.
		if strings.HasPrefix(k, "sha") {
			if key, err := index.ParseHash(k); err == nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// keysOfProposedEnvelope returns the keys of an envelope in a spec of dsse or
// intoto.
func keysOfProposedEnvelope(spec any) []string {
	for _, text := range texts(spec, "proposedContent.envelope", "content.envelope") {
		var env struct {
			PayloadType string `json:"payloadType"`
			Payload     []byte `json:"payload"`
		}
		if json.Unmarshal([]byte(text), &env) == nil {
			sum := sha256.Sum256([]byte(text))
			return keysOfEnvelope(sum[:], env.PayloadType, env.Payload)
		}
	}
	// intoto 0.0.2 has the envelope's members as its own, and the base64 of the
	// payload once more in base64.
	payloadTypes := texts(spec, "content.envelope.payloadType")
	for _, text := range texts(spec, "content.envelope.payload") {
		once, err := decode64([]byte(text))
		if err != nil {
			return nil
		}
		payload, err := decode64(once)
		if err == nil && len(payloadTypes) == 1 {
			return keysOfEnvelope(nil, payloadTypes[0], payload)
		}
	}
	return nil
}

// keysOfEnvelope returns the keys of an envelope. hash is the SHA-256 of its
// text, or nil if that is not known.
func keysOfEnvelope(hash []byte, payloadType string, payload []byte) []string {
	var keys []string
	if hash != nil {
		keys = append(keys, index.HashOf(crypto.SHA256, hash))
	}
	keys = append(keys, index.OfPayload(payloadType, payload)...)
	return append(keys, dependencies(payload)...)
}

// dependencies returns the digests of what an artifact was built from, if the
// payload is SLSA provenance: materials of versions 0.1 and 0.2, and
// resolvedDependencies of version 1.
func dependencies(payload []byte) []string {
	// Most statements have none, and some are large.
	if !bytes.Contains(payload, []byte(`"materials"`)) && !bytes.Contains(payload, []byte(`"resolvedDependencies"`)) {
		return nil
	}
	type descriptors []struct {
		Digest map[string]string `json:"digest"`
	}
	var statement struct {
		Predicate struct {
			Materials       descriptors `json:"materials"`
			BuildDefinition struct {
				ResolvedDependencies descriptors `json:"resolvedDependencies"`
			} `json:"buildDefinition"`
		} `json:"predicate"`
	}
	if json.Unmarshal(payload, &statement) != nil {
		return nil
	}
	var keys []string
	for _, d := range slices.Concat(statement.Predicate.Materials, statement.Predicate.BuildDefinition.ResolvedDependencies) {
		for _, algorithm := range slices.Sorted(maps.Keys(d.Digest)) {
			if key, err := index.Hash(algorithm, d.Digest[algorithm]); err == nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
