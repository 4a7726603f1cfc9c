// SPDX-License-Identifier: Apache-2.0

package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/helm"
)

func chartOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: "app/" + name, Size: int64(len(files[name])), Mode: 0o644, Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: {{ .Values.image | quote }}}{{ if .Values.debug }}, {image: 'debug:1'}{{ end }}]}\n"

func files(changes map[string]string) map[string]string {
	all := map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n", "values.yaml": "image: app:1\ndebug: true\n", "templates/pod.yaml": pod,
		"templates/NOTES.txt": "notes",
	}
	maps.Copy(all, changes)
	return all
}

func references(r attest.ChartReport) string {
	var all []string
	for _, i := range r.Images {
		all = append(all, i.Reference)
	}
	return strings.Join(all, " ")
}

// Images are those of the defaults and of the values given: nobody leaves one
// out by giving values.
func TestReport(t *testing.T) {
	archive := chartOf(t, files(nil))
	r, err := Report(archive, attest.ChartQuestion{Render: true, Values: []string{"image: app:2\n", "debug: false\n"}, Set: []string{"image=app:3"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := references(r); got != "app:1 app:3 debug:1" || len(r.Renders) != 2*len(variants) || r.Renders[0].Digest != "" || r.Renders[len(variants)].Digest == "" || r.Renders[0].Manifests != 1 {
		t.Errorf("%s, %+v", got, r.Renders)
	}
	r, err = Report(archive, attest.ChartQuestion{Render: true})
	if err != nil || references(r) != "app:1 debug:1" || len(r.Renders) != len(variants) {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Report(archive, attest.ChartQuestion{FileName: "app-1.0.0.tgz"})
	if err != nil || r.Images != nil || !strings.Contains(r.Message, "name: app") {
		t.Errorf("%+v, %v", r, err)
	}
	again, err := Report(archive, attest.ChartQuestion{Render: true})
	if err != nil || references(again) != "app:1 debug:1" {
		t.Errorf("%+v, %v", again, err)
	}
}

// A chart that needs values is rendered with them.
func TestRequiredValues(t *testing.T) {
	archive := chartOf(t, files(map[string]string{"templates/x.yaml": `{{ required "say who" .Values.who }}`}))
	if _, err := Report(archive, attest.ChartQuestion{Render: true}); !errors.Is(err, helm.ErrChart) || !strings.Contains(err.Error(), "say who") {
		t.Errorf("%v", err)
	}
	r, err := Report(archive, attest.ChartQuestion{Render: true, Set: []string{"who=a: b"}})
	if err != nil || !r.Renders[0].Failed || !strings.Contains(r.Renders[0].Problem, "say who") || r.Renders[1].Values != "given" || references(r) != "app:1 debug:1" {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Report(archive, attest.ChartQuestion{Render: true, Anyway: true})
	if err != nil || len(r.Renders) != 1 || !r.Renders[0].Failed || len(r.Images) != 0 {
		t.Errorf("anyway: %+v, %v", r, err)
	}
}

func TestRefusals(t *testing.T) {
	schema := `{"type": "object", "properties": {"image": {"type": "string"}}}`
	for name, tc := range map[string]struct {
		files map[string]string
		q     attest.ChartQuestion
		says  string
	}{
		"another file name": {nil, attest.ChartQuestion{FileName: "app-2.0.0.tgz"}, "Chart.yaml says app-1.0.0.tgz"},
		"values are a list": {nil, attest.ChartQuestion{Values: []string{"[1, 2]"}}, "want a YAML mapping"},
		"values are text":   {nil, attest.ChartQuestion{Values: []string{"word"}}, "want a YAML mapping"},
		"no YAML":           {nil, attest.ChartQuestion{Values: []string{"{{"}}, "want a YAML mapping"},
		"bad --set":         {nil, attest.ChartQuestion{Set: []string{"a[99999999]=1"}}, "--set"},
		"wrong type":        {map[string]string{"values.schema.json": schema}, attest.ChartQuestion{Set: []string{"image.repository=x"}}, "values don't meet the specifications"},
		"too many values":   {nil, attest.ChartQuestion{Values: []string{strings.Repeat(" ", maxValues+1)}}, "the limits are"},
		"library":           {map[string]string{"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\ntype: library\n"}, attest.ChartQuestion{}, "library chart"},
		"no template":       {map[string]string{"templates/x.yaml": "{{ if }}"}, attest.ChartQuestion{}, "templates/x.yaml"},
		"recursion":         {map[string]string{"templates/_h.tpl": `{{ define "r" }}{{ include "r" . }}{{ end }}`, "templates/x.yaml": `{{ include "r" . }}`}, attest.ChartQuestion{}, "nested reference name"},
	} {
		if tc.q.FileName == "" {
			tc.q.Render = true
		}
		if _, err := Report(chartOf(t, files(tc.files)), tc.q); !errors.Is(err, helm.ErrChart) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

// Rendering asks nobody: no cluster, no names, no environment, and no schema
// from elsewhere.
func TestAsksNobody(t *testing.T) {
	t.Setenv("SECRET", "hunter2")
	archive := chartOf(t, files(map[string]string{
		"templates/x.yaml":   "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'a:{{ len (lookup \"v1\" \"Secret\" \"\" \"\") }}{{ getHostByName \"localhost\" }}'}]}\n",
		"values.schema.json": `{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"image": {"$ref": "http://127.0.0.1:9/schema.json"}}}`,
	}))
	r, err := Report(archive, attest.ChartQuestion{Render: true})
	if err != nil || references(r) != "a:0 app:1 debug:1" || !strings.Contains(r.Renders[0].Problem, "schemas elsewhere") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Report(chartOf(t, files(map[string]string{"templates/x.yaml": `{{ env "SECRET" }}`})), attest.ChartQuestion{Render: true}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("env: %v", err)
	}
	for _, where := range []string{`{"$ref": "file:///etc/passwd"}`, `{"$id": "http://127.0.0.1:9/"}`, `{"$schema": "http://127.0.0.1:9/"}`, `{"allOf": [{"$ref": "other.json"}]}`, `{`} {
		r, err := Report(chartOf(t, files(map[string]string{"values.schema.json": where})), attest.ChartQuestion{Render: true})
		if err != nil || !strings.Contains(r.Renders[0].Problem, "schemas elsewhere") {
			t.Errorf("%s: %+v, %v", where, r.Renders, err)
		}
	}
}

// A chart that refers to another image when it is upgraded, or in a newer or
// older cluster, is known for all of them. What depends on what is in the
// cluster is not found.
func TestVariants(t *testing.T) {
	image := func(when, name string) string {
		return "{{ if " + when + " }}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{image: '" + name + ":1'}]}\n{{ end }}"
	}
	for name, tc := range map[string]struct{ template, want string }{
		"an upgrade":                 {image(".Release.IsUpgrade", "evil"), "evil:1"},
		"an upgrade, hidden":         {image(`eq (index $ (print "Rel" "ease") | toJson | sha256sum) ""`, "never") + image(`index $.Release (print "Is" "Upgrade")`, "evil"), "evil:1"},
		"a second revision":          {image("gt (int .Release.Revision) 1", "evil"), "evil:1"},
		"an installation":            {image(".Release.IsInstall", "evil"), "evil:1"},
		"a newer Kubernetes":         {image(`semverCompare ">=1.40-0" .Capabilities.KubeVersion.Version`, "evil"), "evil:1"},
		"the usual Kubernetes":       {image(`semverCompare ">=1.30-0 <1.90-0" .Capabilities.KubeVersion.Version`, "evil"), "evil:1"},
		"an older Kubernetes":        {image(`semverCompare "<1.19-0" .Capabilities.KubeVersion.GitVersion`, "evil"), "evil:1"},
		"an API":                     {image(`.Capabilities.APIVersions.Has "monitoring.coreos.com/v1"`, "evil"), "evil:1"},
		"a resource of an API":       {image("$.Capabilities.APIVersions.Has `example.com/v1/Thing`", "evil"), "evil:1"},
		"without a usual API":        {image(`not (.Capabilities.APIVersions.Has "networking.k8s.io/v1")`, "evil"), "evil:1"},
		"a hook":                     {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: post-upgrade}}\nspec: {template: {spec: {containers: [{image: 'evil:1'}]}}}\n", "evil:1"},
		"what tpl makes":             {"{{ tpl .Values.text $ }}", "evil:1"},
		"what it finds in a cluster": {image(`lookup "v1" "Secret" "default" "x"`, "evil"), ""},
	} {
		archive := chartOf(t, files(map[string]string{
			"templates/pod.yaml": tc.template, "values.yaml": "text: |\n  apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: 'evil:{{ 1 }}'}]}\n",
		}))
		r, err := Report(archive, attest.ChartQuestion{Render: true})
		if err != nil || references(r) != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, references(r), err, tc.want)
		}
	}
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'evil:1'}]}\n"
	r, err := Report(chartOf(t, files(map[string]string{"crds/x.yaml": crd})), attest.ChartQuestion{Render: true})
	if err != nil || references(r) != "app:1 debug:1 evil:1" {
		t.Errorf("crds: %s, %v", references(r), err)
	}
	// What an upgrade refuses is no refusal of the chart.
	r, err = Report(chartOf(t, files(map[string]string{"templates/x.yaml": `{{ if .Release.IsUpgrade }}{{ fail "give the password" }}{{ end }}`})), attest.ChartQuestion{Render: true})
	if err != nil || r.Renders[0].Failed || !r.Renders[1].Failed || !strings.Contains(r.Renders[1].Problem, "give the password") || references(r) != "app:1 debug:1" {
		t.Errorf("an upgrade that fails: %+v, %v", r.Renders, err)
	}
}

// Charts are told the version whose APIs Helm's library has.
func TestUsualKubernetes(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	minor := regexp.MustCompile(`k8s\.io/client-go v0\.(\d+)\.`).FindStringSubmatch(string(mod))
	if minor == nil || usualKubernetes != "v1."+minor[1]+".0" {
		t.Errorf("the usual Kubernetes is %s, client-go is of 1.%v", usualKubernetes, minor)
	}
}

// Values are the same in every rendering, whatever a template does to them.
func TestValuesAreNotChanged(t *testing.T) {
	count := "{{ $_ := set .Values.a \"times\" (add1 .Values.a.times) }}apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'app:{{ .Values.a.times }}'}]}"
	r, err := Report(chartOf(t, files(map[string]string{"templates/pod.yaml": count})), attest.ChartQuestion{Render: true, Values: []string{"a: {times: 1}"}})
	if err != nil || references(r) != "app:2" {
		t.Errorf("%s, %v, %+v", references(r), err, r.Renders)
	}
}

// What is read once counts in every rendering, and bounds are those of all.
func TestFoundInAll(t *testing.T) {
	f := newFound()
	pods := func(from, to int) map[string]string {
		var text strings.Builder
		for i := range to - from {
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'i:%d'}]}\n", from+i)
		}
		return map[string]string{"a.yaml": text.String(), "b.yaml": "no manifest"}
	}
	for range 3 {
		count, problems, err := f.add(pods(0, 200))
		if err != nil || count != 201 || len(problems) != 1 || len(f.all) != 200 {
			t.Errorf("%d manifests, %q, %v, %d images", count, problems, err, len(f.all))
		}
	}
	if _, _, err := f.add(pods(100, 300)); !errors.Is(err, helm.ErrChart) || !strings.Contains(err.Error(), "more than 256 images") {
		t.Errorf("300 images in two renderings: %v", err)
	}
}

