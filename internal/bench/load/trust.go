// SPDX-License-Identifier: Apache-2.0

package load

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// v1Origin is how clients tell a v1 checkpoint from a v2 one.
var v1Origin = regexp.MustCompile(`^.* - [0-9]+$`)

// Trust holds the keys of a deployment's logs. It may be used concurrently.
type Trust struct {
	keys map[string]crypto.PublicKey // by id, hex

	mu       sync.Mutex                 // guards verified
	verified map[string]tlog.Checkpoint // notes that have been checked
}

// ReadTrust reads the logs of a trusted_root.json.
func ReadTrust(path string) (*Trust, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the caller's own
	if err != nil {
		return nil, err
	}
	var root struct {
		Tlogs []struct {
			PublicKey struct{ RawBytes []byte }
			LogID     struct{ KeyID []byte }
		}
	}
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &Trust{keys: map[string]crypto.PublicKey{}, verified: map[string]tlog.Checkpoint{}}
	for _, log := range root.Tlogs {
		key, err := x509.ParsePKIXPublicKey(log.PublicKey.RawBytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		t.keys[hex.EncodeToString(log.LogID.KeyID)] = key
	}
	return t, nil
}

// Checkpoint verifies a signed note of the log with a key id.
func (t *Trust) Checkpoint(logID []byte, note string) (tlog.Checkpoint, error) {
	t.mu.Lock()
	c, known := t.verified[note]
	t.mu.Unlock()
	if known {
		return c, nil
	}
	key, ok := t.keys[hex.EncodeToString(logID)]
	if !ok {
		return tlog.Checkpoint{}, fmt.Errorf("no log with the id %x is trusted", logID)
	}
	origin, _, _ := strings.Cut(note, "\n")
	c, err := tlog.ParseCheckpoint([]byte(note), origin, key)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verified[note] = c
	return c, nil
}

// Verify checks an answer as somebody would who keeps the entry for years: the
// entry is the request's, the checkpoint is signed, the proof leads to it, and
// with v1 the entry's id and timestamp are right.
func (t *Trust) Verify(r *Request, a *Answer) error {
	if err := a.Holds(r); err != nil {
		return err
	}
	c, err := t.Checkpoint(a.LogID, a.Checkpoint)
	if err != nil {
		return err
	}
	if c.Size != a.TreeSize || c.Root != a.Root {
		return fmt.Errorf("the checkpoint of %d entries is not that of the proof, of %d", c.Size, a.TreeSize)
	}
	if v1Origin.MatchString(c.Origin) != r.Kind.V1() {
		return fmt.Errorf("origin %q for a %s", c.Origin, r.Kind)
	}
	leaf := merkle.RecordHash(a.Body)
	if err := merkle.CheckRecord(a.Proof, a.TreeSize, a.Root, a.Index, leaf); err != nil {
		return fmt.Errorf("entry %d in a tree of %d: %w", a.Index, a.TreeSize, err)
	}
	if !r.Kind.V1() {
		return nil
	}
	if !strings.HasSuffix(a.EntryID, hex.EncodeToString(leaf[:])) {
		return fmt.Errorf("entry id %s is not that of leaf %x", a.EntryID, leaf)
	}
	key, ok := t.keys[hex.EncodeToString(a.LogID)].(*ecdsa.PublicKey)
	if !ok {
		return errors.New("a v1 log whose key is not ECDSA")
	}
	digest := sha256.Sum256(a.promised())
	if !ecdsa.VerifyASN1(key, digest[:], a.Promise) {
		return fmt.Errorf("the signed entry timestamp of entry %d does not verify", a.Index)
	}
	return nil
}

// VerifySamples verifies what a loop kept.
func (t *Trust) VerifySamples(samples []Sample) error {
	for _, s := range samples {
		a, err := ParseAnswer(s.Request.Kind, s.Answer)
		if err == nil {
			err = t.Verify(s.Request, &a)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Request.Kind, err)
		}
	}
	return nil
}

// Open verifies a signed note of any log.
func (t *Trust) Open(note string) (tlog.Checkpoint, error) {
	var errs []error
	for id := range t.keys {
		raw, err := hex.DecodeString(id)
		if err != nil {
			return tlog.Checkpoint{}, err
		}
		c, err := t.Checkpoint(raw, note)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return tlog.Checkpoint{}, errors.Join(errs...)
}

// Seen returns what every note that verified has committed to.
func (t *Trust) Seen() map[tlog.Checkpoint]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := make(map[tlog.Checkpoint]bool, len(t.verified))
	for _, c := range t.verified {
		seen[c] = true
	}
	return seen
}
