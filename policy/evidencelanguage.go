// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// The part of the language that is about evidence. Each kind of evidence is a typed object, so that a misspelt member does not compile;
// members are read by the functions in this file, without reflection and without maps, because a scan may have thousands of findings.

// The variables of evidence. Only those that a requirement asks for are declared where it is compiled.
const (
	varSBOM       = "evidence.sbom"
	varScan       = "evidence.scan"
	varTests      = "evidence.tests"
	varProvenance = "evidence.provenance"
)

// evidenceLimits bound one condition over evidence. A hundred thousand findings, the most that are read of a scan, can be looped over
// four times, and no loop is in a loop over findings.
var evidenceLimits = limits{estimate: estimateLimit, steps: 400_000}

// object is a type of the language whose values are pointers to the Go type T.
type object struct {
	celType *types.Type
	fields  map[string]*types.FieldType
	names   []string // sorted
}

// field declares a member; read gets the Go value that the object stands for.
func field[T any](t *types.Type, read func(*T) any) *types.FieldType {
	get := func(target any) (any, error) {
		v, ok := target.(*T)
		if !ok {
			return nil, fmt.Errorf("unexpected %T", target)
		}
		return read(v), nil
	}
	return &types.FieldType{Type: t, GetFrom: get, IsSet: func(target any) bool { _, ok := target.(*T); return ok }}
}

func newObject(name string, fields map[string]*types.FieldType) *object {
	o := &object{celType: types.NewObjectType("hallmark." + name), fields: fields}
	for name := range fields {
		o.names = append(o.names, name)
	}
	slices.Sort(o.names)
	return o
}

var (
	findingType = newObject("Finding", map[string]*types.FieldType{
		"id":         field(types.StringType, func(f *judged) any { return f.ID }),
		"kind":       field(types.StringType, func(f *judged) any { return cmp.Or(f.Kind, findingVulnerability) }),
		"place":      field(types.StringType, func(f *judged) any { return f.Place }),
		"aliases":    field(types.NewListType(types.StringType), func(f *judged) any { return f.Aliases }),
		"package":    field(types.StringType, func(f *judged) any { return f.Package }),
		"version":    field(types.StringType, func(f *judged) any { return f.Version }),
		"purl":       field(types.StringType, func(f *judged) any { return f.PURL }),
		"fixed":      field(types.NewListType(types.StringType), func(f *judged) any { return f.Fixed }),
		"fixState":   field(types.StringType, func(f *judged) any { return f.FixState }),
		"fixable":    field(types.BoolType, func(f *judged) any { return f.fixable() }),
		"severity":   field(types.StringType, func(f *judged) any { return f.Severity }),
		"score":      field(types.DoubleType, func(f *judged) any { return f.Score }),
		"tool":       field(types.StringType, func(f *judged) any { return f.Tool }),
		"suppressed": field(types.BoolType, func(f *judged) any { return f.Suppressed }),
		"excused":    field(types.BoolType, func(f *judged) any { return f.excuse != "" }),
		"excuse":     field(types.StringType, func(f *judged) any { return f.excuse }),
	})
	scanType = newObject("Scan", map[string]*types.FieldType{
		"tools":    field(types.NewListType(types.StringType), func(s *scanView) any { return s.tools }),
		"age":      field(types.DurationType, func(s *scanView) any { return s.age }),
		"findings": field(types.NewListType(findingType.celType), func(s *scanView) any { return s.list(s.findings) }),
		"embedded": field(types.BoolType, func(s *scanView) any { return !s.referenced }),
	})
	sbomType = newObject("SBOM", map[string]*types.FieldType{
		"format":   field(types.StringType, func(s *sbomView) any { return s.format }),
		"version":  field(types.StringType, func(s *sbomView) any { return s.version }),
		"packages": field(types.IntType, func(s *sbomView) any { return int64(s.packages) }),
		"embedded": field(types.BoolType, func(s *sbomView) any { return s.embedded }),
	})
	testsType = newObject("Tests", map[string]*types.FieldType{
		"result": field(types.StringType, func(t *TestResult) any { return t.Result }),
		"passed": field(types.IntType, func(t *TestResult) any { return int64(t.Passed) }),
		"warned": field(types.IntType, func(t *TestResult) any { return int64(t.Warned) }),
		"failed": field(types.IntType, func(t *TestResult) any { return int64(t.Failed) }),
	})
	provenanceType = newObject("Provenance", map[string]*types.FieldType{
		"builder":    field(types.StringType, func(p *Provenance) any { return p.Builder }),
		"buildType":  field(types.StringType, func(p *Provenance) any { return p.BuildType }),
		"source":     field(types.StringType, func(p *Provenance) any { return p.Source }),
		"commit":     field(types.StringType, func(p *Provenance) any { return p.Commit }),
		"invocation": field(types.StringType, func(p *Provenance) any { return p.Invocation }),
	})
)

