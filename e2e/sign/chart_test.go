// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"io"
	"os"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/registry"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// pushChart makes a chart, pushes it with Helm's own client and returns its
// reference by digest.
func pushChart(t *testing.T, l *lab.Lab) string {
	t.Helper()
	dir := t.TempDir()
	path, err := chartutil.Create("app", dir)
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := chartutil.Save(chart, dir)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := client.Push(packed, l.Registry+"/acme/charts/app:"+chart.Metadata.Version)
	if err != nil {
		t.Fatal(err)
	}
	return l.Registry + "/acme/charts/app@" + pushed.Manifest.Digest
}

// TestChart: a Helm chart in the registry is signed and attested like an
// image.
func TestChart(t *testing.T) {
	l := lab.Start(t, lab.Options{Registry: stock.Registry(t).Host})
	token := l.Token(t, devissuer.GitLab, "project_path=acme/app")
	chart := pushChart(t, l)
	signed := mustSign(t, l, token, chart)
	if signed.Kind != "chart" {
		t.Errorf("the chart was signed as %q", signed.Kind)
	}
	attested := mustAttest(t, l, token, chart, "cyclonedx", `{"bomFormat": "CycloneDX", "specVersion": "1.6"}`)
	issuer := l.Issuer.URL(devissuer.GitLab)
	for _, version := range cosigns {
		for _, args := range [][]string{
			{"verify", "--certificate-identity", signed.Identity, "--certificate-oidc-issuer", issuer},
			{"verify-attestation", "--type", "cyclonedx", "--certificate-identity", attested.Identity, "--certificate-oidc-issuer", l.URL},
		} {
			args = append(args, "--trusted-root", l.TrustedRoot(), chart)
			if r := (stock.Command{Tool: version}).Run(t, args...); r.Code != 0 {
				t.Errorf("%s %s: %s", version, args[0], r.Stderr)
			}
		}
	}
	r := l.Hallmark(t, "", "verify", chart, "--certificate-identity", signed.Identity, "--certificate-oidc-issuer", issuer)
	if r.Code != 0 {
		t.Errorf("hallmark verify: %s", r.Stderr)
	}
}
