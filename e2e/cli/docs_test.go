// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// root is the module's folder.
const root = "../.."

// fence is a fenced block of a document.
type fence struct {
	file     string
	line     int // of its first line
	language string
	text     string
}

func (f fence) String() string { return fmt.Sprintf("%s:%d", filepath.Base(f.file), f.line) }

// documents returns the README and the manuals by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range append(paths, root+"/README.md") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(raw)
	}
	return texts
}

// readingOrder puts the documents that make something before those that use it:
// the README signs, OPERATIONS makes a deployment.
func readingOrder(path string) string {
	for i, first := range []string{"README.md", "OPERATIONS.md"} {
		if filepath.Base(path) == first {
			return fmt.Sprint(i)
		}
	}
	return "~" + path
}

// fences returns the fenced blocks of a language, in reading order.
func fences(t *testing.T, language string) []fence {
	t.Helper()
	var all []fence
	for path, text := range documents(t) {
		var open *fence
		for i, line := range strings.Split(text, "\n") {
			mark, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case fenced && open == nil:
				open = &fence{file: path, line: i + 2, language: mark}
			case fenced:
				if open.language == language {
					all = append(all, *open)
				}
				open = nil
			case open != nil:
				open.text += line + "\n"
			}
		}
		if open != nil {
			t.Errorf("%s: a block is not closed", open)
		}
	}
	slices.SortStableFunc(all, func(a, b fence) int {
		return strings.Compare(fmt.Sprintf("%s:%06d", readingOrder(a.file), a.line), fmt.Sprintf("%s:%06d", readingOrder(b.file), b.line))
	})
	if len(all) == 0 {
		t.Fatalf("the documents have no block of %s", language)
	}
	return all
}

