// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	helmregistry "helm.sh/helm/v3/pkg/registry"

	"github.com/hallmark-dev/hallmark/attest"
)

// entry is a member of a chart's archive.
type entry struct {
	name, content string
	kind          byte
	link          string
}

const chartYAML = "apiVersion: v2\nname: app\nversion: 1.2.3\ndescription: an app\nhome: https://app.example\nsources: [https://src.example]\n" +
	"maintainers: [{name: Ann, email: a@example}, {name: Bob}]\nannotations: {acme.example/team: release, org.opencontainers.image.title: forged}\n"

var packedAt = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// archiveOf packs a chart, without any of helm's care.
func archiveOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestSpeed) // bombs take long otherwise
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(zipped)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.content)), Mode: 0o644, Typeflag: e.kind, Linkname: e.link, ModTime: packedAt}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func good() []entry {
	return []entry{{name: "app/Chart.yaml", content: chartYAML}, {name: "app/values.yaml", content: "image: nginx:1\n"},
		{name: "app/templates/pod.yaml", content: "apiVersion: v1\nkind: Pod\n"}}
}

func TestRead(t *testing.T) {
	c, err := Read(archiveOf(t, good()...))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "app" || c.Version != "1.2.3" || c.FileName() != "app-1.2.3.tgz" || !c.Newest.Equal(packedAt) || c.Digest != attest.DigestOf(c.Archive) {
		t.Errorf("%+v", c)
	}
	if c.CheckFileName("app-1.2.3.tgz") != nil || !errors.Is(c.CheckFileName("app-1.2.4.tgz"), ErrChart) {
		t.Error("file names")
	}
	message, err := c.Message()
	if err != nil {
		t.Fatal(err)
	}
	text, err := attest.ChartReport{Name: c.Name, Version: c.Version, Message: message}.ProvenanceMessage(c.Digest)
	if err != nil || !strings.Contains(text, "name: app\n") || !strings.HasSuffix(text, "\n...\nfiles:\n  app-1.2.3.tgz: "+string(c.Digest)+"\n") {
		t.Errorf("%q, %v", text, err)
	}
}

