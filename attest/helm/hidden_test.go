// SPDX-License-Identifier: Apache-2.0

package helm

import "testing"

// TestHiddenImages: what Helm installs is found, however it is written, or else said not to be readable.
func TestHiddenImages(t *testing.T) {
	const spec = `spec: {template: {spec: {containers: [{image: "hidden:1"}]}}}`
	for name, text := range map[string]string{
		"items without kind":      "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- {metadata: {name: d}, " + spec + "}",
		"a list by another name":  "apiVersion: v1\nkind: ConfigMap\nitems:\n- {apiVersion: apps/v1, kind: Deployment, " + spec + "}",
		"behind dashes":           "# nothing\n---apiVersion: apps/v1\nkind: Deployment\n" + spec,
		"a key twice":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {labels: {a: b, a: c}}\n" + spec,
		"a key that is no text":   "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {1: 2, containers: [{3: 4, image: \"hidden:1\"}]}}}",
		"after a broken manifest": "a: [\n---\napiVersion: apps/v1\nkind: Deployment\n" + spec,
		"an empty group":          "apiVersion: /v1\nkind: Pod\nspec: {containers: [{image: \"hidden:1\"}]}",
		"a comment behind dashes": "--- # a\napiVersion: apps/v1\nkind: Deployment\n" + spec,
	} {
		images, _, _, err := FindImages(map[string]string{"x": text})
		if err != nil || len(images) != 1 || images[0].Reference != "hidden:1" || images[0].Guessed {
			t.Errorf("%s: %+v, %v", name, images, err)
		}
	}
	for name, text := range map[string]string{
		"no kind":                "apiVersion: apps/v1\n" + spec,
		"no group":               "kind: Deployment\n" + spec,
		"no pod":                 "apiVersion: apps/v1\nkind: Deployment\nspec: []",
		"containers are no list": "apiVersion: v1\nkind: Pod\nspec: {containers: {image: x}}",
		"a container is a text":  "apiVersion: v1\nkind: Pod\nspec: {containers: [x]}",
		"broken":                 "a: [",
	} {
		if _, _, problems, err := FindImages(map[string]string{"x": text}); err != nil || len(problems) != 1 {
			t.Errorf("%s: %q, %v", name, problems, err)
		}
	}
}
