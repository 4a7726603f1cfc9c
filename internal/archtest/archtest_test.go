// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the module's folder as seen from this package.
const root = "../.."

func TestImportTable(t *testing.T) {
	g := loadModule(t)
	for _, w := range checkRooms(g, rooms()) {
		t.Error(w)
	}
	for _, w := range checkBans(g, bans()) {
		t.Error(w)
	}
}

func TestSource(t *testing.T) {
	files, err := readSources(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range checkSources(files, callRules()) {
		t.Error(w)
	}
	for _, w := range checkVersions(files) {
		t.Error(w)
	}
}

func loadModule(t *testing.T) graph {
	t.Helper()
	g, err := load(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	// An empty graph would pass every check.
	for _, want := range []string{"internal/archtest", "signer", "go/ast"} {
		if _, ok := g[want]; !ok {
			t.Fatalf("the graph of %d packages lacks %s", len(g), want)
		}
	}
	if len(g.ours()) > len(g)/4 {
		t.Fatalf("%d of %d packages are taken for ours", len(g.ours()), len(g))
	}
	return g
}

// Every row of the table and every ban must be able to fail: each case is the
// smallest graph that breaks one, and the same graph without the last import
// must pass.
func TestEachImportRuleCanFail(t *testing.T) {
	for _, tc := range []struct {
		name  string
		chain []string // each imports the next
		want  string   // part of the sentence
	}{
		{"policy imports ours", []string{"policy", "attest"}, "policy must not import attest"},
		{"attest imports ours", []string{"attest", "policy"}, "attest must not import policy"},
		{"registry client judges", []string{"attest/oci", "policy"}, "attest/oci must not import policy"},
		{"charts know the registry", []string{"attest/helm", "attest/oci"}, "attest/helm must not import attest/oci"},
		{"trust imports ours", []string{"verifier/trust", "attest"}, "verifier/trust must not import attest"},
		{"verifier brings the service", []string{"verifier", "signer"}, "verifier must not import signer"},
		{"admission fetches", []string{"verifier/admission", "attest/oci"}, "verifier/admission must not import attest/oci"},
		{"flow knows a child", []string{"signer", "signer/ca"}, "signer must not import signer/ca"},
		{"sibling", []string{"signer/tsa", "signer/ca"}, "signer/tsa must not import signer/ca"},
		{"child verifies", []string{"signer/identity", "verifier"}, "signer/identity must not import verifier"},
		{"API knows the store", []string{"signer/api", "signer/store"}, "signer/api must not import signer/store"},
		{"store knows the authority", []string{"signer/store/sqlite", "signer/ca"}, "signer/store/sqlite must not import signer/ca"},
		{"KMS knows the flow", []string{"signer/keys/kms", "signer"}, "signer/keys/kms must not import signer"},
		{"log imports ours", []string{"signer/tlog", "attest"}, "signer/tlog must not import attest"},
		{"wire format knows the store", []string{"signer/tlog/rekorv2", "signer/store"}, "signer/tlog/rekorv2 must not import signer/store"},
		{"program ships tests", []string{"cmd/hallmark", "e2e/stock"}, "cmd/hallmark must not import e2e/stock"},
		{"program ships the lab", []string{"cmd/hallmark-server", "internal/lab"}, "cmd/hallmark-server must not import internal/lab"},
		{"deployment links", []string{"deploy/image", "attest"}, "deploy/image must not import attest"},
		{"obs is no leaf", []string{"internal/obs", "signer"}, "internal/obs must not import signer"},
		{"devissuer is no leaf", []string{"internal/devissuer", "signer"}, "internal/devissuer must not import signer"},
		{"archtest is no leaf", []string{"internal/archtest", "attest"}, "internal/archtest must not import attest"},
		{"demo imports a program", []string{"internal/demo", "cmd/hallmark"}, "internal/demo must not import cmd/hallmark"},
		{"e2e imports a program", []string{"e2e", "cmd/hallmark"}, "e2e must not import cmd/hallmark"},
		{"room without a row", []string{"verifier/new", "fmt"}, ""},

		{"server as a library", []string{"signer/ca", "example.com/x", "github.com/sigstore/fulcio/pkg/ca/kmsca"}, "servers, not libraries"},
		{"cosign beyond its layout", []string{"attest/oci", "github.com/sigstore/cosign/v2/pkg/cosign"}, "cosign's other packages"},
		{"cosign 3", []string{"attest/oci", "github.com/sigstore/cosign/v3/pkg/oci"}, "cosign's other packages"},
		{"Kubernetes in the verifier", []string{"verifier", "k8s.io/api/core/v1"}, "only the cluster side"},
		{"controller-runtime in the server", []string{"cmd/hallmark-server", "sigs.k8s.io/controller-runtime"}, "only the cluster side"},
		{"SQL in the CLI", []string{"cmd/hallmark", "signer", "example.com/x", "database/sql"}, "cmd/hallmark -> signer -> example.com/x -> database/sql: every CI job"},
		{"SQLite in the CLI", []string{"cmd/hallmark", "example.com/x", "modernc.org/sqlite/lib"}, "every CI job"},
		{"KMS in the CLI", []string{"cmd/hallmark", "example.com/x", "github.com/aws/aws-sdk-go-v2/service/kms"}, "every CI job"},
		{"KMS beside its room", []string{"signer/ca", "github.com/sigstore/sigstore/pkg/signature/kms/aws"}, "one room speaks"},
		{"KMS by its general entrance", []string{"signer/keys/kms", "github.com/sigstore/sigstore/pkg/signature/kms"}, "runs a program"},
		{"metrics in the CLI", []string{"cmd/hallmark", "internal/obs"}, "every CI job"},
		{"database in the controller", []string{"cmd/hallmark-controller", "example.com/x", "github.com/jackc/pgx/v5"}, "holds no keys"},
		{"keys in the controller", []string{"cmd/hallmark-controller", "signer/keys"}, "holds no keys"},
		{"policy reads files", []string{"policy", "os"}, "are pure"},
		{"statements over the network", []string{"attest", "net/http"}, "are pure"},
		{"flags in a library", []string{"signer/api", "github.com/spf13/cobra"}, "only programs have flags"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				tc.want = tc.chain[0] + " is in no row"
			}
			wrong := check(chainGraph(tc.chain))
			if !strings.Contains(strings.Join(wrong, "\n"), tc.want) {
				t.Errorf("%v gave %q, want %q", tc.chain, wrong, tc.want)
			}
			if tc.name == "room without a row" {
				return
			}
			if wrong := check(chainGraph(tc.chain[:len(tc.chain)-1])); len(wrong) != 0 {
				t.Errorf("%v gave %q, want nothing", tc.chain[:len(tc.chain)-1], wrong)
			}
		})
	}
}

