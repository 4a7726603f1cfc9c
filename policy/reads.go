// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/google/cel-go/common/ast"
)

// access is one value that an expression reads: a text variable, or the claim under a chain of member names.
type access struct {
	variable string
	steps    []string // empty unless variable is claims
}

// name is how the access is called in a reason: a claim by its path, a variable by its name.
func (a access) name() string {
	if a.variable != varClaims {
		return a.variable
	}
	path := ""
	for _, step := range a.steps {
		path = memberPath(path, step)
	}
	return path
}

// readFinder collects accesses. They only explain a decision; what is decided is CEL's evaluation.
type readFinder struct {
	shadowed []string // loop variables in scope, which hide ours
	found    []access
}

// findReads returns what the expression reads, each once, in the order of the text.
func findReads(root ast.Expr) []access {
	var f readFinder
	f.visit(root)
	return f.found
}

func (f *readFinder) visit(e ast.Expr) {
	if a, ok := f.accessOf(e); ok && (a.variable != varClaims || len(a.steps) > 0) {
		same := func(b access) bool { return a.variable == b.variable && slices.Equal(a.steps, b.steps) }
		if !slices.ContainsFunc(f.found, same) {
			f.found = append(f.found, a)
		}
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		f.visit(e.AsSelect().Operand())
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			f.visit(e.AsCall().Target())
		}
		f.visitAll(e.AsCall().Args())
	case ast.ListKind:
		f.visitAll(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			f.visit(entry.AsMapEntry().Key())
			f.visit(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		f.visitLoop(e.AsComprehension())
	}
}

func (f *readFinder) visitAll(list []ast.Expr) {
	for _, e := range list {
		f.visit(e)
	}
}

func (f *readFinder) visitLoop(loop ast.ComprehensionExpr) {
	f.visit(loop.IterRange())
	f.visit(loop.AccuInit())
	outer := f.shadowed
	f.shadowed = append(slices.Clone(outer), loop.IterVar(), loop.IterVar2(), loop.AccuVar())
	f.visitAll([]ast.Expr{loop.LoopCondition(), loop.LoopStep(), loop.Result()})
	f.shadowed = outer
}

// accessOf recognises a variable, claims.a.b, claims["a"], claims.?a and claims[?"a"].
func (f *readFinder) accessOf(e ast.Expr) (access, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		_, text := textVariables(Input{})[name]
		return access{variable: name}, (text || name == varClaims) && !slices.Contains(f.shadowed, name)
	case ast.SelectKind:
		return f.stepOf(e.AsSelect().Operand(), e.AsSelect().FieldName())
	case ast.CallKind:
		call := e.AsCall()
		if !slices.Contains([]string{"_[_]", "_[?_]", "_?._"}, call.FunctionName()) || call.Args()[1].Kind() != ast.LiteralKind {
			return access{}, false
		}
		if step, ok := call.Args()[1].AsLiteral().Value().(string); ok {
			return f.stepOf(call.Args()[0], step)
		}
	}
	return access{}, false
}

func (f *readFinder) stepOf(operand ast.Expr, step string) (access, bool) {
	a, ok := f.accessOf(operand)
	if !ok || a.variable != varClaims {
		return access{}, false
	}
	return access{variable: varClaims, steps: append(slices.Clone(a.steps), step)}, true
}

// valuesRead renders what the expression reads out of the given variables, `ref is "refs/heads/x", ref_protected is missing`, and
// says whether all of it is there.
func (e *expression) valuesRead(vars map[string]any) (said string, complete bool) {
	complete = true
	var values []string
	for _, a := range e.reads {
		value, ok := a.lookUp(vars)
		if !ok {
			complete = false
			values = append(values, a.name()+" is missing")
			continue
		}
		values = append(values, a.name()+" is "+shownValue(value))
	}
	return listed(values, ", "), complete
}

func (a access) lookUp(vars map[string]any) (any, bool) {
	value, ok := vars[a.variable]
	for _, step := range a.steps {
		object, isObject := value.(map[string]any)
		if !isObject {
			return nil, false
		}
		value, ok = object[step]
	}
	return value, ok
}
