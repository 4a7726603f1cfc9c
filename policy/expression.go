// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// expression is a compiled CEL expression that yields true or false, and which values it reads. It is immutable and safe for
// concurrent use.
type expression struct {
	program cel.Program
	reads   []access
	// evidence are the variables of evidence that it reads.
	evidence []string
	limit    limits
}

// compile parses and type-checks a source text and refuses what is certain to be wrong: another type than bool, a pattern that
// matches parts of a text, a worst case beyond the limits.
func compile(language *cel.Env, source string) (*expression, error) {
	return compileWithin(language, source, limits{estimate: estimateLimit, run: runLimit})
}

// limits bound an expression: its estimated worst case, and what an evaluation really does. Exactly one of run, in CEL's units, and steps,
// passes through loops, is set. CEL's count of units takes time that grows with the square of a loop's length, so that expressions over
// thousands of findings are bounded by steps.
type limits struct {
	estimate, run uint64
	steps         uint
}

// exhausted makes CEL's check for an interruption, which it does every limits.steps steps, stop the evaluation the first time.
var exhausted = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// option is the limit as CEL takes it.
func (l limits) option() cel.ProgramOption {
	if l.steps > 0 {
		return cel.InterruptCheckFrequency(l.steps)
	}
	return cel.CostLimit(l.run)
}

// compileWithin is compile with other limits.
func compileWithin(language *cel.Env, source string, limit limits) (*expression, error) {
	checked, issues := language.Compile(source)
	if issues.Err() != nil {
		return nil, compileError(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("yields %s, not bool (hint: compare it, for example == \"true\")", checked.OutputType())
	}
	root := ast.NavigateAST(checked.NativeRep())
	if err := checkPatterns(root); err != nil {
		return nil, err
	}
	if err := checkSeverities(root); err != nil {
		return nil, err
	}
	cost, err := language.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fmt.Errorf("estimate cost: %w", err)
	}
	if cost.Max > limit.estimate {
		return nil, fmt.Errorf("could cost %d units, more than %d (hint: no loop inside a loop over claims or findings)", cost.Max, limit.estimate)
	}
	program, err := language.Program(checked, cel.EvalOptions(cel.OptOptimize), limit.option())
	if err != nil {
		return nil, err
	}
	return &expression{program: program, reads: findReads(root), evidence: findEvidence(root), limit: limit}, nil
}

// compileError puts CEL's complaints, with line and column inside the expression, on one line.
func compileError(issues *cel.Issues) error {
	var complaints []string
	for _, issue := range issues.Errors() {
		complaints = append(complaints, fmt.Sprintf("%d:%d: %s", issue.Location.Line(), issue.Location.Column()+1, issue.Message))
	}
	return errors.New("does not compile: " + listed(complaints, "; "))
}

// checkPatterns refuses matches() with a pattern that is not a literal, or not anchored: in CEL "contains a match" is true.
func checkPatterns(root ast.NavigableExpr) error {
	for _, call := range ast.MatchDescendants(root, ast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		pattern := args[len(args)-1] // text.matches(pattern) or matches(text, pattern)
		if pattern.Kind() != ast.LiteralKind {
			return errors.New("matches() needs its pattern written out: a pattern from a token is the token's author's word")
		}
		text, _ := pattern.AsLiteral().Value().(string)
		if err := checkAnchored(text); err != nil {
			return err
		}
	}
	return nil
}

// sizes tells CEL's cost estimate how large inputs can be. It implements checker.CostEstimator.
type sizes struct{}

// EstimateSize implements checker.CostEstimator. claimValues and variables hold every input to these bounds.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	if longest, ok := chartSize(node.Path()); ok {
		return &checker.SizeEstimate{Min: 0, Max: longest}
	}
	return &checker.SizeEstimate{Min: 0, Max: max(maxClaimText, maxClaimNodes)}
}

// EstimateCallCost implements checker.CostEstimator: CEL's own figures are right, we add no functions.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// evaluate runs the expression. It returns true only if the expression yielded exactly that, and what to say about it: the values it
// read, or why there was no answer.
func (e *expression) evaluate(vars map[string]any) (ok bool, detail string) {
	result, _, err := e.program.ContextEval(exhausted, vars) // which only limits.steps look at
	detail, complete := e.valuesRead(vars)
	if err == nil {
		return result == types.True, detail
	}
	var stopped interpreter.EvalCancelledError
	switch {
	case errors.As(err, &stopped) && stopped.Cause == interpreter.CostLimitExceeded:
		return false, fmt.Sprintf("evaluation reached its cost limit of %d", e.limit.run)
	case errors.Is(err, interpreter.InterruptError{}):
		return false, fmt.Sprintf("evaluation reached its limit of %d steps", e.limit.steps)
	case !complete:
		return false, detail // CEL's "no such key" adds nothing
	case len(err.Error()) > maxShown: // it may quote a claim
		return false, joinDetails(detail, "evaluation failed")
	}
	return false, joinDetails(detail, "evaluation failed: "+shown(err.Error()))
}

func joinDetails(details ...string) string {
	var some []string
	for _, detail := range details {
		if detail != "" {
			some = append(some, detail)
		}
	}
	return strings.Join(some, "; ")
}
