// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// member is a file of a chart's archive.
type member struct{ name, content string }

// archiveOf packs what helm package would not.
func archiveOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, m := range members {
		err := w.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.content)), Mode: 0o644, Typeflag: tar.TypeReg, ModTime: time.Unix(1<<30, 0)})
		if err == nil {
			_, err = io.WriteString(w, m.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// hostile is a chart with one template.
func hostile(t *testing.T, template string) []byte {
	t.Helper()
	return archiveOf(t, member{"app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.2.3\n"}, member{"app/templates/x.yaml", template})
}

// ask sends an archive as no CLI of ours would.
func ask(t *testing.T, l *lab.Lab, token, repository, file string, archive []byte) (status int, answer string) {
	t.Helper()
	query := url.Values{"repository": {repository}, "file": {file}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL+"/hallmark/v1/charts/provenance?"+query.Encode(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/gzip")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestRefusals: who may not, where not, and what not. Nothing of it leaves an
// entry in the log.
func TestRefusals(t *testing.T) {
	l := newLab(t)
	charts := l.Registry + "/acme/charts"
	good := hostile(t, "")
	for _, tc := range []struct {
		name, repository, file string
		token                  string
		archive                []byte
		status                 int
		says                   string
	}{
		{"nobody", charts + "/app", "app-1.2.3.tgz", "", good, http.StatusUnauthorized, "unauthenticated"},
		{"another repository's job", charts + "/app", "app-1.2.3.tgz", l.Token(t, devissuer.GitHub, "repository=acme/other"), good, http.StatusForbidden, "no rule admits this identity"},
		{"a person", charts + "/app", "app-1.2.3.tgz", "Bearer", good, http.StatusUnauthorized, "unauthenticated"},
		{"where no rule is", l.Registry + "/acme/images/app", "app-1.2.3.tgz", appToken(t, l), good, http.StatusForbidden, "repository"},
		{"another registry", "registry.example/acme/charts/app", "app-1.2.3.tgz", appToken(t, l), good, http.StatusForbidden, "foreign-registry"},
		{"another chart's repository", charts + "/payments", "app-1.2.3.tgz", appToken(t, l), good, http.StatusBadRequest, "whose last part is its name"},
		{"another file name", charts + "/app", "app-1.2.4.tgz", appToken(t, l), good, http.StatusUnprocessableEntity, "Chart.yaml says app-1.2.3.tgz"},
		{"a path for a name", charts + "/app", "../app-1.2.3.tgz", appToken(t, l), good, http.StatusUnprocessableEntity, "Chart.yaml says"},
		{"a tag", charts + "/app:1.2.3", "app-1.2.3.tgz", appToken(t, l), good, http.StatusBadRequest, "bad-reference"},
		{"no archive", charts + "/app", "app-1.2.3.tgz", appToken(t, l), []byte("junk"), http.StatusUnprocessableEntity, "not a gzipped tar"},
		{"traversal", charts + "/app", "app-1.2.3.tgz", appToken(t, l), archiveOf(t, member{"app/../../etc/x", "x"}), http.StatusUnprocessableEntity, "leaves the chart's folder"},
		{"too large", charts + "/app", "app-1.2.3.tgz", appToken(t, l), make([]byte, 21<<20), http.StatusRequestEntityTooLarge, "request-too-large"},
		{"an image by a stranger", charts + "/app", "app-1.2.3.tgz", appToken(t, l),
			hostile(t, "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'docker.io/library/nginx:1'}]}\n"), http.StatusForbidden, "docker.io/library/nginx:1 is not signed (it is not in the central registry)"},
	} {
		status, answer := ask(t, l, tc.token, tc.repository, tc.file, tc.archive)
		if status != tc.status || !strings.Contains(answer, tc.says) {
			t.Errorf("%s: %d %s, want %d and %q", tc.name, status, answer, tc.status, tc.says)
		}
	}
	if n := strings.Count(l.Hallmark(t, "", "log", "list", "-o", "json").Stdout, `"size": 1,`); n == 0 {
		t.Errorf("the v1 log has more than its first entry: %s", l.Hallmark(t, "", "log", "list").Stdout)
	}

	// The CLI looks before it asks.
	renamed := filepath.Join(t.TempDir(), "other-1.2.3.tgz")
	writeFile(t, renamed, string(good))
	wantLab(t, "renamed", l.Hallmark(t, appToken(t, l), "chart", "push", renamed, "oci://"+charts), 2, "Chart.yaml says app-1.2.3.tgz")
	wantLab(t, "a tag", l.Hallmark(t, appToken(t, l), "chart", "push", renamed, "oci://"+charts+":1"), 2)
	wantLab(t, "no chart", l.Hallmark(t, appToken(t, l), "chart", "images", "oci://"+l.PushSmall(t, "acme/charts/app", "v1")), 1)
	wantStock(t, "values of the wrong type", helm(t, "template", packaged(t, l.Registry), "--set", "replicas=many"), 1, "replicas")

	// A service without a key says so.
	bare := lab.Start(t, lab.Options{})
	status, answer := ask(t, bare, bare.Token(t, devissuer.GitHub), bare.Registry+"/acme/charts/app", "app-1.2.3.tgz", good)
	if status != http.StatusNotImplemented || !strings.Contains(answer, "charts.pgpKey") {
		t.Errorf("without a key: %d %s", status, answer)
	}
	wantLab(t, "keyring without a key", bare.Hallmark(t, "", "chart", "keyring"), 1, "charts.pgpKey")
}

// TestHostileCharts: templates that do not end by themselves are ended, and the
// service goes on.
func TestHostileCharts(t *testing.T) {
	l := newLab(t)
	var wide strings.Builder
	for i := range 300 {
		fmt.Fprintf(&wide, "---\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'i:%d'}]}\n", i)
	}
	for _, tc := range []struct{ name, template, says string }{
		{"a loop in loops", `{{ range until 100000 }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}`, "not an acceptable chart"},
		{"memory", `{{ $s := "0123456789abcdef" }}{{ range until 40 }}{{ $s = print $s $s }}{{ end }}{{ $s }}`, "not an acceptable chart"},
		{"a flood of images", wide.String(), "more than 256 images"},
	} {
		began := time.Now()
		status, answer := ask(t, l, appToken(t, l), l.Registry+"/acme/charts/app", "app-1.2.3.tgz", hostile(t, tc.template))
		if status != http.StatusUnprocessableEntity || !strings.Contains(answer, tc.says) {
			t.Errorf("%s: %d %s, want %q", tc.name, status, answer, tc.says)
		}
		t.Logf("%s: %s after %s", tc.name, answer, time.Since(began).Round(time.Millisecond))
	}
	// Still there, and with a chart that is none of these.
	if status, answer := ask(t, l, appToken(t, l), l.Registry+"/acme/charts/app", "app-1.2.3.tgz", hostile(t, "")); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, answer)
	}
	if _, err := os.Stat(filepath.Join(l.Dir, "trust", "pubring.gpg")); err != nil {
		t.Error(err)
	}
}
