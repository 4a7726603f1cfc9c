// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Target is a file that clients get.
type Target struct {
	Name    string
	Content []byte
	// Usage and URL are for clients that look for keys one by one: they find
	// targets by them. Empty for the others.
	Usage, URL string
	// Ended says that such a key is not in use any more.
	Ended bool
}

// Config describes a repository.
type Config struct {
	// Dir is the folder that is served. It holds nothing else.
	Dir string
	// Signers are the keys of each online role that are at hand. All of them
	// sign, those that the root does not name yet or any more too: so a key is
	// changed while clients know this root or that.
	Signers map[Role][]crypto.Signer
	// Life is how long each online role is believed.
	Life map[Role]time.Duration
}

// Repository writes a repository. One process at a time may use it.
type Repository struct {
	cfg Config
}

// NewRepository checks the configuration. It does no I/O.
func NewRepository(cfg Config) (*Repository, error) {
	if cfg.Dir == "" {
		return nil, errors.New("new TUF repository: no folder")
	}
	for _, role := range OnlineRoles() {
		if cfg.Life[role] <= 0 {
			return nil, fmt.Errorf("new TUF repository: %s has no life", role)
		}
	}
	return &Repository{cfg: cfg}, nil
}

// Status is what a repository offers, after an update.
type Status struct {
	Root int64
	// Expires is when clients stop to believe each role.
	Expires map[Role]time.Time
	// Due is when Update has something to do, even if nothing else changes.
	Due time.Time
	// Changed says that this update wrote something.
	Changed bool
}

// renewAt is the part of a role's life after which it is renewed: two thirds are
// left for repairing whatever keeps the next renewal from succeeding.
const renewAt = 3

