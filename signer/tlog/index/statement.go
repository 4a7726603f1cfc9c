// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto"
	"encoding/json"
	"slices"
	"strings"
)

// OfPayload returns the keys of what a DSSE envelope holds: the SHA-256 of the
// payload and, if it is an in-toto statement, the digests of its subjects.
func OfPayload(payloadType string, payload []byte) []string {
	h := crypto.SHA256.New()
	h.Write(payload)
	keys := []string{HashOf(crypto.SHA256, h.Sum(nil))}
	if !strings.HasPrefix(payloadType, "application/vnd.in-toto") {
		return keys
	}
	var statement struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(payload, &statement) != nil {
		return keys
	}
	for _, subject := range statement.Subject {
		var digests []string
		for algorithm, digest := range subject.Digest {
			// in-toto names more algorithms than are indexed.
			if key, err := Hash(algorithm, digest); err == nil {
				digests = append(digests, key)
			}
		}
		slices.Sort(digests)
		keys = append(keys, digests...)
	}
	return Collect(keys)
}
