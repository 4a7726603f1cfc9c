// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestManual runs every command of docs/CHARTS.md, in order.
func TestManual(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	token := appToken(t, l)
	signImages(t, l, token, []string{"app", "cache"}, nil)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "app"), os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"values.yaml", "charts/cache/values.yaml"} {
		path := filepath.Join(dir, "app", file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, strings.ReplaceAll(string(text), "REGISTRY", l.Registry))
	}
	manual, err := os.ReadFile("../../docs/CHARTS.md")
	if err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("registry.corp.example", l.Registry, "https://token.actions.githubusercontent.com", l.Issuer.URL(devissuer.GitHub),
		" trusted_root.json", " "+l.TrustedRoot(), " app-1.2.3.tgz", " "+dir+"/app-1.2.3.tgz", "pubring.gpg", dir+"/pubring.gpg")
	ran := 0
	for _, block := range strings.Split(string(manual), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			ran++
			command, into, _ := strings.Cut(values.Replace(strings.TrimSpace(line)), " > ")
			words := strings.Fields(command)
			var r lab.Result
			switch words[0] {
			case "hallmark":
				r = l.Hallmark(t, token, words[1:]...)
			case "helm", "cosign":
				tool := strings.Replace(words[0], "cosign", stock.CosignV3, 1)
				if words[1] == "pull" {
					words = append(words, "--plain-http")
				}
				got := stock.Command{Tool: tool, Dir: dir}.Run(t, words[1:]...)
				r = lab.Result{Code: got.Code, Stdout: got.Stdout, Stderr: got.Stderr}
			default:
				t.Fatalf("unknown command %q", line)
			}
			wantLab(t, line, r, 0)
			if into != "" {
				writeFile(t, into, r.Stdout)
			}
		}
	}
	if ran < 10 {
		t.Errorf("the manual has %d commands", ran)
	}
}
