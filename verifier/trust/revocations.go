// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// RevocationsMediaType is the only media type of a list of revocations that is read.
const RevocationsMediaType = "application/vnd.hallmark.revocations+json;version=1"

// MaxRevocations bounds the list: every fact is held against all of it.
const MaxRevocations = 10000

// The kinds of revocation.
const (
	RevokedDigest   = "digest"
	RevokedIdentity = "identity"
	RevokedKey      = "key"
)

// ErrInvalidRevocations is wrapped by every refusal of a list's content.
var ErrInvalidRevocations = errors.New("invalid revocations")

// Revocation is one line of the list: what does not count any more, why, and since when.
type Revocation struct {
	Kind   string `json:"kind"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
	// Revoked is when the operator of the service said so.
	Revoked time.Time `json:"revoked"`
	// Since is from when on signatures do not count, by the time that a log or a timestamp authority saw them. nil: none counts.
	Since *time.Time `json:"since,omitempty"`
}

// String says it for people.
func (r Revocation) String() string {
	text := fmt.Sprintf("%s %s was revoked on %s: %s", r.Kind, r.Value, r.Revoked.UTC().Format(time.RFC3339), r.Reason)
	if r.Since != nil {
		text += fmt.Sprintf(" (signatures since %s do not count)", r.Since.UTC().Format(time.RFC3339))
	}
	return text
}

// applies says whether a signature of this time is revoked. An unproven time proves nothing, so it is.
func (r Revocation) applies(signed time.Time) bool {
	return r.Since == nil || signed.IsZero() || !signed.Before(*r.Since)
}

// Revocations is a list of what was signed in good faith, or was trusted, and must not count any more. It is immutable, and no list at all is
// the nil pointer.
//
// Its age matters: who can keep a new list from a verifier can keep a revocation from it. AsOf is how new it is; what a verifier makes of an
// old one is its configuration.
type Revocations struct {
	version int64
	asOf    time.Time
	list    []Revocation
}

type revocationsJSON struct {
	MediaType   string       `json:"mediaType"`
	Version     int64        `json:"version"`
	Issued      time.Time    `json:"issued"`
	Revocations []Revocation `json:"revocations"`
}

// RevocationsFromFile reads revocations.json. Where it came from is what it is worth: it carries no signature of its own, TUF has it.
func RevocationsFromFile(path string) (*Revocations, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("open revocations: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read revocations: %w", err)
	}
	r, err := ParseRevocations(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// ParseRevocations reads revocations.json strictly: a line that is not understood cannot be passed over, because it denies something.
func ParseRevocations(b []byte) (*Revocations, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalidRevocations, MaxBytes)
	}
	var doc revocationsJSON
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidRevocations, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrInvalidRevocations)
	}
	switch {
	case doc.MediaType != RevocationsMediaType:
		return nil, fmt.Errorf("%w: media type is %q, must be %q", ErrInvalidRevocations, doc.MediaType, RevocationsMediaType)
	case doc.Version < 1 || doc.Issued.IsZero():
		return nil, fmt.Errorf("%w: no version or no time", ErrInvalidRevocations)
	case len(doc.Revocations) > MaxRevocations:
		return nil, fmt.Errorf("%w: more than %d", ErrInvalidRevocations, MaxRevocations)
	}
	for i, r := range doc.Revocations {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%w: revocations[%d]: %w", ErrInvalidRevocations, i, err)
		}
	}
	return &Revocations{version: doc.Version, asOf: doc.Issued, list: doc.Revocations}, nil
}

func (r Revocation) check() error {
	if r.Value == "" || r.Revoked.IsZero() {
		return errors.New("no value or no time")
	}
	switch r.Kind {
	case RevokedIdentity:
		return nil
	case RevokedDigest, RevokedKey:
		sum, found := strings.CutPrefix(r.Value, "sha256:")
		if raw, err := hex.DecodeString(sum); !found || err != nil || hex.EncodeToString(raw) != sum {
			return fmt.Errorf("%s %q is not sha256:<hex>", r.Kind, r.Value)
		}
		return nil
	}
	return fmt.Errorf("unknown kind %q", r.Kind)
}

// Version of the list; a later one has a higher one.
func (r *Revocations) Version() int64 {
	if r == nil {
		return 0
	}
	return r.version
}

// AsOf is when the list was known to be the newest.
func (r *Revocations) AsOf() time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.asOf
}

// seenAt is the list when a timestamp that is not older vouches for it.
func (r *Revocations) seenAt(t time.Time) *Revocations {
	if !t.After(r.asOf) {
		return r
	}
	later := *r
	later.asOf = t
	return &later
}

// All are the lines of the list, oldest first.
func (r *Revocations) All() []Revocation {
	if r == nil {
		return nil
	}
	return slices.Clone(r.list)
}

// About are the lines about a value, of signatures of whatever time: kind is RevokedDigest, RevokedIdentity or RevokedKey.
func (r *Revocations) About(kind, value string) []Revocation {
	return slices.DeleteFunc(r.All(), func(line Revocation) bool { return !line.about(kind, value) })
}

// Digest returns the revocation of an artifact, "sha256:<hex>".
func (r *Revocations) Digest(digest string) (Revocation, bool) {
	return r.find(RevokedDigest, digest, time.Time{})
}

// Identity returns the revocation of a name that stands in a certificate, for a signature of this time.
func (r *Revocations) Identity(name string, signed time.Time) (Revocation, bool) {
	return r.find(RevokedIdentity, name, signed)
}

// Key returns the revocation of a key, "sha256:<hex>" of its SubjectPublicKeyInfo, for a signature of this time.
func (r *Revocations) Key(id string, signed time.Time) (Revocation, bool) {
	return r.find(RevokedKey, id, signed)
}

func (r *Revocations) find(kind, value string, signed time.Time) (Revocation, bool) {
	if r == nil {
		return Revocation{}, false
	}
	for _, known := range r.list {
		if known.about(kind, value) && known.applies(signed) {
			return known, true
		}
	}
	return Revocation{}, false
}

// about says whether the line is about a value. That of an identity may end in *, for all that begin so.
func (r Revocation) about(kind, value string) bool {
	if below, everything := strings.CutSuffix(r.Value, "*"); everything && kind == RevokedIdentity {
		return r.Kind == kind && strings.HasPrefix(value, below)
	}
	return r.Kind == kind && r.Value == value
}