// objects are all of them, by the name of their type.
var objects = objectsByName(findingType, scanType, sbomType, testsType, provenanceType, chartImagesType, chartImageType, chartRenderType)

func objectsByName(all ...*object) map[string]*object {
	byName := make(map[string]*object, len(all))
	for _, o := range all {
		byName[o.celType.TypeName()] = o
	}
	return byName
}

// evidenceTypes is CEL's registry with our objects.
type evidenceTypes struct {
	types.Provider
	types.Adapter
}

// FindStructType implements types.Provider.
func (e evidenceTypes) FindStructType(name string) (*types.Type, bool) {
	if o, ok := objects[name]; ok {
		return types.NewTypeTypeWithParam(o.celType), true
	}
	return e.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (e evidenceTypes) FindStructFieldNames(name string) ([]string, bool) {
	if o, ok := objects[name]; ok {
		return o.names, true
	}
	return e.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (e evidenceTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if o, ok := objects[name]; ok {
		t, ok := o.fields[field]
		return t, ok
	}
	return e.Provider.FindStructFieldType(name, field)
}

// NewValue implements types.Provider. Expressions read evidence, they do not make it.
func (e evidenceTypes) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := objects[name]; ok {
		return types.NewErr("%s cannot be made in an expression", name)
	}
	return e.Provider.NewValue(name, fields)
}

// NativeToValue implements types.Adapter.
func (e evidenceTypes) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case *judged:
		return v
	case *scanView:
		return objectValue{scanType.celType, v}
	case *sbomView:
		return objectValue{sbomType.celType, v}
	case *TestResult:
		return objectValue{testsType.celType, v}
	case *Provenance:
		return objectValue{provenanceType.celType, v}
	case *chartView:
		return objectValue{chartImagesType.celType, v}
	}
	return e.Adapter.NativeToValue(v)
}

// objectValue is an object of evidence as a value of CEL. It has no operations but its members.
type objectValue struct {
	celType *types.Type
	v       any
}

var errNoConversion = errors.New("evidence is read by its members only")

// ConvertToNative implements ref.Val.
func (o objectValue) ConvertToNative(reflect.Type) (any, error) { return nil, errNoConversion }

// ConvertToType implements ref.Val.
func (o objectValue) ConvertToType(t ref.Type) ref.Val { return convert(o.celType, t) }

// Equal implements ref.Val.
func (o objectValue) Equal(other ref.Val) ref.Val { return types.Bool(o.v == other.Value()) }

// Type implements ref.Val.
func (o objectValue) Type() ref.Type { return o.celType }

// Value implements ref.Val.
func (o objectValue) Value() any { return o.v }

func convert(from *types.Type, to ref.Type) ref.Val {
	if to == types.TypeType {
		return from
	}
	return types.NewErr("%v", errNoConversion)
}

// judged is a finding with what VEX says of it. It is its own value of CEL, so that a loop over findings allocates nothing.
type judged struct {
	*Finding
	rank   int // of its severity
	excuse string
}

func (f *judged) fixable() bool { return len(f.Fixed) > 0 && f.FixState == "fixed" }

// ConvertToNative implements ref.Val.
func (f *judged) ConvertToNative(reflect.Type) (any, error) { return nil, errNoConversion }

// ConvertToType implements ref.Val.
func (f *judged) ConvertToType(t ref.Type) ref.Val { return convert(findingType.celType, t) }

// Equal implements ref.Val.
func (f *judged) Equal(other ref.Val) ref.Val { return types.Bool(other.Value() == any(f)) }

// Type implements ref.Val.
func (f *judged) Type() ref.Type { return findingType.celType }

// Value implements ref.Val.
func (f *judged) Value() any { return f }

