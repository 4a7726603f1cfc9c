// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/signer"
)

// presence says whether a claim must be there. An empty string counts as
// absent: some providers write "" for what they do not know.
type presence int

const (
	// required: absent, null and empty are refused.
	required presence = iota
	// optional: may be absent or empty; null is refused.
	optional
	// nullable: may be absent, empty or null, where a provider writes null.
	nullable
)

// reader reads claims with their types. The first refusal sticks and later
// reads return zero values, so that a provider reads all its claims in one
// straight list and asks once. Values of another type are never converted:
// "1" and 1 are different claims.
type reader struct {
	claims  map[string]any
	path    string // of a nested object, with its dot; for messages
	refused **signer.Unauthenticated
}

func newReader(claims map[string]any) *reader {
	return &reader{claims: claims, refused: new(*signer.Unauthenticated)}
}

// err returns the first refusal, or nil.
func (r *reader) err() error {
	if *r.refused == nil {
		return nil
	}
	return *r.refused
}

func (r *reader) fail(reason, format string, args ...any) {
	if *r.refused == nil {
		*r.refused = refuse(reason, format, args...)
	}
}

// value returns a claim that is there and not null.
func (r *reader) value(name string, p presence) (any, bool) {
	v, has := r.claims[name]
	if v != nil {
		return v, true
	}
	if p == required {
		r.fail(ReasonMissingClaim, "the claim %s%s is missing", r.path, name)
	} else if has && p != nullable {
		r.fail(ReasonWrongType, "the claim %s%s is null", r.path, name)
	}
	return nil, false
}

// text reads a string without control characters.
func (r *reader) text(name string, p presence) string {
	v, ok := r.value(name, p)
	if !ok {
		return ""
	}
	s, isString := v.(string)
	switch {
	case !isString:
		r.fail(ReasonWrongType, "the claim %s%s is not a string", r.path, name)
		return ""
	case s == "" && p == required:
		r.fail(ReasonMissingClaim, "the claim %s%s is empty", r.path, name)
	case strings.ContainsFunc(s, unprintable):
		r.fail(ReasonBadClaim, "the claim %s%s contains control characters", r.path, name)
		return ""
	}
	return s
}

// unprintable also finds U+FFFD, which a lone surrogate becomes in decoding:
// two different texts would look the same.
func unprintable(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }

// matching reads a string of a given form; want says the form to a person.
func (r *reader) matching(name string, p presence, form *regexp.Regexp, want string) string {
	s := r.text(name, p)
	if s != "" && !form.MatchString(s) {
		r.fail(ReasonBadClaim, "the claim %s%s is %.100q, not %s", r.path, name, s, want)
		return ""
	}
	return s
}

var (
	digitsForm = regexp.MustCompile(`^[0-9]{1,20}$`)
	flagForm   = regexp.MustCompile(`^(true|false)$`)
	commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	uidForm    = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)
	// slugForm is a path of names as GitHub and GitLab allow them.
	slugForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
)

// digits reads an id or number that the provider writes as a string.
func (r *reader) digits(name string, p presence) string {
	return r.matching(name, p, digitsForm, "a string of digits")
}

// flag checks a boolean that the provider writes as a string.
func (r *reader) flag(name string, p presence) {
	r.matching(name, p, flagForm, `"true" or "false"`)
}

// commit reads a full git object id, SHA-1 or SHA-256.
func (r *reader) commit(name string, p presence) string {
	return r.matching(name, p, commitForm, "a full commit id")
}

// slug reads the path of a repository, owner or group, which is required:
// names joined by slashes, none of which climbs.
func (r *reader) slug(name string) string {
	s := r.matching(name, required, slugForm, "a path of names")
	if s != "" && climbs(s) {
		r.fail(ReasonBadClaim, "the claim %s%s is %.100q, a path that climbs", r.path, name, s)
		return ""
	}
	return s
}

func climbs(path string) bool {
	for _, name := range strings.Split(path, "/") {
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// ref reads a full git ref. A ref that holds "@refs/" is refused: joined to a
// workflow's path it would read as two refs.
func (r *reader) ref(name string, p presence) string {
	s := r.text(name, p)
	if s != "" && !validRef(s) {
		r.fail(ReasonBadClaim, "the claim %s%s is %.100q, not one full ref", r.path, name, s)
		return ""
	}
	return s
}

func validRef(s string) bool {
	return strings.HasPrefix(s, "refs/") && !strings.Contains(s, "@refs/") && !climbs(s)
}

// number reads a JSON number.
func (r *reader) number(name string, p presence) (json.Number, bool) {
	v, ok := r.value(name, p)
	if !ok {
		return "", false
	}
	n, isNumber := v.(json.Number)
	if !isNumber {
		r.fail(ReasonWrongType, "the claim %s%s is not a number", r.path, name)
	}
	return n, isNumber
}

// wholeForm is a number as an issuer counts: no sign, fraction or exponent.
var wholeForm = regexp.MustCompile(`^[0-9]{1,19}$`)

// whole reads a whole number and returns its digits.
func (r *reader) whole(name string, p presence) string {
	n, ok := r.number(name, p)
	if ok && !wholeForm.MatchString(n.String()) {
		r.fail(ReasonBadClaim, "the claim %s%s is %.40s, not a whole number", r.path, name, n)
		return ""
	}
	return n.String()
}

// boolean reads a JSON boolean.
func (r *reader) boolean(name string, p presence) bool {
	v, ok := r.value(name, p)
	if !ok {
		return false
	}
	b, isBool := v.(bool)
	if !isBool {
		r.fail(ReasonWrongType, "the claim %s%s is neither true nor false", r.path, name)
	}
	return b
}

// list checks a list of strings.
func (r *reader) list(name string, p presence) {
	v, ok := r.value(name, p)
	if !ok {
		return
	}
	elements, isList := v.([]any)
	for _, e := range elements {
		if _, isText := e.(string); !isText {
			isList = false
		}
	}
	if !isList {
		r.fail(ReasonWrongType, "the claim %s%s is not a list of strings", r.path, name)
	}
}

// object reads a nested object; reads of it share the first refusal.
func (r *reader) object(name string, p presence) *reader {
	inner := &reader{path: r.path + name + ".", refused: r.refused}
	v, ok := r.value(name, p)
	if !ok {
		return inner
	}
	members, isObject := v.(map[string]any)
	if !isObject {
		r.fail(ReasonWrongType, "the claim %s%s is not an object", r.path, name)
	}
	inner.claims = members
	return inner
}

// uri joins a configured base and text from claims to a URI in its normal
// form, the one that a certificate keeps. What a URI cannot carry is
// percent-encoded; a "%" in the text is refused, so that no two texts share a
// URI.
func (r *reader) uri(base, rest string) string {
	if *r.refused != nil {
		return ""
	}
	u, err := url.Parse(base + "/" + rest)
	if err != nil || strings.Contains(rest, "%") {
		r.fail(ReasonBadClaim, "%.200q cannot be part of a certificate's URI", rest)
		return ""
	}
	normal := u.String()
	again, err := url.Parse(normal)
	// A URI forgets a "#" at its end: the branch "main#" must not become main.
	back, backErr := url.PathUnescape(normal)
	if err != nil || again.String() != normal || backErr != nil || !strings.HasSuffix(back, "/"+rest) {
		r.fail(ReasonBadClaim, "%.200q has no stable form as a URI", rest)
		return ""
	}
	return normal
}
