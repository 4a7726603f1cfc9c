// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// maxTemplate bounds a template, bytes; a URI with a few claims is shorter.
	maxTemplate = 1 << 10
)

// template is text with claims in it. There are no functions, conditions or
// loops, so nothing but the token's claims can be in what it makes.
type template []templatePart

// templatePart is text or, with a claim, its place.
type templatePart struct {
	text     string
	claim    string
	optional bool
}

// parseTemplate reads text in which {claim} or {claim?} stands for a claim. The
// name is exact: a dot or a slash in it is part of it.
func parseTemplate(text string) (template, error) {
	if text == "" {
		return nil, errors.New("the template is empty")
	}
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template has more than %d bytes", maxTemplate)
	}
	if strings.ContainsFunc(text, unprintable) {
		return nil, errors.New("the template has control characters")
	}
	var t template
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("a } without its { (hint: {claim} stands for a claim; neither brace can be text)")
		}
		if before != "" {
			t = append(t, templatePart{text: before})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || name == "?" || strings.Contains(name, "{") || strings.TrimSpace(name) != name {
			return nil, errors.New("a { without a claim's name and } after it (hint: {claim}, or {claim?} if it may be absent)")
		}
		claim, optional := strings.CutSuffix(name, "?")
		t = append(t, templatePart{claim: claim, optional: optional})
		text = after
	}
	return t, nil
}

// claims are the names of the claims in the template.
func (t template) claims() []string {
	var names []string
	for _, part := range t {
		if part.claim != "" {
			names = append(names, part.claim)
		}
	}
	return names
}

// optional says whether any of the claims may be absent.
func (t template) optional() bool {
	for _, part := range t {
		if part.optional {
			return true
		}
	}
	return false
}
