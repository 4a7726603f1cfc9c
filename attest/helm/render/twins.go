// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Helm's loader finds the charts in charts/ in any order, another one each time,
// and where two have one name it renders, and installs, the one or the other, or
// of some files both. What was looked at here need not be what is installed: so
// there must be no such two.

// checkChoice wants one chart for each dependency, before they are chosen.
func checkChoice(c *chart.Chart) error {
	for _, want := range c.Metadata.Dependencies {
		n := 0
		for _, have := range c.Dependencies() {
			if want != nil && have.Name() == want.Name && chartutil.IsCompatibleRange(want.Version, have.Metadata.Version) {
				n++
			}
		}
		if n > 1 {
			return fmt.Errorf("two charts in charts/ are %s %s, and nobody can say which is installed (hint: helm dependency build, then helm package)", want.Name, want.Version)
		}
	}
	for _, d := range c.Dependencies() {
		if err := checkChoice(d); err != nil {
			return err
		}
	}
	return nil
}

// checkTwins wants each chart that is rendered to have a name of its own. One that
// is there twice under one name, and is the same, is no matter.
func checkTwins(c *chart.Chart) error {
	seen := make(map[string]*chart.Chart)
	for _, d := range c.Dependencies() {
		if twin := seen[d.Name()]; twin != nil && !slices.Equal(twin.Raw, d.Raw) {
			return fmt.Errorf("%s is there twice, and nobody can say which is installed (hint: dependencies in Chart.yaml with an alias each)", d.ChartFullPath())
		}
		seen[d.Name()] = d
		if err := checkTwins(d); err != nil {
			return err
		}
	}
	return nil
}
