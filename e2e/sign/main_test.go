// SPDX-License-Identifier: Apache-2.0

// Package sign tests the main job of Hallmark as its users see it: real
// programs, real registries, stock cosign.
package sign

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	appWorkflow   = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	otherWorkflow = "https://github.com/acme/other/.github/workflows/release.yml@refs/heads/main"
)

// genesis is how many entries a v1 log begins with: its own first one, so that
// clients which prove growth have something to begin with.
const genesis = 1

func TestMain(m *testing.M) { lab.Main(m) }

// mustSign signs as the CI job of the token and returns the receipt.
func mustSign(t testing.TB, l *lab.Lab, token, image string) signer.Receipt {
	t.Helper()
	return receipt(t, l.Hallmark(t, token, "sign", image, "-o", "json"))
}

// mustAttest attests a predicate as the CI job of the token.
func mustAttest(t testing.TB, l *lab.Lab, token, image, kind, predicate string) signer.Receipt {
	t.Helper()
	path := t.TempDir() + "/predicate.json"
	if err := os.WriteFile(path, []byte(predicate), 0o600); err != nil {
		t.Fatal(err)
	}
	return receipt(t, l.Hallmark(t, token, "attest", image, "--type", kind, "--predicate", path, "-o", "json"))
}

func receipt(t testing.TB, r lab.Result) signer.Receipt {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("exit code %d: %s", r.Code, r.Stderr)
	}
	var got signer.Receipt
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
