// SPDX-License-Identifier: Apache-2.0

package oci

import "strings"

// challenge is what a registry answers to a request without credentials: the
// scheme in lower case and the parameters of one WWW-Authenticate challenge
// (RFC 9110, section 11).
type challenge struct {
	scheme string
	params map[string]string
}

// pickChallenge takes the first challenge that can be met: bearer or basic.
// Each header value is read as one challenge, as all registries send them.
func pickChallenge(values []string) (challenge, bool) {
	for _, value := range values {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		scheme = strings.ToLower(scheme)
		if scheme == "bearer" || scheme == "basic" {
			return challenge{scheme: scheme, params: authParams(rest)}, true
		}
	}
	return challenge{}, false
}

// authParams reads name=token and name="quoted" pairs, separated by commas.
// Reading ends at the first thing that is neither.
func authParams(s string) map[string]string {
	params := make(map[string]string)
	for {
		s = strings.TrimLeft(s, " \t,")
		name, rest, ok := strings.Cut(s, "=")
		if !ok || strings.ContainsAny(name, " \t,\"") {
			return params
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			if value, s, ok = quotedString(rest[1:]); !ok {
				return params
			}
		} else {
			end := strings.IndexAny(rest, " \t,")
			if end < 0 {
				end = len(rest)
			}
			value, s = rest[:end], rest[end:]
		}
		params[strings.ToLower(name)] = value
	}
}

// quotedString reads up to the closing quote.
func quotedString(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
