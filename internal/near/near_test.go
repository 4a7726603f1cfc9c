// SPDX-License-Identifier: Apache-2.0

package near_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/near"
)

func TestWord(t *testing.T) {
	words := []string{"386", "amd64", "arm", "arm64", "trivy", "grype"}
	for mistyped, want := range map[string]string{
		"amr64": "arm64", "amd46": "amd64", "trivvy": "trivy", "rgype": "grype", "grpe": "grype", "sparc64": "", "": "", "x": "",
		strings.Repeat("arm64", 100): "",
	} {
		if got := near.Word(mistyped, words); got != want {
			t.Errorf("%q: %q, want %q", mistyped, got, want)
		}
	}
}
