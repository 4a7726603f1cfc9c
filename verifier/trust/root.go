// SPDX-License-Identifier: Apache-2.0

// Package trust reads the trusted root: the one file that a verifier must have obtained beforehand and over a channel it trusts, or that
// a trust repository (TUF) publishes, whose own first root was obtained so. With the repository come the revocations.
//
// A trusted root (Sigstore's trusted_root.json) lists four kinds of authority, each with the window of time in which it was in use:
//
//   - certificate authorities, which say who held a signing key,
//   - certificate transparency logs, which witnessed the certificates,
//   - transparency logs, which witnessed the signatures,
//   - timestamp authorities, which say when a signature existed.
//
// Nothing else is trusted: no key from a bundle, no certificate store of the machine, no answer from a network that the repository's
// root does not vouch for. Rotation is done with the windows: an old key gets an end, a new one a start, and a signature is judged by
// the keys that were in use when it was made.
//
// A root is read once, checked completely, and never changes afterwards; it may be shared by any number of goroutines. What is wrong
// with a root is found here and said here, because later it would only show as "signature does not verify".
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"
)

// MediaType is the only media type of a trusted root that the clients in the field read. The v0.2 string of protobuf-specs is refused
// by all of them, so by us as well: one file must serve everybody.
const MediaType = root.TrustedRootMediaType01

const (
	// MaxBytes bounds the file. The public Sigstore root is below 16 KiB; a deployment that rotates its keys every month for
	// ten years stays below 1 MiB.
	MaxBytes = 4 << 20
	// MaxAuthorities bounds each of the four lists, because every signature is tried against every authority of a kind.
	MaxAuthorities = 128
	// MaxChain bounds the certificates of one authority: leaf, a few intermediates, root.
	MaxChain = 8
)

// ErrInvalid is wrapped by every refusal of a trusted root's content.
var ErrInvalid = errors.New("invalid trusted root")

// Root is a parsed trusted root. It is immutable.
type Root struct {
	material *root.TrustedRoot
	logs     map[string]Log // by lower-case hex of the key id
	digest   string
}

// Log is a transparency log as the trusted root describes it.
type Log struct {
	ID      string // lower-case hex of the 32-byte key id
	BaseURL string
	Window  Window
}

// FromFile reads and parses a trusted root file of at most MaxBytes.
func FromFile(path string) (*Root, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file; nothing of a request reaches this
	if err != nil {
		return nil, fmt.Errorf("open trusted root: %w (hint: download it from your Hallmark service once, and distribute it with your configuration)", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read trusted root: %w", err)
	}
	r, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Parse reads a trusted root. Unknown and repeated members, a missing validity start, key ids that are not those of their keys, two logs
// with one id and broken certificate chains are all errors that wrap ErrInvalid and name the place.
func Parse(b []byte) (*Root, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxBytes)
	}
	var pb prototrustroot.TrustedRoot
	if err := protojson.Unmarshal(b, &pb); err != nil {
		return nil, fmt.Errorf("%w: %s (hint: this must be a trusted_root.json, not a signing configuration, a bundle or TUF metadata)", ErrInvalid, said(b, err))
	}
	if err := check(&pb); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	material, err := root.NewTrustedRootFromProtobuf(&pb)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	sum := sha256.Sum256(b)
	r := &Root{material: material, logs: make(map[string]Log), digest: "sha256:" + hex.EncodeToString(sum[:])}
	for id, l := range material.RekorLogs() {
		r.logs[id] = Log{ID: id, BaseURL: l.BaseURL, Window: Window{Start: l.ValidityPeriodStart, End: l.ValidityPeriodEnd}}
	}
	return r, nil
}

// said is what the reader of protobuf says, in plain words.
func said(b []byte, err error) string {
	if !json.Valid(b) {
		return "it is not JSON"
	}
	text := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "proto:")), " ") // it separates with a space that does not break, to be unstable
	return strings.TrimPrefix(text, "syntax error ")
}

// Material returns what sigstore-go verifies against. It must not be modified.
func (r *Root) Material() root.TrustedMaterial { return r.material }

// Digest returns "sha256:<hex>" of the file's bytes: the version of the trusted root in cache keys and records.
func (r *Root) Digest() string { return r.digest }

// Log returns the transparency log with this key id (the raw bytes, as bundles carry it).
func (r *Root) Log(keyID []byte) (Log, bool) {
	l, ok := r.logs[hex.EncodeToString(keyID)]
	return l, ok
}

// LogAt is Log for a log whose key was in use at every one of the times. The error says which time was outside.
func (r *Root) LogAt(keyID []byte, times ...time.Time) (Log, error) {
	l, ok := r.Log(keyID)
	if !ok {
		return Log{}, fmt.Errorf("log %x is not in the trusted root (hint: is this the trusted root of the service that signed?)", keyID)
	}
	for _, t := range times {
		if !l.Window.Contains(t) {
			return Log{}, fmt.Errorf("key of log %s was in use %s, not at %s", l.BaseURL, l.Window, t.UTC().Format(time.RFC3339))
		}
	}
	return l, nil
}
