// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// spdx is the first line of every Go file.
const spdx = "// SPDX-License-Identifier: Apache-2.0"

// source is one Go file of the module.
type source struct {
	path  string // slash-separated, relative to the module
	dir   string
	test  bool
	lines int
	spdx  bool
	ast   *ast.File
}

// readSources parses all Go files of the module in fsys, whatever their build
// tags, leaving out testdata, hidden folders and nested modules.
func readSources(fsys fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && leaveOut(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		s, err := readSource(fsys, name)
		if err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

func leaveOut(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func readSource(fsys fs.FS, name string) (source, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return source{}, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{
		path:  name,
		dir:   path.Dir(name),
		test:  strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(b, []byte("\n")),
		spdx:  bytes.HasPrefix(b, []byte(spdx+"\n\n")),
		ast:   f,
	}, nil
}

// checkSources returns a sentence for each file that breaks a habit.
func checkSources(files []source, rules []callRule) []string {
	var wrong []string
	for _, s := range files {
		if !s.spdx {
			wrong = append(wrong, fmt.Sprintf("%s: the first line must be %q, then a blank line: the file must tell its license when copied", s.path, spdx))
		}
		if s.test {
			continue
		}
		if s.lines > maxLines {
			wrong = append(wrong, fmt.Sprintf("%s: %d lines, at most %d: split it by noun", s.path, s.lines, maxLines))
		}
		if s.ast.Name.Name != "main" {
			wrong = append(wrong, checkCalls(s, rules)...)
		}
	}
	return append(wrong, checkComments(files)...)
}

// checkComments wants one comment per package that starts in the standard way.
// A package of tests only has it in a test file.
func checkComments(files []source) []string {
	comments := map[string]int{} // by folder
	for _, s := range files {
		if _, known := comments[s.dir]; !known {
			comments[s.dir] = 0
		}
		if s.ast.Doc == nil {
			continue
		}
		start := "Package " + s.ast.Name.Name + " "
		if s.ast.Name.Name == "main" {
			start = "Command " + path.Base(s.dir) + " "
		}
		if strings.HasPrefix(strings.ReplaceAll(s.ast.Doc.Text(), "\n", " "), start) {
			comments[s.dir]++
		}
	}
	var wrong []string
	for dir, n := range comments {
		if n == 0 {
			wrong = append(wrong, dir+": no package comment (\"Package name …\" or \"Command name …\"): it teaches what the room is for")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// checkCalls finds calls through the names under which a file imports packages.
func checkCalls(s source, rules []callRule) []string {
	var wrong []string
	for _, rule := range rules {
		if !slices.Contains(rule.from, ".") && !slices.Contains(rule.from, s.dir) {
			continue
		}
		for pkg, functions := range rule.calls {
			name, imported := importName(s.ast, pkg)
			if !imported {
				continue
			}
			if functions == nil {
				wrong = append(wrong, fmt.Sprintf("%s: imports %s: %s", s.path, pkg, rule.why))
				continue
			}
			for _, used := range selected(s.ast, name) {
				if slices.Contains(functions, used) {
					wrong = append(wrong, fmt.Sprintf("%s: %s.%s: %s", s.path, pkg, used, rule.why))
				}
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

func importName(f *ast.File, pkg string) (name string, imported bool) {
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil || p != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name, true
		}
		return path.Base(pkg), true
	}
	return "", false
}

// selected lists the X of every name.X in a file, called or only mentioned: a
// function that is passed on is called by somebody.
func selected(f *ast.File, name string) []string {
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
				out = append(out, sel.Sel.Name)
			}
		}
		return true
	})
	return out
}

// checkVersions wants a package variable named version in every program: the
// Makefile's stamp for a variable that does not exist is silently lost.
func checkVersions(files []source) []string {
	stamped := map[string]bool{}
	for _, s := range files {
		if s.test || s.ast.Name.Name != "main" || !strings.HasPrefix(s.dir, "cmd/") {
			continue
		}
		stamped[s.dir] = stamped[s.dir] || declaresVersion(s.ast)
	}
	var wrong []string
	for dir, ok := range stamped {
		if !ok {
			wrong = append(wrong, dir+": no `var version = \"devel\"`: the build's version stamp would be lost")
		}
	}
	slices.Sort(wrong)
	return wrong
}

func declaresVersion(f *ast.File) bool {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if ok && slices.ContainsFunc(v.Names, func(id *ast.Ident) bool { return id.Name == "version" }) {
				return true
			}
		}
	}
	return false
}
