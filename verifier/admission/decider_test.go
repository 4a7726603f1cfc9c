// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// TestDeciderPassesOnWhatGoesWrong: each failure on the way is an error, and an error denies. What goes right needs signatures, and is shown
// on a whole cluster in e2e/cluster.
func TestDeciderPassesOnWhatGoesWrong(t *testing.T) {
	image := policy.Image{Registry: "reg.example", Repository: "app", Digest: digest(1)}
	good := verifier.Registry(registryOf{registry: "reg.example", repository: "app", digest: digest(1)})
	tests := map[string]struct {
		registry verifier.Registry
		want     string
	}{
		"another digest":     {registryOf{registry: "reg.example", repository: "app", digest: digest(2)}, "and was told about"},
		"another repository": {registryOf{registry: "reg.example", repository: "other", digest: digest(1)}, "and was told about"},
		"another registry":   {registryOf{registry: "evil.example", repository: "app", digest: digest(1)}, "and was told about"},
		"registry down":      {registryOf{resolveErr: errors.New("registry is down")}, "registry is down"},
		"referrers fail":     {registryOf{registry: "reg.example", repository: "app", digest: digest(1), bundlesErr: errors.New("half a list")}, "half a list"},
		"no verifier":        {good, "no trusted root"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := NewDecider(test.registry, func(*policy.TrustPolicy) (*verifier.Verifier, error) { return nil, errors.New("no trusted root") })
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Decide(t.Context(), image, []*policy.TrustPolicy{nil})
			if err == nil || !strings.Contains(err.Error(), test.want) || got != nil {
				t.Errorf("got %v, error %v; want an error with %q", got, err, test.want)
			}
		})
	}
}

// registryOf answers every question with the same artifact.
type registryOf struct {
	registry, repository, digest string
	resolveErr, bundlesErr       error
}

func (r registryOf) Resolve(context.Context, string) (oci.Artifact, error) {
	return oci.Artifact{Registry: r.registry, Repository: r.repository, Digest: attest.Digest(r.digest)}, r.resolveErr
}

func (r registryOf) Bundles(context.Context, oci.Artifact) ([]oci.StoredBundle, error) {
	return nil, r.bundlesErr
}
