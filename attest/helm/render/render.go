// SPDX-License-Identifier: Apache-2.0

// Package render renders Helm charts.
//
// Helm's template engine runs a chart's program: a template may loop for ever,
// recurse, or build a string that fills the memory, and nothing from outside can
// stop it inside a process. It also links a Kubernetes client, for a function
// that is off here. So this package belongs into a process of its own, which
// does nothing else and ends by limits of the kernel: cmd/hallmark-chart. No
// other program of ours links it.
//
// Rendering asks nobody: there is no cluster to look things up in, no DNS, and
// the schema of values is not fetched from where it says that parts of it are.
package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/helm"
)

// What a chart is told if nobody says otherwise.
const (
	defaultRelease   = "release-name" // as helm template
	defaultNamespace = "default"
)

// maxValues bounds the values of one question, bytes, and how many there are.
const (
	maxValues   = 1 << 20
	maxSettings = 256
)

// Report reads a chart and, if that is asked for, renders it: with its defaults
// and, if values were given, with those, each as for different clusters
// (variants). Images are those of all, so that nobody leaves one out by giving
// values. Errors are helm.ErrChart.
func Report(archive []byte, q attest.ChartQuestion) (attest.ChartReport, error) {
	c, err := helm.Read(archive)
	if err != nil {
		return attest.ChartReport{}, err
	}
	if q.FileName != "" {
		if err := c.CheckFileName(q.FileName); err != nil {
			return attest.ChartReport{}, err
		}
	}
	message, err := c.Message()
	if err != nil {
		return attest.ChartReport{}, err
	}
	out := attest.ChartReport{Name: c.Name, Version: c.Version, Message: message}
	if !q.Render {
		return out, nil
	}
	given, err := valuesOf(q)
	if err != nil {
		return attest.ChartReport{}, err
	}
	images := newFound()
	defaults := renderAll(archive, q, attest.ChartRender{Values: attest.ChartValuesDefaults}, map[string]any{}, images)
	out.Renders = defaults
	if q.HasValues() {
		encoded, err := json.Marshal([]any{q.Values, q.Set})
		if err != nil {
			return attest.ChartReport{}, err
		}
		with := renderAll(archive, q, attest.ChartRender{Values: attest.ChartValuesGiven, Digest: attest.DigestOf(encoded)}, given, images)
		if with[0].Failed {
			return attest.ChartReport{}, fmt.Errorf("%w: with the values given: %s", helm.ErrChart, with[0].Problem)
		}
		out.Renders = append(out.Renders, with...)
	} else if defaults[0].Failed && !q.Anyway {
		return attest.ChartReport{}, fmt.Errorf("%w: with its default values: %s (hint: --values FILE, --set NAME=VALUE)", helm.ErrChart, defaults[0].Problem)
	}
	out.Images = sorted(images.all)
	return out, nil
}

// renderAll renders in every variant, and adds the images. The first that it
// returns is the one that has to succeed. What fails there is not tried again:
// most charts that want values want them always.
func renderAll(archive []byte, q attest.ChartQuestion, r attest.ChartRender, values map[string]any, images *found) []attest.ChartRender {
	var done []attest.ChartRender
	for _, v := range variants {
		done = append(done, one(archive, q, r, v, values, images))
		if done[0].Failed {
			break
		}
	}
	return done
}

// one renders once and adds the images.
func one(archive []byte, q attest.ChartQuestion, r attest.ChartRender, v variant, values map[string]any, images *found) attest.ChartRender {
	r.Operation, r.Kubernetes, r.APIs = v.operation, v.kubernetes, v.apis
	rendered, note, err := render(archive, q, v, values)
	if err != nil {
		r.Failed, r.Problem = true, clip(err.Error())
		return r
	}
	count, problems, err := images.add(rendered)
	if err != nil {
		// It was rendered, as it will be for who installs it, and images are in that.
		r.Failed, r.Problem = true, clip(strings.TrimPrefix(err.Error(), helm.ErrChart.Error()+": "))
		r.Unread = r.Problem
		return r
	}
	r.Manifests, r.Unread = count, clip(strings.Join(problems, "; "))
	if note != "" {
		problems = append(problems, note)
	}
	r.Problem = clip(strings.Join(problems, "; "))
	return r
}