func TestAllowedImports(t *testing.T) {
	for _, chain := range [][]string{
		{"verifier", "attest/oci", "attest"},
		{"verifier/admission", "k8s.io/api/core/v1"},
		{"cmd/hallmark-controller", "sigs.k8s.io/controller-runtime", "database/sql"},
		{"policy", "sigs.k8s.io/yaml"},
		{"policy", "github.com/google/cel-go/cel", "net"},
		{"attest/oci", "github.com/sigstore/cosign/v2/pkg/oci/static"},
		{"signer/store/sqlite", "signer/tlog"},
		{"signer/store/sqlite", "modernc.org/sqlite"},
		{"signer/tlog/rekorv2", "signer/tlog"},
		{"signer/tlog/rekorv2", "attest"},
		{"cmd/hallmark-server", "signer/store", "database/sql"},
		{"e2e/cluster", "k8s.io/client-go/kubernetes"},
	} {
		if wrong := check(chainGraph(chain)); len(wrong) != 0 {
			t.Errorf("%v gave %q, want nothing", chain, wrong)
		}
	}
}

// A rule about a room whose name was misspelt would never fire.
func TestEveryRowIsReachedByItsOwnCase(t *testing.T) {
	for _, r := range rooms() {
		name := strings.TrimSuffix(r.pattern, "/...")
		if r.pattern != name {
			name += "/some"
		}
		row, ok := rowOf(rooms(), name)
		if !ok || row.pattern != r.pattern {
			t.Errorf("%s is governed by row %q, want %q", name, row.pattern, r.pattern)
		}
		if r.why == "" {
			t.Errorf("row %s gives no reason", r.pattern)
		}
	}
	if row, ok := rowOf(rooms(), "signer/ca"); !ok || row.pattern != "signer/..." {
		t.Errorf("signer/ca is governed by row %q", row.pattern)
	}
}

func check(g graph) []string {
	return append(checkRooms(g, rooms()), checkBans(g, bans())...)
}