// scanView is what expressions see of the scans that count.
type scanView struct {
	tools    []string
	age      time.Duration
	findings []ref.Val // *judged
	// referenced says that some report is kept beside its statement.
	referenced bool
	vexUnread  bool
	// kept says which findings are of reports that a newer one of the same run does not replace.
	kept []string
}

func (s *scanView) list(findings []ref.Val) ref.Val {
	return types.NewRefValList(types.DefaultTypeAdapter, findings)
}

// unexcused are the findings that are at least as bad as a level and that nobody excuses.
func (s *scanView) unexcused(level int) []ref.Val {
	var open []ref.Val
	for _, v := range s.findings {
		if f, ok := v.(*judged); ok && f.excuse == "" && f.rank >= level {
			open = append(open, v)
		}
	}
	return open
}

// The helper functions. All take a severity by name, which must be written out.
const (
	fnUnexcused = "unexcused"
	fnAtLeast   = "atLeast"
	fnHasID     = "hasID"
)

func severityArgument(v ref.Val) (int, bool) {
	name, ok := v.Value().(string)
	rank := severityRank(name)
	return rank, ok && rank != unknownRank
}

var errSeverity = errors.New("severity must be one of critical, high, medium, low, negligible, none")

func callUnexcused(scan, level ref.Val) ref.Val {
	s, ok := scan.Value().(*scanView)
	rank, known := severityArgument(level)
	if !ok || !known {
		return types.WrapErr(errSeverity)
	}
	return s.list(s.unexcused(rank))
}

func callAtLeast(finding, level ref.Val) ref.Val {
	f, ok := finding.Value().(*judged)
	rank, known := severityArgument(level)
	if !ok || !known {
		return types.WrapErr(errSeverity)
	}
	return types.Bool(f.rank >= rank)
}

func callHasID(finding, id ref.Val) ref.Val {
	f, ok := finding.Value().(*judged)
	text, isText := id.Value().(string)
	if !ok || !isText {
		return types.NewErr("no such overload")
	}
	if strings.EqualFold(f.ID, text) {
		return types.True
	}
	return types.Bool(slices.ContainsFunc(f.Aliases, func(a string) bool { return strings.EqualFold(a, text) }))
}

// evidenceLanguage returns the environment of a requirement's conditions: that of signing conditions, or what a trust policy has instead,
// and the evidence that is required.
func evidenceLanguage(spec *EvidenceRequirement, others []cel.EnvOption) (*cel.Env, error) {
	options := append(slices.Clone(others), func(e *cel.Env) (*cel.Env, error) {
		ours := evidenceTypes{e.CELTypeProvider(), e.CELTypeAdapter()}
		e, err := cel.CustomTypeAdapter(ours)(e)
		if err != nil {
			return nil, err
		}
		return cel.CustomTypeProvider(ours)(e)
	},
		cel.Function(fnUnexcused, cel.MemberOverload("scan_unexcused", []*cel.Type{scanType.celType, cel.StringType},
			cel.ListType(findingType.celType), cel.BinaryBinding(callUnexcused))),
		cel.Function(fnAtLeast, cel.MemberOverload("finding_at_least", []*cel.Type{findingType.celType, cel.StringType},
			cel.BoolType, cel.BinaryBinding(callAtLeast))),
		cel.Function(fnHasID, cel.MemberOverload("finding_has_id", []*cel.Type{findingType.celType, cel.StringType},
			cel.BoolType, cel.BinaryBinding(callHasID))),
	)
	for _, v := range evidenceVariables {
		if v.asked(spec) {
			options = append(options, cel.Variable(v.variable, v.of.celType))
		}
	}
	return cel.NewEnv(options...)
}

// checkSeverities refuses severities that do not exist before anybody relies on them.
func checkSeverities(root ast.NavigableExpr) error {
	for _, name := range []string{fnUnexcused, fnAtLeast} {
		for _, call := range ast.MatchDescendants(root, ast.FunctionMatcher(name)) {
			args := call.AsCall().Args()
			level := args[len(args)-1]
			if level.Kind() != ast.LiteralKind {
				return fmt.Errorf("%s() needs its severity written out", name)
			}
			if _, known := severityArgument(level.AsLiteral()); !known {
				return fmt.Errorf("%s(): %w", name, errSeverity)
			}
		}
	}
	return nil
}