// shell splits a block into commands: words without comments, with continued
// lines joined. The documents use no quotes.
func shell(t *testing.T, f fence) [][]string {
	t.Helper()
	var all [][]string
	for line := range strings.Lines(strings.ReplaceAll(f.text, "\\\n", " ")) {
		command, _, _ := strings.Cut(line, "#")
		if strings.ContainsAny(command, "'\"$|&;<>`") {
			t.Errorf("%s: this test does not understand %q (hint: write it without shell syntax, or teach the test)", f, line)
			continue
		}
		if words := strings.Fields(command); len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// reader is somebody who types the commands of the documents in order, with
// values of their own: those of a lab.
type reader struct {
	lab    *lab.Lab
	token  string
	dir    string // where they are
	values *strings.Replacer
}

func newReader(t *testing.T) *reader {
	t.Helper()
	l := lab.Start(t, lab.Options{})
	r := &reader{lab: l, token: l.Token(t, devissuer.GitHub), dir: t.TempDir()}
	trustedRoot, err := os.ReadFile(l.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"sbom.spdx.json":    []byte(`{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "packages": []}`),
		"trivy.json":        []byte(`{"SchemaVersion": 2, "ArtifactName": "app", "CreatedAt": "2026-01-31T00:00:00Z", "Results": [{"Class": "os-pkgs"}]}`),
		"hadolint.json":     []byte(`[]`),
		"trusted_root.json": trustedRoot,
		"alice.password":    []byte("correct horse\n"), "bob.password": []byte("battery\n"), "carol.password": []byte("staple\n"),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := l.PushSmall(t, "acme/app", "docs")
	_, digest, _ := strings.Cut(image, "@")
	r.values = strings.NewReplacer(
		"registry.corp.example/acme/app@sha256:…", image,
		"sha256:…", digest,
		"registry.corp.example/", l.Registry+"/",
		"https://token.actions.githubusercontent.com", l.Issuer.URL(devissuer.GitHub),
		"/var/lib/", r.dir+"/",
		"/var/backups/", r.dir+"/",
	)
	r.fetch(t, "v1.checkpoint", "/hallmark/v1/logs/v1/checkpoint")
	return r
}

// fetch keeps a file of the service, as `curl -o` would.
func (r *reader) fetch(t *testing.T, name, path string) {
	t.Helper()
	resp, err := http.Get(r.lab.URL + path) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	content, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// prepareRestore gives the reader what a backup does not have: the password,
// which is kept elsewhere, and checkpoints of a monitor.
func (r *reader) prepareRestore(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(from, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Logs []struct{ Name, Checkpoint string }
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(r.dir, "hallmark", "password"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{filepath.Join(to, "password"): password}
	for _, l := range manifest.Logs {
		files[filepath.Join(r.dir, "monitor", l.Name+".checkpoint")] = []byte(l.Checkpoint)
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCommands runs every command in the documents' shell blocks. A command
// that it does not know is an error: either the documents show something that
// is not there, or this test has to learn it.
func TestCommands(t *testing.T) {
	r := newReader(t)
	ran := 0
	for _, f := range fences(t, "sh") {
		for _, words := range shell(t, f) {
			t.Run(f.String()+" "+strings.Join(words[:min(2, len(words))], " "), func(t *testing.T) {
				ran++
				switch words[0] {
				case "make":
					wantTargets(t, words[1:])
				case "cosign":
					// Stock cosign with these flags is the subject of e2e/sign.
				case "hallmark":
					r.hallmark(t, words[1:])
				case "hallmark-server":
					r.server(t, words[1:])
				default:
					t.Errorf("unknown command %q", words[0])
				}
			})
		}
	}
	if ran < 8 {
		t.Errorf("the documents show %d commands; README and OPERATIONS alone have 8", ran)
	}
}

func (r *reader) replaced(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, r.values.Replace(w))
	}
	return out
}

// hallmark runs a command of the CLI in a CI job.
func (r *reader) hallmark(t *testing.T, words []string) {
	p, err := launch(r.dir, []string{"HOME=" + r.dir, "HALLMARK_URL=" + r.lab.URL, "HALLMARK_ID_TOKEN=" + r.token},
		lab.Program(t, "hallmark"), r.replaced(words)...)
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		_, words := p.output()
		t.Errorf("exit code %d: %s", code, words)
	}
}

// server runs a command of the service; serve is stopped when it is ready.
func (r *reader) server(t *testing.T, words []string) {
	words = r.replaced(words)
	if words[0] == "restore" {
		flags := map[string]string{}
		for i, w := range words[:len(words)-1] {
			flags[w] = words[i+1]
		}
		r.prepareRestore(t, flags["--from"], flags["--dir"])
	}
	p, err := launch(r.dir, nil, lab.Program(t, "hallmark-server"), words...)
	if err != nil {
		t.Fatal(err)
	}
	if words[0] == "serve" {
		serveOnce(t, p)
		return
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		_, words := p.output()
		t.Errorf("exit code %d: %s", code, words)
	}
	if words[0] == "init" { // its default ports may be taken here
		usePorts(t, filepath.Join(r.dir, "hallmark", "hallmark.yaml"))
	}
}

// wantTargets wants the Makefile to have these targets.
func wantTargets(t *testing.T, targets []string) {
	t.Helper()
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if strings.Contains(target, "=") { // a variable
			continue
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).Match(makefile) {
			t.Errorf("the Makefile has no target %s", target)
		}
	}
}

// inline is a command in the middle of a text, with or without arguments.
var inline = regexp.MustCompile("`(make|hallmark|hallmark-server) ([^`]+)`")

// TestInline checks commands that a text mentions: targets exist, and so do
// subcommands and their flags.
func TestInline(t *testing.T) {
	found := 0
	for path, text := range documents(t) {
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			found++
			program, words := m[1], strings.Fields(m[2])
			t.Run(filepath.Base(path)+" "+m[0], func(t *testing.T) {
				if program == "make" {
					wantTargets(t, words[:1])
					return
				}
				wantFlags(t, program, words)
			})
		}
	}
	if found < 20 {
		t.Errorf("found %d commands in the texts; there are more", found)
	}
}

var flag = regexp.MustCompile(`--[a-z-]+`)

// wantFlags asks a subcommand for its help, which must be about it and name
// the flags.
func wantFlags(t *testing.T, program string, words []string) {
	t.Helper()
	path := []string{}
	for _, w := range words {
		if !regexp.MustCompile(`^[a-z]+$`).MatchString(w) {
			break
		}
		path = append(path, w)
	}
	help := lab.Run(t, "", nil, lab.Program(t, program), append(path, "--help")...)
	title := strings.Join(append([]string{program}, path...), " ")
	if help.Code != 0 || !strings.Contains(help.Stdout, "\n  "+title+" ") {
		t.Fatalf("no command %q; its help is:\n%s%s", title, help.Stdout, help.Stderr)
	}
	for _, f := range flag.FindAllString(strings.Join(words, " "), -1) {
		if !strings.Contains(help.Stdout, f+" ") {
			t.Errorf("%s has no flag %s", title, f)
		}
	}
}