// What no honest `helm package` writes is refused, and says what it is.
func TestBadArchives(t *testing.T) {
	many := good()
	for i := range 10_000 {
		many = append(many, entry{name: fmt.Sprintf("app/files/%d", i)})
	}
	zeros := strings.Repeat("\x00", maxFile)
	bomb := good()
	for i := range maxExpanded/maxFile + 1 {
		bomb = append(bomb, entry{name: fmt.Sprintf("app/%d", i), content: zeros})
	}
	inner := archiveOf(t, entry{name: "sub/../../x", content: "x"})
	innerBomb := archiveOf(t, bomb[3:]...)
	deep := archiveOf(t, entry{name: "app/Chart.yaml", content: chartYAML})
	for range maxNested + 1 {
		deep = archiveOf(t, entry{name: "app/Chart.yaml", content: chartYAML}, entry{name: "app/charts/app.tgz", content: string(deep)})
	}
	with := func(e ...entry) []byte { return archiveOf(t, append(good(), e...)...) }
	replaced := func(old, fresh string) []byte {
		all := good()
		all[0].content = strings.Replace(chartYAML, old, fresh, 1)
		return archiveOf(t, all...)
	}
	for name, tc := range map[string]struct {
		archive []byte
		says    string
	}{
		"no archive":                {[]byte("apiVersion: v2"), "not a gzipped tar"},
		"empty":                     {nil, "not a gzipped tar"},
		"no files":                  {archiveOf(t), "no file in it"},
		"cut off":                   {with()[:100], "not a"},
		"too large":                 {make([]byte, MaxArchiveBytes+1), "the limit is"},
		"parent folder":             {with(entry{name: "app/../../etc/passwd"}), "leaves the chart's folder"},
		"parent at the start":       {with(entry{name: "../app/x"}), "leaves the chart's folder"},
		"absolute":                  {with(entry{name: "/app/x"}), "leaves the chart's folder"},
		"spelled otherwise":         {with(entry{name: "app/./x"}), "not written plainly"},
		"Windows":                   {with(entry{name: `app\..\x`}), "Windows"},
		"drive":                     {with(entry{name: "app/c:/x"}), "Windows"},
		"control character":         {with(entry{name: "app/x\n.yaml"}), "no path that is accepted"},
		"long path":                 {with(entry{name: "app/" + strings.Repeat("d/", 300) + "x"}), "no path that is accepted"},
		"symbolic link":             {with(entry{name: "app/templates/x", kind: tar.TypeSymlink, link: "/etc/passwd"}), "neither a file nor a folder"},
		"hard link":                 {with(entry{name: "app/x", kind: tar.TypeLink, link: "app/Chart.yaml"}), "neither a file nor a folder"},
		"device":                    {with(entry{name: "app/x", kind: tar.TypeChar}), "neither a file nor a folder"},
		"10,000 files":              {archiveOf(t, many...), "more than 5000 files"},
		"bomb":                      {archiveOf(t, bomb...), "expands to more than"},
		"large file":                {with(entry{name: "app/x", content: zeros + "x"}), "the limit is"},
		"two folders":               {with(entry{name: "other/x"}), "two folders"},
		"a file beside":             {with(entry{name: "x"}), "is in no folder"},
		"twice":                     {with(entry{name: "app/Chart.yaml", content: chartYAML}), "there twice"},
		"another folder":            {archiveOf(t, entry{name: "other/Chart.yaml", content: chartYAML}), `the archive's folder is "other"`},
		"no Chart.yaml":             {archiveOf(t, entry{name: "app/values.yaml", content: "a: 1"}), "Chart.yaml"},
		"no version":                {replaced("version: 1.2.3", "x: y"), "version"},
		"version with a path":       {replaced("1.2.3", "../../1.2.3"), "version"},
		"name with a path":          {replaced("name: app", "name: ../app"), "name"},
		"upper-case name":           {replaced("name: app", "name: App"), "cannot be that of a repository"},
		"no YAML":                   {replaced("apiVersion: v2", "{{"), "Chart.yaml"},
		"missing dependency":        {replaced("description", "dependencies: [{name: redis, version: 1.0.0, repository: https://x}]\ndescription"), "it depends on redis, which charts/ does not have"},
		"bad dependency":            {with(entry{name: "app/charts/sub-1.tgz", content: string(inner)}), "leaves the chart's folder"},
		"dependency that is a bomb": {with(entry{name: "app/charts/sub-1.tgz", content: string(innerBomb)}), "expands to more than"},
		"nested for ever":           {deep, "more than 4 deep"},
		"large Chart.yaml":          {replaced("an app", strings.Repeat("x", maxMetadata)), "the limit is"},
	} {
		c, err := Read(tc.archive)
		if !errors.Is(err, ErrChart) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q (%v)", name, err, tc.says, c != nil)
		}
	}
}

// What is pushed is what Helm's own client pushes, byte for byte, if it is told
// the time.
func TestPackageIsHelms(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(archiveOf(t, good()...))
	if err != nil {
		t.Fatal(err)
	}
	for _, prov := range [][]byte{nil, []byte("-----BEGIN PGP SIGNED MESSAGE-----"), []byte("another one")} {
		options := []helmregistry.PushOption{helmregistry.PushOptCreationTime(packedAt.Format(time.RFC3339))}
		if prov != nil {
			options = append(options, helmregistry.PushOptProvData(prov))
		}
		pushed, err := client.Push(c.Archive, strings.TrimPrefix(server.URL, "http://")+"/charts/app:1.2.3", options...)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := c.Package(prov)
		if err != nil {
			t.Fatal(err)
		}
		if string(pkg.Digest) != pushed.Manifest.Digest {
			t.Errorf("with %q: %s, Helm pushes %s\n%s", prov, pkg.Digest, pushed.Manifest.Digest, pkg.Manifest)
		}
		if !bytes.Contains(pkg.Manifest, []byte(`"org.opencontainers.image.title":"app"`)) {
			t.Errorf("the chart's annotation replaces its name: %s", pkg.Manifest)
		}
	}
	if Tag("1.2.3+build.7") != "1.2.3_build.7" {
		t.Error(Tag("1.2.3+build.7"))
	}
}

