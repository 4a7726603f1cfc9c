// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestWarnAboutTools: the log of a start says which tool nobody knows.
func TestWarnAboutTools(t *testing.T) {
	p, err := policy.ParseSigningPolicy([]byte(`apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign]
  kinds: [image]
  repositories: [acme/]
  conditions:
  - {name: org, expression: claims.repository_owner_id == "1001", message: not ours}
  require:
    scan: {maxAge: 24h, tools: [trivy, gryqe]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	warnAboutTools(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), p)
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "gryqe") || !strings.Contains(said, "(hint: grype?)") {
		t.Errorf("%s", said)
	}
}
