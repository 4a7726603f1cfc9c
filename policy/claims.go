// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds on claims. Tokens are at most 16 KiB, so that real ones stay far below; whoever hands us more is refused, never cut short.
const (
	maxClaimDepth = 16   // objects and lists inside each other
	maxClaimNodes = 4096 // values in all
	maxClaimText  = 4096 // bytes of one string or member name, and of every other text in an Input
)

// maxExactFloat is the largest magnitude below which every whole number has its own float64. Above it two different ids could
// compare equal.
const maxExactFloat = 1 << 53

// claimReader turns token claims into the values that expressions see, counting as it goes.
type claimReader struct{ nodes int }

// claimValues returns the claims as expressions see them: the same strings, booleans, nulls, lists and objects, with json.Number as
// int64 where it is written as a whole number and as float64 otherwise. A claim that has no exact value there is an error that names
// it: a converted id is a different id.
func claimValues(claims map[string]any) (map[string]any, error) {
	r := claimReader{nodes: 1} // the claims as a whole
	return r.object(claims, "", 0)
}

func (r *claimReader) value(v any, path string, depth int) (any, error) {
	r.nodes++
	if r.nodes > maxClaimNodes {
		return nil, fmt.Errorf("claims hold more than %d values", maxClaimNodes)
	}
	if depth > maxClaimDepth {
		return nil, fmt.Errorf("claim %s is nested deeper than %d", path, maxClaimDepth)
	}
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		if len(v) > maxClaimText {
			return nil, fmt.Errorf("claim %s is a string of %d bytes, more than %d", path, len(v), maxClaimText)
		}
		return v, nil
	case json.Number:
		return claimNumber(v, path)
	case []any:
		return r.list(v, path, depth)
	case map[string]any:
		return r.object(v, path, depth)
	}
	return nil, fmt.Errorf("claim %s has the unexpected Go type %T", path, v)
}

func (r *claimReader) list(v []any, path string, depth int) ([]any, error) {
	out := make([]any, len(v))
	for i, item := range v {
		var err error
		if out[i], err = r.value(item, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *claimReader) object(v map[string]any, path string, depth int) (map[string]any, error) {
	out := make(map[string]any, len(v))
	for name, member := range v {
		if len(name) > maxClaimText {
			return nil, fmt.Errorf("a claim name of %d bytes is longer than %d", len(name), maxClaimText)
		}
		var err error
		if out[name], err = r.value(member, memberPath(path, name), depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// claimNumber converts a number without changing it, or refuses.
func claimNumber(n json.Number, path string) (any, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		i, err := n.Int64()
		if err != nil {
			return nil, fmt.Errorf("claim %s is a whole number beyond 64 bits", path)
		}
		return i, nil
	}
	f, err := n.Float64()
	if err != nil || math.Abs(f) > maxExactFloat {
		return nil, fmt.Errorf("claim %s is a number that has no exact value here", path)
	}
	return f, nil
}

// copyClaims returns a deep copy, so that what was granted cannot change between decision and signature. The claims have passed
// claimValues, which bounds them.
func copyClaims(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyClaims(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = copyClaims(member)
		}
		return out
	}
	return v
}