func TestFindImages(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	rendered := map[string]string{
		"app/templates/a.yaml": `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  initContainers: [{image: init:1}]
  containers:
  - {image: "registry.example/app@` + digest + `"}
  - {image: shared:1, env: [{name: RELATED_IMAGE_X, value: "quay.example/x/y:2"}, {name: OTHER, value: "quay.example/not:1"}, {name: IMAGE, value: plain}]}
  ephemeralContainers: [{image: debug:1}]
  volumes: [{name: v, image: {reference: "volume:1"}}, {name: w, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {image: "config/not:1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{image: "shared:1"}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: j}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "cron:1"}]}}}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: l}, spec: {template: {spec: {containers: [{image: "listed:1"}]}}}}
`,
		"app/templates/b.yaml": `
apiVersion: db.example/v1
kind: Database
metadata: {name: db}
spec:
  image: "registry.example/db:5"
  sidecar: {exporterImage: "registry.example/exporter:1", image: {repository: x, tag: y}}
  images: ["registry.example/one:1", word]
  note: "registry.example/no:1"
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: x}
spec: {image: "schema/not:1"}
`,
		"app/templates/c.yaml": "{{ not yaml",
		"app/templates/d.yaml": "\n  \n",
		"app/templates/e.yaml": "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 5}]}",
	}
	images, manifests, problems, err := FindImages(rendered)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]attest.ChartImage{}
	for _, i := range images {
		got[i.Reference] = i
	}
	for reference, guessed := range map[string]bool{
		"init:1": false, "registry.example/app@" + digest: false, "shared:1": false, "debug:1": false, "volume:1": false, "cron:1": false, "listed:1": false,
		"quay.example/x/y:2": true, "registry.example/db:5": true, "registry.example/exporter:1": true, "registry.example/one:1": true,
	} {
		if i, ok := got[reference]; !ok || i.Guessed != guessed {
			t.Errorf("%s: found %v, guessed %v", reference, ok, i.Guessed)
		}
		delete(got, reference)
	}
	if len(got) > 0 {
		t.Errorf("also found %v", got)
	}
	for _, i := range images {
		switch i.Reference {
		case "shared:1":
			if len(i.Places) != 2 || i.Canonical != "docker.io/library/shared:1" || i.Pinned {
				t.Errorf("%+v", i)
			}
		case "registry.example/app@" + digest:
			if !i.Pinned || string(i.Digest) != digest || i.Canonical != i.Reference || i.Places[0] != "Pod/p spec.containers[0].image" {
				t.Errorf("%+v", i)
			}
		}
	}
	if manifests != 8 || len(problems) != 2 || !strings.Contains(problems[0], "is not YAML") {
		t.Errorf("%d manifests, %q", manifests, problems)
	}
	var flood strings.Builder
	for i := range MaxImages + 1 {
		fmt.Fprintf(&flood, "---\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'i:%d'}]}\n", i)
	}
	if _, _, _, err := FindImages(map[string]string{"x": flood.String()}); !errors.Is(err, ErrChart) {
		t.Errorf("a flood of images: %v", err)
	}
}

// A chart that is read keeps its promises, whatever the bytes are.
func FuzzRead(f *testing.F) {
	f.Add(archiveOf(f, good()...))
	f.Add(archiveOf(f, entry{name: "app/Chart.yaml", content: chartYAML}, entry{name: "app/charts/sub/Chart.yaml", content: "name: sub\nversion: 1.0.0\n"}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		c, err := Read(archive)
		if err != nil {
			if !errors.Is(err, ErrChart) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		message, err := c.Message()
		if err != nil {
			t.Fatal(err)
		}
		text, err := attest.ChartReport{Name: c.Name, Version: c.Version, Message: message}.ProvenanceMessage(c.Digest)
		if err != nil || strings.Count("\n"+text, "\n...\n") != 1 {
			t.Fatalf("the message cannot be taken apart: %q, %v", text, err)
		}
		if strings.ContainsAny(c.FileName(), "/\\\x00\n") {
			t.Fatalf("file name %q", c.FileName())
		}
	})
}
