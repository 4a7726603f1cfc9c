// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/url"
	"strings"
)

// Bounds on names. Both are the ones that other programs have, so that no name fits here and nowhere else.
const (
	maxName       = 63  // a DNS label (RFC 1035)
	maxRepository = 255 // a repository path with its host (OCI distribution spec, "Pulling manifests")
)

// isName reports whether s is a DNS label. Names travel into logs, metrics and resource names as they are.
func isName(s string) bool {
	return len(s) <= maxName && isWords(s, "-")
}

// isRepository reports whether s is a repository path as registries accept it: lower-case components, no empty one, no dots alone.
func isRepository(s string) bool {
	if len(s) > maxRepository {
		return false
	}
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent reports whether s is one part of a repository path: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func isComponent(s string) bool {
	return isWords(s, "._-") && !strings.Contains(s, "..") && !strings.Contains(s, "___") && !mixedSeparators(s)
}

// isWords reports whether s is lower-case letters and digits, with separators only between them.
func isWords(s, separators string) bool {
	if s == "" || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(separators, s[i]) < 0 {
			return false
		}
	}
	return true
}

// mixedSeparators reports whether two different separators stand beside each other.
func mixedSeparators(s string) bool {
	for i := 1; i < len(s); i++ {
		if !isAlphanumeric(s[i-1]) && !isAlphanumeric(s[i]) && s[i-1] != s[i] {
			return true
		}
	}
	return false
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

// isHost reports whether s is a registry host in canonical form: lower-case ASCII, optional port, no trailing dot, no user.
func isHost(s string) bool {
	host, port, found := strings.Cut(s, ":")
	if found && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	return len(s) <= maxRepository && isWords(host, "-.") && !strings.Contains(host, "..")
}

// isDigest reports whether s is "sha256:" and 64 lower-case hex digits, the only form that Hallmark binds anything to.
func isDigest(s string) bool {
	hex, found := strings.CutPrefix(s, "sha256:")
	return found && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// isAbsoluteURI reports whether s can be a predicate type or an issuer: compared byte by byte, so nothing that only looks the same.
func isAbsoluteURI(s string) bool {
	if len(s) > maxClaimText || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "")
}

// underPrefix reports whether s equals the pattern, or lies under it if the pattern ends in "/". So "acme/" holds acme/app, but
// neither acme nor acme-labs/app.
func underPrefix(s, pattern string) bool {
	if strings.HasSuffix(pattern, "/") {
		return strings.HasPrefix(s, pattern)
	}
	return s == pattern
}
