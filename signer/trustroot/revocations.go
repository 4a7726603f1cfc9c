// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// RevocationsMediaType is that of revocations.json. The format is Hallmark's
// own: Sigstore has none.
const RevocationsMediaType = "application/vnd.hallmark.revocations+json;version=1"

// RevocationKind says what is revoked.
type RevocationKind string

// The kinds.
const (
	// RevokedDigest is an artifact, "sha256:<hex>", whoever signed it and when.
	RevokedDigest RevocationKind = "digest"
	// RevokedIdentity is who signed, or for whom the service attested: the
	// workflow's URI as certificates have it, or one that ends in /* for all
	// below.
	RevokedIdentity RevocationKind = "identity"
	// RevokedKey is a key, "sha256:<hex>" of its SubjectPublicKeyInfo: one that
	// signs, or a transparency log's.
	RevokedKey RevocationKind = "key"
)

const (
	// maxRevocations bounds the list. Verifiers read all of it.
	maxRevocations = 10000
	// maxRevocationsFile bounds the file, bytes: trust.MaxBytes, and a little less,
	// because the same list said again later has another version and time.
	maxRevocationsFile = 4<<20 - 256
	// maxRevocationText bounds value and reason, bytes.
	maxRevocationText = 1024
)

// Revocation is one line of the list.
type Revocation struct {
	Kind  RevocationKind `json:"kind"`
	Value string         `json:"value"`
	// Reason is for the people whose deployment is denied.
	Reason string `json:"reason"`
	// Revoked is when the operator said so.
	Revoked time.Time `json:"revoked"`
	// Since is from when on signatures do not count, by the log's or the
	// timestamp's time. Without it none counts. A digest has none.
	Since *time.Time `json:"since,omitempty"`
}

// Revocations is the whole list, as verifiers get it.
type Revocations struct {
	MediaType string `json:"mediaType"`
	// Version grows with every change. It is a time, in seconds since 1970, and
	// at least one more than the version before.
	Version int64 `json:"version"`
	// Issued is when the list was last said to be complete. Verifiers measure
	// its age by it.
	Issued      time.Time    `json:"issued"`
	Revocations []Revocation `json:"revocations"`
}

// Check refuses what verifiers could not apply, or would apply to too much.
func (r Revocation) Check() error {
	if err := checkRevocationText("reason", r.Reason); err != nil {
		return err
	}
	if err := checkRevocationText("value", r.Value); err != nil {
		return err
	}
	if r.Revoked.IsZero() {
		return errors.New("a revocation has a time")
	}
	switch r.Kind {
	case RevokedDigest, RevokedKey:
		sum, found := strings.CutPrefix(r.Value, "sha256:")
		if raw, err := hex.DecodeString(sum); !found || err != nil || len(raw) != 32 || sum != strings.ToLower(sum) {
			return fmt.Errorf("%s %q: want sha256:<64 lower-case hex digits>", r.Kind, r.Value)
		}
		if r.Kind == RevokedDigest && r.Since != nil {
			return errors.New("a digest is revoked whenever it was signed: it has no beginning")
		}
	case RevokedIdentity:
		return checkIdentity(r.Value)
	default:
		return fmt.Errorf("kind %q: want digest, identity or key", r.Kind)
	}
	return nil
}

func checkRevocationText(what, text string) error {
	if text == "" || len(text) > maxRevocationText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("a revocation has a %s, one line of at most %d bytes", what, maxRevocationText)
	}
	return nil
}

// checkIdentity wants a URI; one that ends in /* names at least a path: a whole
// CI system is refused in the policy, where everybody sees it.
func checkIdentity(value string) error {
	bare, everything := strings.CutSuffix(value, "/*")
	u, err := url.Parse(bare)
	if err != nil || !u.IsAbs() || strings.Contains(bare, "*") {
		return fmt.Errorf("identity %q: want the URI of the certificate, or one that ends in /* for all below", value)
	}
	if everything && len(strings.Trim(u.Path, "/")) == 0 {
		return fmt.Errorf("identity %q: that is everybody (hint: name at least an organisation: https://github.com/acme/*)", value)
	}
	return nil
}

// With returns the list with one more revocation, as of now.
func (l Revocations) With(r Revocation, now time.Time) (Revocations, error) {
	if err := r.Check(); err != nil {
		return l, err
	}
	for _, known := range l.Revocations {
		if known.Kind == r.Kind && known.Value == r.Value && covers(known.Since, r.Since) {
			return l, fmt.Errorf("%w: %s %s since %s: %s", ErrRevoked, r.Kind, r.Value, known.Revoked.Format(time.RFC3339), known.Reason)
		}
	}
	if len(l.Revocations) >= maxRevocations {
		return l, fmt.Errorf("%d revocations are the most that verifiers read%s", maxRevocations, fullHint)
	}
	next := l.Reissued(now)
	next.Revocations = append(slices.Clone(l.Revocations), r)
	doc, err := encode(next)
	if err != nil {
		return l, err
	}
	if len(doc) > maxRevocationsFile {
		return l, fmt.Errorf("the list of revocations would have %d bytes, and %d are the most that verifiers read%s", len(doc), maxRevocationsFile, fullHint)
	}
	return next, nil
}

// fullHint is for whoever meets a list that is full.
const fullHint = " (hint: one identity that ends in /* takes the place of many, and shorter reasons leave room)"

// ErrRevoked says that something is revoked already.
var ErrRevoked = errors.New("revoked already")

// covers says whether everything since b is also since a.
func covers(a, b *time.Time) bool {
	if a == nil {
		return true
	}
	return b != nil && !b.Before(*a)
}

// Without returns the list without the revocations of a value.
func (l Revocations) Without(kind RevocationKind, value string, now time.Time) (Revocations, bool) {
	next := l.Reissued(now)
	next.Revocations = slices.DeleteFunc(slices.Clone(l.Revocations), func(r Revocation) bool { return r.Kind == kind && r.Value == value })
	return next, len(next.Revocations) != len(l.Revocations)
}

// Reissued is the same list, said again now.
func (l Revocations) Reissued(now time.Time) Revocations {
	now = now.UTC().Truncate(time.Second)
	l.MediaType, l.Version, l.Issued = RevocationsMediaType, max(l.Version+1, now.Unix()), now
	if l.Revocations == nil {
		l.Revocations = []Revocation{}
	}
	return l
}

// Encode checks and writes the list.
func (l Revocations) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("encode revocations: %w", err)
	}
	return encode(l)
}

func (l Revocations) check() error {
	if l.MediaType != RevocationsMediaType {
		return fmt.Errorf("media type %q, want %q", l.MediaType, RevocationsMediaType)
	}
	if l.Version < 1 || l.Issued.IsZero() || len(l.Revocations) > maxRevocations {
		return errors.New("no version, no time, or too long")
	}
	for i, r := range l.Revocations {
		if err := r.Check(); err != nil {
			return fmt.Errorf("revocation %d: %w", i, err)
		}
	}
	return nil
}

// ParseRevocations reads what Encode wrote.
func ParseRevocations(doc []byte) (Revocations, error) {
	var l Revocations
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return Revocations{}, fmt.Errorf("parse revocations: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Revocations{}, errors.New("parse revocations: something follows the JSON object")
	}
	if err := l.check(); err != nil {
		return Revocations{}, fmt.Errorf("parse revocations: %w", err)
	}
	return l, nil
}
