// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/hallmark-dev/hallmark/internal/reference"
)

// TestReference: docs/CLI.md has this program's commands and flags.
func TestReference(t *testing.T) {
	if err := reference.Hold("../../docs/CLI.md", commands(environment{getenv: func(string) string { return "" }})); err != nil {
		t.Error(err)
	}
}
