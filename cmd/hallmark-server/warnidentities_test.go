// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// TestMisspeltIdentity: rules for a source that is not configured never hold, and whoever starts the service is told.
func TestMisspeltIdentity(t *testing.T) {
	p, err := policy.ParseSigningPolicy([]byte(`
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- {name: a, identity: githbu, actions: [sign], kinds: [image], repositories: [acme/], conditions: [{name: c, expression: 'claims.repository == "acme/app"', message: m}]}
- {name: b, identity: gitlab, actions: [sign], kinds: [image], repositories: [acme/], conditions: [{name: c, expression: 'claims.repository == "acme/app"', message: m}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	warnAboutIdentities(t.Context(), slog.New(slog.NewTextHandler(&said, nil)), p, []identity.Source{{Name: "github"}, {Name: "gitlab"}})
	got := said.String()
	if strings.Count(got, "level=WARN") != 2 || !strings.Contains(got, "they never hold\" identity=githbu") || !strings.Contains(got, "nothing signed\" identity=github") {
		t.Error(got)
	}
}
