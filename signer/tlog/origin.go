// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// originV1 is the form by which clients tell a Rekor v1 checkpoint from any
// other (sigstore-go pkg/tlog, hasRekorV1STH).
var originV1 = regexp.MustCompile(`^(.*) - ([0-9]+)$`)

// noteName is the name on the signature line of an origin's checkpoints. In
// Rekor v1 it is not the origin, but the part before the tree id.
func noteName(origin string) (name string, isV1 bool) {
	if m := originV1.FindStringSubmatch(origin); m != nil {
		return m[1], true
	}
	return origin, false
}

// OriginV1 is the origin of a v1 log: "host - tree id".
func OriginV1(host string, treeID int64) string {
	return host + " - " + strconv.FormatInt(treeID, 10)
}

// TreeIDOf returns the tree id in the origin of a v1 log; false if it is none.
func TreeIDOf(origin string) (int64, bool) {
	m := originV1.FindStringSubmatch(origin)
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(m[2], 10, 64)
	return id, err == nil && id > 0 && strconv.FormatInt(id, 10) == m[2]
}

// validOrigin says whether checkpoints can have this origin. Its name follows
// C2SP signed-note: UTF-8 without spaces, control characters and plus signs.
func validOrigin(origin string) bool {
	name, isV1 := noteName(origin)
	if _, ok := TreeIDOf(origin); isV1 && !ok {
		return false
	}
	return name != "" && utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool {
		return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
	}) < 0
}
