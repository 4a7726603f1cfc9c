// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/keys/kms"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// tags is what legacy tags need; nil if none are to be written.
func (l *logService) tags(cfg *Config, registry *oci.Client) *signer.Tags {
	if !cfg.Signing.LegacyTags {
		return nil
	}
	return &signer.Tags{Log: logOfV1{l.v1}, Registry: registry}
}

// neededKinds are the logs without which nothing can be signed.
func (s *SigningConfig) neededKinds() []tlog.Kind {
	kinds := s.kinds()
	if s.LegacyTags && !slices.Contains(kinds, tlog.V1) {
		kinds = append(kinds, tlog.V1)
	}
	return kinds
}

// parseKeyFlags reads --kms NAME=REFERENCE.
func parseKeyFlags(flags []string) (map[string]string, error) {
	if len(flags) == 0 {
		return nil, nil //nolint:nilnil // no keys is no error
	}
	parsed := map[string]string{}
	for _, flag := range flags {
		name, ref, ok := strings.Cut(flag, "=")
		if !ok || !slices.Contains(initKeys(), name) {
			return nil, fmt.Errorf("--kms %s: want NAME=REFERENCE with one of the names %s", flag, strings.Join(initKeys(), ", "))
		}
		if err := kms.CheckReference(ref); err != nil {
			return nil, fmt.Errorf("--kms %s: %w", name, err)
		}
		if parsed[name] != "" {
			return nil, fmt.Errorf("--kms %s is given twice", name)
		}
		parsed[name] = ref
	}
	return parsed, nil
}

// keysYAML writes keys for the first configuration.
func keysYAML(references map[string]string) string {
	if len(references) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("keys:\n")
	for _, name := range slices.Sorted(maps.Keys(references)) {
		_, _ = fmt.Fprintf(&text, "  %s: %q\n", name, references[name])
	}
	return text.String()
}