// render makes the manifests, by file. Helm changes the chart while it renders,
// so that each time has its own.
func render(archive []byte, q attest.ChartQuestion, v variant, values map[string]any) (rendered map[string]string, note string, err error) {
	read, err := helm.Read(archive)
	if err != nil {
		return nil, "", err
	}
	c := read.Loaded
	if strings.EqualFold(c.Metadata.Type, "library") {
		return nil, "", fmt.Errorf("it is a library chart, which nobody can install")
	}
	values = copied(values)
	if err := checkChoice(c); err != nil {
		return nil, "", fmt.Errorf("dependencies: %w", err)
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return nil, "", fmt.Errorf("dependencies: %w", err)
	}
	if err := checkTwins(c); err != nil {
		return nil, "", fmt.Errorf("dependencies: %w", err)
	}
	// Loading a schema would ask whoever it names.
	foreign := hasForeignSchema(c)
	if foreign {
		note = "values.schema.json refers to schemas elsewhere; values were not checked against it"
	}
	options := chartutil.ReleaseOptions{Name: or(q.Release, defaultRelease), Namespace: or(q.Namespace, defaultNamespace), Revision: 1, IsInstall: true}
	if v.operation == attest.ChartUpgrade {
		options.Revision, options.IsInstall, options.IsUpgrade = 2, false, true
	}
	capabilities, err := v.capabilities(c)
	if err != nil {
		return nil, "", err
	}
	top, err := chartutil.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, foreign)
	if err != nil {
		return nil, "", err
	}
	rendered, err = engine.Engine{}.Render(c, top) // without a client: lookup finds nothing
	if err != nil {
		return nil, "", err
	}
	for file := range rendered {
		if strings.HasSuffix(file, "NOTES.txt") {
			delete(rendered, file)
		}
	}
	for _, crd := range c.CRDObjects() {
		rendered[crd.Filename] = string(crd.File.Data)
	}
	return rendered, note, nil
}

// hasForeignSchema tells whether a schema of a chart, or of one that it depends
// on, names something outside itself.
func hasForeignSchema(c *chart.Chart) bool {
	var schema any
	if len(c.Schema) > 0 && (json.Unmarshal(c.Schema, &schema) != nil || refersOut(schema)) {
		return true
	}
	for _, d := range c.Dependencies() {
		if hasForeignSchema(d) {
			return true
		}
	}
	return false
}

// standardSchema begins the names of the schemas of schemas, which every
// library has.
const standardSchema = "json-schema.org/"

func refersOut(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			to, isText := member.(string)
			switch {
			case isText && name == "$schema":
				if _, rest, _ := strings.Cut(to, "://"); !strings.HasPrefix(rest, standardSchema) {
					return true
				}
			case isText && (name == "$ref" || name == "$dynamicRef" || name == "$recursiveRef"):
				if !strings.HasPrefix(to, "#") {
					return true
				}
			case isText && (name == "$id" || name == "id") && strings.Contains(to, ":"):
				return true // what "#" is relative to
			}
			if refersOut(member) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if refersOut(item) {
				return true
			}
		}
	}
	return false
}

// valuesOf merges values as helm does: files in their order, then --set.
func valuesOf(q attest.ChartQuestion) (map[string]any, error) {
	size := 0
	for _, text := range append(append([]string{}, q.Values...), q.Set...) {
		size += len(text)
	}
	if size > maxValues || len(q.Values)+len(q.Set) > maxSettings {
		return nil, fmt.Errorf("%w: the values have %d bytes in %d parts, the limits are %d and %d", helm.ErrChart, size, len(q.Values)+len(q.Set), maxValues, maxSettings)
	}
	merged := map[string]any{}
	for i, text := range q.Values {
		var one map[string]any
		if err := yaml.Unmarshal([]byte(text), &one); err != nil {
			return nil, fmt.Errorf("%w: values %d: want a YAML mapping: %s", helm.ErrChart, i+1, clip(err.Error()))
		}
		merged = mergeMaps(merged, one)
	}
	for _, set := range q.Set {
		if err := strvals.ParseInto(set, merged); err != nil {
			return nil, fmt.Errorf("%w: --set %s: %s", helm.ErrChart, clip(set), clip(err.Error()))
		}
	}
	return merged, nil
}

// copied is a copy of values: templates can change what they are given.
func copied(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for name, v := range values {
		out[name] = copiedValue(v)
	}
	return out
}

func copiedValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copied(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copiedValue(item)
		}
		return out
	}
	return v
}

// mergeMaps lays b over a.
func mergeMaps(a, b map[string]any) map[string]any {
	for name, value := range b {
		if inner, ok := value.(map[string]any); ok {
			if below, ok := a[name].(map[string]any); ok {
				a[name] = mergeMaps(below, inner)
				continue
			}
		}
		a[name] = value
	}
	return a
}
