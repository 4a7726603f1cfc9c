// SPDX-License-Identifier: Apache-2.0

package render

import (
	"regexp"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/hallmark-dev/hallmark/attest"
)

// A template can ask whether it is an upgrade, which version the cluster has and
// which APIs, and refer to another image for each. So a chart is rendered
// several times, and its images are those of all. More than that is in its
// reach: what is in the cluster (lookup), the release's name, the time, chance,
// and values that nobody gave here. An image behind those is not found, and is
// left to the controller, which looks at every image that is going to run.

// variant is one thing that a chart may be told of where it is going.
type variant struct {
	operation  string
	kubernetes string
	apis       string
}

// What a variant's cluster has.
const (
	apisUsual = "usual"
	apisAsked = "asked" // and every one that a template asks for
	apisFew   = "few"
)

// usualKubernetes is the version of which Helm's APIs are: Helm's own programs
// are stamped with it, and its library, which is not, says 1.20.
const usualKubernetes = "v1.37.0"

// variants, that which counts first. The versions are older and newer than
// any that a chart of today compares with.
var variants = []variant{
	{attest.ChartInstall, usualKubernetes, apisUsual},
	{attest.ChartUpgrade, usualKubernetes, apisUsual},
	{attest.ChartInstall, "v1.99.0", apisAsked},
	{attest.ChartUpgrade, "v1.16.0", apisFew},
}

// fewAPIs are those that no cluster is without.
var fewAPIs = chartutil.VersionSet{"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"}

// maxAsked bounds the APIs that are taken out of templates.
const maxAsked = 256

// asksFor finds .Capabilities.APIVersions.Has "monitoring.coreos.com/v1".
var asksFor = regexp.MustCompile("APIVersions\\.Has\\s+[\"`]([^\"`\\s]{1,128})[\"`]")

// capabilities are what the chart is told of the cluster.
func (v variant) capabilities(c *chart.Chart) (*chartutil.Capabilities, error) {
	all := *chartutil.DefaultCapabilities
	switch v.apis {
	case apisAsked:
		all.APIVersions = append(slices.Clone(all.APIVersions), asked(c)...)
	case apisFew:
		all.APIVersions = fewAPIs
	}
	version, err := chartutil.ParseKubeVersion(v.kubernetes)
	if err != nil {
		return nil, err
	}
	all.KubeVersion = *version
	return &all, nil
}

// asked are the APIs that the templates of a chart and its dependencies name.
func asked(c *chart.Chart) []string {
	var all []string
	for _, t := range c.Templates {
		for _, found := range asksFor.FindAllSubmatch(t.Data, maxAsked) {
			if name := string(found[1]); len(all) < maxAsked && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	for _, d := range c.Dependencies() {
		for _, name := range asked(d) {
			if len(all) < maxAsked && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}
