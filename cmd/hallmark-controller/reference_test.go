// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/reference"
)

// TestReference: docs/CLI.md has this program's commands and flags.
func TestReference(t *testing.T) {
	if err := reference.Hold("../../docs/CLI.md", command(io.Discard)); err != nil {
		t.Error(err)
	}
}
