// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// A key is rotated without a day on which everybody has to change:
//
//	requested  somebody asked for it (a log: the server makes it)
//	made       key and certificates are on disk; nobody knows them
//	published  verifiers can learn of the key, from this time on
//	active     every verifier has learned of it: it signs, the old one does not
//	done       nothing that the old one signed is under way: its window is ended
//
// Each phase is one line more in trust/rotations.json, written when what it says
// has come true. Whatever is interrupted, the next look goes on from there.

// rotationsName is the file in trust/.
const rotationsName = "rotations.json"

// keyRotation is the way of one key to the place of another.
type keyRotation struct {
	// ID names it in the audit. Rotations of before there was one have none.
	ID   string `json:"id,omitempty"`
	Kind string `json:"kind"`
	// Key is the new key's name: keys/<Key>.key, or of a log the log's.
	Key string `json:"key,omitempty"`
	// Replaces is the old one's.
	Replaces string `json:"replaces,omitempty"`
	// Host is that of a v2 log.
	Host string `json:"host,omitempty"`
	// Wait is how long the key is published before it is used, Keep how long the
	// old one's window stays open after that. Seconds.
	Wait int64 `json:"waitSeconds"`
	Keep int64 `json:"keepSeconds"`
	// When each phase was reached.
	Requested time.Time `json:"requested"`
	Made      time.Time `json:"made,omitzero"`
	Published time.Time `json:"published,omitzero"`
	Active    time.Time `json:"active,omitzero"`
	Done      time.Time `json:"done,omitzero"`
	// By is whose process took it to each phase.
	By map[string]signer.Operator `json:"by,omitempty"`
}

// id is its name in the audit.
func (r *keyRotation) id() string {
	if r.ID != "" {
		return r.ID
	}
	return fmt.Sprintf("%s %s %s", r.Kind, r.Key, r.Requested.UTC().Format(time.RFC3339))
}

// reached writes down who took it to its phase.
func (r *keyRotation) reached(who signer.Operator) {
	if r.By == nil {
		r.By = map[string]signer.Operator{}
	}
	r.By[r.phase()] = who
}

// phase is the last one that was reached.
func (r *keyRotation) phase() string {
	switch {
	case !r.Done.IsZero():
		return "done"
	case !r.Active.IsZero():
		return "active"
	case !r.Published.IsZero():
		return "published"
	case !r.Made.IsZero():
		return "made"
	}
	return "requested"
}

// next says what comes next and when, for people.
func (r *keyRotation) next() string {
	_, online := tufRole(r.Kind)
	switch r.phase() {
	case "requested":
		return "the server makes it"
	case "made":
		if online {
			return "the holders sign a root that names it: hallmark root next --online trust/tuf-online.json"
		}
		return "the server publishes it"
	case "published":
		return "is used from " + r.useAt().Format(time.RFC3339)
	case "active":
		if isLogKind(r.Kind) {
			return "the old log stays readable"
		}
		if r.Kind == kindCharts {
			return "the old one signs no more"
		}
		if isLongLived(r.Kind) {
			return "the old one signs beside it until " + r.endAt().Format(time.RFC3339)
		}
		return "the old one ends at " + r.endAt().Format(time.RFC3339)
	}
	return ""
}

func (r *keyRotation) useAt() time.Time {
	return r.Published.Add(time.Duration(r.Wait) * time.Second)
}
func (r *keyRotation) endAt() time.Time {
	return r.Active.Add(time.Duration(r.Keep) * time.Second)
}

// due is when the clock alone makes the next phase.
func (r *keyRotation) due() (time.Time, bool) {
	switch r.phase() {
	case "published":
		return r.useAt(), true
	case "active":
		return r.endAt(), true
	}
	return time.Time{}, false
}

// rotations is the file: every rotation there was, oldest first.
type rotations struct {
	Rotations []*keyRotation `json:"rotations"`
}

func readRotations(cfg *Config) (*rotations, error) {
	all := &rotations{}
	if err := readRecord(cfg.path("trust", rotationsName), all); err != nil {
		return nil, fmt.Errorf("read rotations: %w", err)
	}
	for i, r := range all.Rotations {
		if r == nil || !isKind(r.Kind) {
			return nil, fmt.Errorf("read rotations: rotation %d is of no kind that is known", i)
		}
	}
	return all, nil
}

func (a *rotations) write(cfg *Config) error {
	doc, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	_, err = replaceFile(cfg.path("trust", rotationsName), append(doc, '\n'))
	return err
}

// retiring is the name of the key that signs beside the one in use, until the
// rotation is done: only long-lived keys do. "" if there is none.
func (a *rotations) retiring(kind string) string {
	if r := a.underWay(kind); r != nil && isLongLived(kind) && !r.Active.IsZero() {
		return r.Replaces
	}
	return ""
}

// inUse is the name of the key that signs now.
func (a *rotations) inUse(kind string) string {
	name := kind
	for _, r := range a.Rotations {
		if r.Kind == kind && !r.Active.IsZero() {
			name = r.Key
		}
	}
	return name
}

// signing are the names of the keys of an online role that sign: while one takes
// the place of another, both.
func (a *rotations) signing(role tuf.Role) []string {
	names := []string{tufKey(role)}
	for _, r := range a.Rotations {
		if r.Kind != tufKey(role) || r.Made.IsZero() {
			continue
		}
		names = append(names, r.Key)
		if !r.Done.IsZero() {
			names = slices.DeleteFunc(names, func(n string) bool { return n == r.Replaces })
		}
	}
	return names
}

// underWay is the rotation of a kind that is not done, if there is one.
func (a *rotations) underWay(kind string) *keyRotation {
	for _, r := range a.Rotations {
		if r.Kind == kind && r.Done.IsZero() {
			return r
		}
	}
	return nil
}

// chains are the names of all authorities' certificates of a kind, past and
// coming ones too.
func (a *rotations) chains(kind string) []string {
	names := []string{kind}
	for _, r := range a.Rotations {
		if r.Kind == kind && !r.Made.IsZero() {
			names = append(names, r.Key)
		}
	}
	return names
}

// published are the names of the authorities of a kind that verifiers may meet
// now: not those that were retired, nor those that they do not know yet.
func (a *rotations) published(kind string) []string {
	names := []string{kind}
	for _, r := range a.Rotations {
		if r.Kind != kind || r.Published.IsZero() {
			continue
		}
		names = append(names, r.Key)
		if !r.Done.IsZero() {
			names = slices.DeleteFunc(names, func(n string) bool { return n == r.Replaces })
		}
	}
	return names
}

// chainFile is the certificate file of an authority's key.
func (c *Config) chainFile(key string) string { return c.path("certs", key+"-chain.pem") }