// Update makes the repository offer the targets under the newest of the roots,
// and renews what has used up a third of its life. It may be repeated at any
// time: without a change it writes nothing.
//
// Files are written so that a client that reads in between succeeds: what is
// referred to before what refers to it, and a new root last, when everything is
// signed with the keys that it names. The power may fail between any two: the
// next update goes on.
func (r *Repository) Update(roots [][]byte, targets []Target, now time.Time) (Status, error) {
	chain, err := VerifyChain(roots)
	if err != nil {
		return Status{}, fmt.Errorf("TUF repository: %w", err)
	}
	root := chain[len(chain)-1]
	if err := r.checkSigners(root); err != nil {
		return Status{}, fmt.Errorf("TUF repository: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(r.cfg.Dir, targetsFolder), 0o700); err != nil {
		return Status{}, fmt.Errorf("TUF repository: %w", err)
	}
	if err := r.prune(now); err != nil {
		return Status{}, fmt.Errorf("TUF repository: remove old files: %w", err)
	}
	w := &writing{r: r, now: now.UTC().Truncate(time.Second), root: root, status: Status{
		Root: root.Version(), Expires: map[Role]time.Time{RoleRoot: root.Expires()},
	}}
	if err := w.update(targets); err != nil {
		return Status{}, fmt.Errorf("TUF repository: %w", err)
	}
	// The roots last. All of them: the first client has version 1.
	for i, doc := range roots {
		if err := w.write(chain[i].FileName(), doc); err != nil {
			return Status{}, fmt.Errorf("TUF repository: %w", err)
		}
	}
	return w.status, nil
}

// checkSigners wants enough keys at hand for every role: half a repository helps
// nobody.
func (r *Repository) checkSigners(root *Root) error {
	for _, role := range OnlineRoles() {
		have := 0
		for _, key := range r.cfg.Signers[role] {
			id, err := KeyID(key.Public())
			if err != nil {
				return fmt.Errorf("%s: %w", role, err)
			}
			if slices.Contains(root.KeyIDs(role), id) {
				have++
			}
		}
		if need := root.md.Signed.Roles[string(role)].Threshold; have < need && !(role == RoleTargets && len(r.cfg.Signers[role]) == 0) {
			return fmt.Errorf("root version %d does not name the %s key that is here (hint: the holders sign a root that does: hallmark root next)", root.Version(), role)
		}
	}
	return nil
}

// writing is one update.
type writing struct {
	r      *Repository
	now    time.Time
	root   *Root
	status Status
}

func (w *writing) update(targets []Target) error {
	wanted, err := w.writeTargets(targets)
	if err != nil {
		return err
	}
	targetsVersion, err := w.updateTargets(wanted)
	if err != nil {
		return err
	}
	snapshotVersion, err := w.updateSnapshot(targetsVersion)
	if err != nil {
		return err
	}
	return w.updateTimestamp(snapshotVersion)
}

// writeTargets writes the files and says how targets lists them. Exactly one
// hash: clients take any of several for the file's name.
func (w *writing) writeTargets(targets []Target) (map[string]*metadata.TargetFiles, error) {
	wanted := map[string]*metadata.TargetFiles{}
	for _, t := range targets {
		if !targetName.MatchString(t.Name) || wanted[t.Name] != nil {
			return nil, fmt.Errorf("target %q: a name that cannot be served, or twice", t.Name)
		}
		file, err := metadata.TargetFile().FromBytes(t.Name, t.Content, "sha256")
		if err != nil {
			return nil, err
		}
		if file.Custom, err = t.custom(); err != nil {
			return nil, err
		}
		if err := w.write(filepath.Join(targetsFolder, file.Hashes["sha256"].String()+"."+t.Name), t.Content); err != nil {
			return nil, err
		}
		wanted[t.Name] = file
	}
	return wanted, nil
}

// custom is the metadata that clients from before trusted_root.json look for.
func (t Target) custom() (*json.RawMessage, error) {
	if t.Usage == "" {
		return nil, nil //nolint:nilnil // no custom metadata
	}
	status := "Active"
	if t.Ended {
		status = "Expired"
	}
	raw, err := json.Marshal(map[string]map[string]string{"sigstore": {"usage": t.Usage, "status": status, "uri": t.URL}})
	return (*json.RawMessage)(&raw), err
}

func (w *writing) updateTargets(wanted map[string]*metadata.TargetFiles) (int64, error) {
	old := current(w, metadata.Targets(), RoleTargets)
	same := old != nil && sameTargets(old.Signed.Targets, wanted)
	if len(w.r.cfg.Signers[RoleTargets]) == 0 { // its key is kept elsewhere
		if !same {
			return 0, errors.New("targets have changed and their key is not here (hint: put keys/tuf-targets.key back for the change)")
		}
		w.note(RoleTargets, old.Signed.Expires, false)
		return old.Signed.Version, nil
	}
	if same && w.fresh(RoleTargets, old.Signed.Expires, old.Signatures) {
		w.note(RoleTargets, old.Signed.Expires, true)
		return old.Signed.Version, nil
	}
	md := metadata.Targets(w.expiry(RoleTargets))
	md.Signed.Version, md.Signed.Targets = w.version(0), wanted
	if old != nil {
		md.Signed.Version = w.version(old.Signed.Version)
	}
	w.note(RoleTargets, md.Signed.Expires, true)
	return md.Signed.Version, finish(w, md, RoleTargets, fmt.Sprintf("%d.targets.json", md.Signed.Version))
}

func (w *writing) updateSnapshot(targets int64) (int64, error) {
	old := current(w, metadata.Snapshot(), RoleSnapshot)
	if old != nil && versionOf(old.Signed.Meta, "targets.json") == targets && w.fresh(RoleSnapshot, old.Signed.Expires, old.Signatures) {
		w.note(RoleSnapshot, old.Signed.Expires, true)
		return old.Signed.Version, nil
	}
	md := metadata.Snapshot(w.expiry(RoleSnapshot))
	md.Signed.Version = w.version(0)
	if old != nil {
		md.Signed.Version = w.version(old.Signed.Version)
	}
	md.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": metadata.MetaFile(targets)}
	w.note(RoleSnapshot, md.Signed.Expires, true)
	return md.Signed.Version, finish(w, md, RoleSnapshot, fmt.Sprintf("%d.snapshot.json", md.Signed.Version))
}

func (w *writing) updateTimestamp(snapshot int64) error {
	old := current(w, metadata.Timestamp(), RoleTimestamp)
	if old != nil && versionOf(old.Signed.Meta, "snapshot.json") == snapshot && w.fresh(RoleTimestamp, old.Signed.Expires, old.Signatures) {
		w.note(RoleTimestamp, old.Signed.Expires, true)
		return nil
	}
	md := metadata.Timestamp(w.expiry(RoleTimestamp))
	md.Signed.Version = w.version(0)
	if old != nil {
		md.Signed.Version = w.version(old.Signed.Version)
	}
	md.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": metadata.MetaFile(snapshot)}
	w.note(RoleTimestamp, md.Signed.Expires, true)
	return finish(w, md, RoleTimestamp, timestampName)
}

func (w *writing) expiry(role Role) time.Time { return w.now.Add(w.r.cfg.Life[role]) }

// version is the next one of a role.
func (w *writing) version(old int64) int64 { return max(old+1, w.now.Unix()) }

// fresh says whether a role may stay as it is: enough of its life is left, and
// it is signed with the keys at hand, and no other.
func (w *writing) fresh(role Role, expires time.Time, signatures []metadata.Signature) bool {
	if !w.now.Before(w.renewal(role, expires)) || len(signatures) != len(w.r.cfg.Signers[role]) {
		return false
	}
	for _, key := range w.r.cfg.Signers[role] {
		id, err := KeyID(key.Public())
		if err != nil || !slices.ContainsFunc(signatures, func(s metadata.Signature) bool { return s.KeyID == id }) {
			return false
		}
	}
	return true
}

func (w *writing) renewal(role Role, expires time.Time) time.Time {
	life := w.r.cfg.Life[role]
	return expires.Add(-life + life/renewAt)
}

func (w *writing) note(role Role, expires time.Time, renewable bool) {
	w.status.Expires[role] = expires
	if due := w.renewal(role, expires); renewable && (w.status.Due.IsZero() || due.Before(w.status.Due)) {
		w.status.Due = due
	}
}

// finish signs, verifies as a client would and writes.
func finish[T metadata.Roles](w *writing, md *metadata.Metadata[T], role Role, name string) error {
	for _, key := range w.r.cfg.Signers[role] {
		if err := sign(md, key); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
	}
	if err := w.root.md.VerifyDelegate(string(role), md); err != nil {
		return fmt.Errorf("%s: check what was signed: %w", role, err)
	}
	doc, err := md.ToBytes(false)
	if err != nil {
		return err
	}
	return w.write(name, doc)
}

func sameTargets(have, want map[string]*metadata.TargetFiles) bool {
	if len(have) != len(want) {
		return false
	}
	for name, w := range want {
		h := have[name]
		if h == nil || h.Length != w.Length || !h.Hashes.Equal(w.Hashes) || !sameJSON(h.Custom, w.Custom) {
			return false
		}
	}
	return true
}

func sameJSON(a, b *json.RawMessage) bool {
	if a == nil || b == nil {
		return a == b
	}
	var x, y any
	if json.Unmarshal(*a, &x) != nil || json.Unmarshal(*b, &y) != nil {
		return false
	}
	p, errP := json.Marshal(x)
	q, errQ := json.Marshal(y)
	return errP == nil && errQ == nil && string(p) == string(q)
}