func chainGraph(chain []string) graph {
	g := graph{}
	for i, path := range chain {
		g[path] = nil
		if i > 0 {
			g[chain[i-1]] = []string{path}
		}
	}
	return g
}

const header = spdx + "\n\n"

func TestEachSourceRuleCanFail(t *testing.T) {
	for _, tc := range []struct {
		name, path, text, want string
	}{
		{"no license line", "signer/x.go", "// Package signer signs.\npackage signer\n", "the first line must be"},
		{"license line not first", "signer/x.go", "\n" + header + "// Package signer signs.\npackage signer\n", "the first line must be"},
		{"license line in the comment", "signer/x.go", spdx + "\n// Package signer signs.\npackage signer\n", "then a blank line"},
		{"test without license line", "signer/x_test.go", "// Package signer signs.\npackage signer\n", "the first line must be"},
		{"no package comment", "signer/x.go", header + "package signer\n", "signer: no package comment"},
		{"comment of another name", "signer/x.go", header + "// Package sign signs.\npackage signer\n", "signer: no package comment"},
		{"command without comment", "internal/demo/main.go", header + "// Package main is the demo.\npackage main\n", "internal/demo: no package comment"},
		{"too long", "signer/x.go", header + "// Package signer signs.\npackage signer\n" + strings.Repeat("\n", maxLines), "at most 600"},
		{"exit", "signer/x.go", header + "// Package signer signs.\npackage signer\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n", "os.Exit: a library"},
		{"exit passed on", "signer/x.go", header + "// Package signer signs.\npackage signer\n\nimport \"os\"\n\nvar exit = os.Exit\n", "os.Exit: a library"},
		{"exit renamed", "signer/x.go", header + "// Package signer signs.\npackage signer\n\nimport sys \"os\"\n\nfunc f() { sys.Exit(1) }\n", "os.Exit: a library"},
		{"log.Fatal", "signer/x.go", header + "// Package signer signs.\npackage signer\n\nimport \"log\"\n\nfunc f() { log.Fatalf(\"\") }\n", "log.Fatalf: a library"},
		{"flags", "signer/x.go", header + "// Package signer signs.\npackage signer\n\nimport \"flag\"\n\nvar x = flag.Int\n", "imports flag: only programs"},
		{"flags behind a build tag", "signer/x.go", header + "//go:build never\n\n// Package signer signs.\npackage signer\n\nimport \"flag\"\n\nvar x = flag.Int\n", "imports flag: only programs"},
		{"clock in policy", "policy/x.go", header + "// Package policy decides.\npackage policy\n\nimport \"time\"\n\nvar x = time.Now\n", "time.Now: policy"},
		{"no version", "cmd/hallmark/main.go", header + "// Command hallmark signs.\npackage main\n\nfunc main() { version := 1; _ = version }\n", "cmd/hallmark: no `var version"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wrong := checkText(t, fstest.MapFS{tc.path: {Data: []byte(tc.text)}})
			if !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tc.want) }) {
				t.Errorf("got %q, want one with %q", wrong, tc.want)
			}
		})
	}
}

func TestGoodSourcePasses(t *testing.T) {
	wrong := checkText(t, fstest.MapFS{
		"cmd/hallmark/main.go":  {Data: []byte(header + "// Command hallmark signs.\npackage main\n\nimport (\n\t\"flag\"\n\t\"os\"\n)\n\nvar version = \"dev\"\n\nfunc main() { flag.Parse(); os.Exit(0) }\n")},
		"cmd/hallmark/other.go": {Data: []byte(header + "package main\n")},
		"signer/x.go":           {Data: []byte(header + "// Package signer signs.\npackage signer\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nvar (\n\tx = os.Open\n\ty = time.Now\n)\n")},
		"signer/x_test.go":      {Data: []byte(header + "package signer\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n" + strings.Repeat("\n", maxLines))},
		"e2e/x_test.go":         {Data: []byte(header + "// Package e2e tests all.\npackage e2e\n")},
		"e2e/kube/go.mod":       {},
		"e2e/kube/tools.go":     {Data: []byte("package kube\n")},
		"signer/testdata/x.go":  {Data: []byte("not Go")},
		".hidden/x.go":          {Data: []byte("not Go")},
	})
	if len(wrong) != 0 {
		t.Errorf("got %q, want nothing", wrong)
	}
}

func checkText(t *testing.T, fsys fstest.MapFS) []string {
	t.Helper()
	files, err := readSources(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return append(checkSources(files, callRules()), checkVersions(files)...)
}
