// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// What conditions see of a chart's images: evidence.chartImages, of the statement that counts.

const varChartImages = "evidence.chartImages"

// Bounds on the statement, above those of what makes it: 256 images with 16 places, rendered eight times. One beyond them is refused, and
// the cost of loops is estimated with them, so that who signed an image can be asked of each.
const (
	maxChartImages  = 512
	maxChartRenders = 64
	maxChartTexts   = 64 // of each list of an image
)

var (
	chartImageType = newObject("ChartImage", map[string]*types.FieldType{
		"reference": field(types.StringType, func(i *ChartImage) any { return i.Reference }),
		"canonical": field(types.StringType, func(i *ChartImage) any { return i.Canonical }),
		"places":    field(types.NewListType(types.StringType), func(i *ChartImage) any { return i.Places }),
		"digest":    field(types.StringType, func(i *ChartImage) any { return i.Digest }),
		"pinned":    field(types.BoolType, func(i *ChartImage) any { return i.Pinned }),
		"signed":    field(types.BoolType, func(i *ChartImage) any { return i.Signed }),
		"signers":   field(types.NewListType(types.StringType), func(i *ChartImage) any { return i.Signers }),
		"guessed":   field(types.BoolType, func(i *ChartImage) any { return i.Guessed }),
		"revoked":   field(types.BoolType, func(i *ChartImage) any { return i.Revoked != "" }),
	})
	chartRenderType = newObject("ChartRender", map[string]*types.FieldType{
		"values":     field(types.StringType, func(r *ChartRender) any { return r.Values }),
		"digest":     field(types.StringType, func(r *ChartRender) any { return r.Digest }),
		"operation":  field(types.StringType, func(r *ChartRender) any { return r.Operation }),
		"kubernetes": field(types.StringType, func(r *ChartRender) any { return r.Kubernetes }),
		"apis":       field(types.StringType, func(r *ChartRender) any { return r.APIs }),
		"manifests":  field(types.IntType, func(r *ChartRender) any { return int64(r.Manifests) }),
		"failed":     field(types.BoolType, func(r *ChartRender) any { return r.Failed }),
	})
	chartImagesType = newObject("ChartImages", map[string]*types.FieldType{
		"images":  field(types.NewListType(chartImageType.celType), func(v *chartView) any { return v.images }),
		"renders": field(types.NewListType(chartRenderType.celType), func(v *chartView) any { return v.renders }),
	})
)

// chartView is what expressions see of a statement about a chart's images.
type chartView struct {
	of              *ChartImages
	images, renders ref.Val
}

func newChartView(c *ChartImages) *chartView {
	images, renders := make([]ref.Val, len(c.Images)), make([]ref.Val, len(c.Renders))
	for i := range c.Images {
		images[i] = objectValue{chartImageType.celType, &c.Images[i]}
	}
	for i := range c.Renders {
		renders[i] = objectValue{chartRenderType.celType, &c.Renders[i]}
	}
	return &chartView{c, types.NewRefValList(types.DefaultTypeAdapter, images), types.NewRefValList(types.DefaultTypeAdapter, renders)}
}

// tooLarge returns what of a statement is beyond the bounds, or "".
func (c *ChartImages) tooLarge() string {
	switch {
	case len(c.Images) > maxChartImages:
		return fmt.Sprintf("it lists %d images, more than %d", len(c.Images), maxChartImages)
	case len(c.Renders) > maxChartRenders:
		return fmt.Sprintf("it was rendered %d times, more than %d", len(c.Renders), maxChartRenders)
	}
	for _, i := range c.Images {
		if len(i.Places) > maxChartTexts || len(i.Signers) > maxChartTexts {
			return fmt.Sprintf("%s has more than %d places or signers", shownBare(i.Reference), maxChartTexts)
		}
	}
	return ""
}

// chartSize is how long a list of evidence.chartImages can be; ok if the path is one.
func chartSize(path []string) (longest uint64, ok bool) {
	if len(path) < 2 || path[0] != varChartImages {
		return 0, false
	}
	switch path[len(path)-1] {
	case "images":
		return maxChartImages, true
	case "renders":
		return maxChartRenders, true
	case "places", "signers":
		return maxChartTexts, true
	}
	return 0, false
}

// describe says what a condition has read, and if it failed which images may be why.
func (v *chartView) describe(failed bool) string {
	said := "the chart refers to " + count(len(v.of.Images), "image")
	if !failed || len(v.of.Images) == 0 {
		return said
	}
	var names []string
	for _, i := range v.of.Images {
		name := shownBare(i.Reference)
		if len(i.Signers) > 0 {
			name += " (by " + strings.Join(bare(i.Signers), ", ") + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return said + ": " + listed(names, ", ")
}

func bare(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = shownBare(t)
	}
	return out
}
