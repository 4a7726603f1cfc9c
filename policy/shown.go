// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// maxShown bounds how much of a foreign value is copied into a reason. References, URIs and ids fit; a claim stuffed with text does
// not reach logs, audit records and terminals by way of a refusal.
const maxShown = 256

// maxListed bounds how many values one reason names.
const maxListed = 4

// shown quotes a foreign text. Quoting keeps line breaks and escape sequences out of logs and terminals.
func shown(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("a text of %d bytes", len(s))
	}
	return strconv.QuoteToASCII(s)
}

// shownValue renders a claim as claimValues made it. Of lists and objects it says the size only.
func shownValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return shown(v)
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return fmt.Sprintf("an object of %d", len(v))
	}
	return fmt.Sprint(v) // bool, int64, float64
}

// listed joins the first few items and says how many more there are.
func listed(items []string, separator string) string {
	if len(items) > maxListed {
		more := fmt.Sprintf("%d more", len(items)-maxListed)
		items = append(append([]string(nil), items[:maxListed]...), more)
	}
	return strings.Join(items, separator)
}

// shownList quotes and joins texts.
func shownList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = shown(item)
	}
	return listed(quoted, ", ")
}

// memberPath appends a member name to the path of a claim or policy field, as an expression would write it: `a.b`, or
// `a["kubernetes.io"]`.
func memberPath(path, name string) string {
	if !isIdentifier(name) {
		return path + "[" + shown(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func isIdentifier(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