// TestTwins: of two dependencies of one name Helm installs the one or the other, as its loader happens to find them.
func TestTwins(t *testing.T) {
	sub := func(folder, version, rest string) map[string]string {
		return map[string]string{"charts/" + folder + "/Chart.yaml": "apiVersion: v2\nname: sub\nversion: " + version + "\n", "charts/" + folder + "/" + rest: "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'of-" + folder + ":1'}]}\n"}
	}
	both := func(listed, first, second, file string) map[string]string {
		all := sub("a", first, file)
		maps.Copy(all, sub("b", second, file))
		all["Chart.yaml"] = "apiVersion: v2\nname: app\nversion: 1.0.0\n" + listed
		return files(all)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		says  string // of a refusal
		finds string
	}{
		"the same version":      {both("", "1.0.0", "1.0.0", "templates/x.yaml"), "charts/sub is there twice", ""},
		"other versions":        {both("", "1.0.0", "2.0.0", "templates/x.yaml"), "charts/sub is there twice", ""},
		"resource definitions":  {both("", "1.0.0", "2.0.0", "crds/x.yaml"), "charts/sub is there twice", ""},
		"either will do":        {both("dependencies: [{name: sub, version: '*', alias: x}]\n", "1.0.0", "2.0.0", "templates/x.yaml"), "two charts in charts/ are sub", ""},
		"told apart by aliases": {both("dependencies: [{name: sub, version: 1.x, alias: x}, {name: sub, version: 2.x, alias: y}]\n", "1.0.0", "2.0.0", "templates/x.yaml"), "", "app:1 debug:1 of-a:1 of-b:1"},
		"one, by two aliases": {files(func() map[string]string {
			all := sub("a", "1.0.0", "templates/x.yaml")
			all["Chart.yaml"] = "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.x, alias: x}, {name: sub, version: 1.x, alias: y}]\n"
			return all
		}()), "", "app:1 debug:1 of-a:1"},
	} {
		r, err := Report(chartOf(t, tc.files), attest.ChartQuestion{Render: true})
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) || references(r) != tc.finds {
			t.Errorf("%s: %v, %q", name, err, references(r))
		}
	}
}

// TestTooManyForUpgrade: what is rendered for an upgrade and is more than is read hides images, and an upgrade would have them.
func TestTooManyForUpgrade(t *testing.T) {
	r, err := Report(chartOf(t, files(map[string]string{
		"templates/x.yaml": "{{ if .Release.IsUpgrade }}apiVersion: v1\nkind: Pod\nspec:\n  containers:\n{{ range $i := until 300 }}  - image: more:{{ $i }}\n{{ end }}{{ end }}",
	})), attest.ChartQuestion{Render: true})
	if err != nil || r.Renders[0].Unread != "" {
		t.Fatalf("%v, %+v", err, r.Renders)
	}
	if !slices.ContainsFunc(r.Renders, func(one attest.ChartRender) bool { return strings.Contains(one.Unread, "more than 256 images") }) {
		t.Errorf("%+v", r.Renders)
	}
}
