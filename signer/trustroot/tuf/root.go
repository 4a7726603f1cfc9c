// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Root is a version of the root role, signed or still a draft. It is not safe
// for concurrent use.
type Root struct {
	md *metadata.Metadata[metadata.RootType]
}

// Spec says who may do what in a root.
type Spec struct {
	// Holders are the root keys, each of another person. Threshold of them sign
	// each version.
	Holders   []crypto.PublicKey
	Threshold int
	// Online are the keys of the other roles: one signature of any of them.
	Online map[Role][]crypto.PublicKey
	// Expires is when clients stop to believe this version. They keep what they
	// have verified, and refuse to go on, so the next version comes well before.
	Expires time.Time
}

// NewRoot drafts version 1.
func NewRoot(s Spec) (*Root, error) {
	r := &Root{metadata.Root()}
	r.md.Signed.ConsistentSnapshot = true
	if err := r.apply(s, 1); err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	return r, nil
}

// Next drafts the version after r. It is signed by a threshold of r's holders
// and of its own.
func (r *Root) Next(s Spec) (*Root, error) {
	next := &Root{metadata.Root()}
	next.md.Signed.ConsistentSnapshot = true
	if err := next.apply(s, r.Version()+1); err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	return next, nil
}

func (r *Root) apply(s Spec, version int64) error {
	signed := &r.md.Signed
	signed.Version, signed.Expires = version, s.Expires.UTC().Truncate(time.Second)
	if err := r.assign(RoleRoot, s.Holders, s.Threshold); err != nil {
		return err
	}
	for _, role := range OnlineRoles() {
		if err := r.assign(role, s.Online[role], 1); err != nil {
			return err
		}
	}
	return r.check()
}

func (r *Root) assign(role Role, keys []crypto.PublicKey, threshold int) error {
	r.md.Signed.Roles[string(role)] = &metadata.Role{KeyIDs: []string{}, Threshold: threshold}
	for _, public := range keys {
		key, id, err := encodeKey(public)
		if err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		if slices.Contains(r.md.Signed.Roles[string(role)].KeyIDs, id) {
			return fmt.Errorf("%s: key %s is there twice: one key counts once", role, id)
		}
		if err := r.md.Signed.AddKey(key, string(role)); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
	}
	return nil
}

// check wants what clients want, and what keeps the roles apart.
func (r *Root) check() error {
	signed := r.md.Signed
	if signed.Version < 1 || !signed.ConsistentSnapshot || len(signed.Roles) != 1+len(OnlineRoles()) {
		return errors.New("not a root of this kind of repository: it needs a version, consistent snapshots and the four roles")
	}
	owner := map[string]Role{}
	for _, role := range append([]Role{RoleRoot}, OnlineRoles()...) {
		assigned := signed.Roles[string(role)]
		if assigned == nil || len(assigned.KeyIDs) == 0 || len(assigned.KeyIDs) > maxKeys {
			return fmt.Errorf("%s has no keys, or more than %d", role, maxKeys)
		}
		if assigned.Threshold < 1 || assigned.Threshold > len(assigned.KeyIDs) {
			return fmt.Errorf("%s needs %d signatures and has %d keys (hint: a threshold from 1 to the number of keys)", role, assigned.Threshold, len(assigned.KeyIDs))
		}
		for _, id := range assigned.KeyIDs {
			public, err := r.publicKey(id)
			if err != nil {
				return fmt.Errorf("%s: key %s: %w", role, id, err)
			}
			// The id is what signatures are found by: it must be that of the key.
			if own, err := KeyID(public); err != nil || own != id {
				return fmt.Errorf("%s: key %s is not the key that it is called", role, id)
			}
			if other, taken := owner[id]; taken && (other == RoleRoot || role == RoleRoot) {
				return fmt.Errorf("key %s is of %s and of %s: a root key that is online is none", id, other, role)
			}
			owner[id] = role
		}
	}
	return nil
}

func (r *Root) publicKey(id string) (crypto.PublicKey, error) {
	key := r.md.Signed.Keys[id]
	if key == nil {
		return nil, errors.New("is not listed")
	}
	public, err := key.ToPublicKey()
	if err != nil {
		return nil, err
	}
	return public, checkKey(public)
}

// ParseRoot reads a root, draft or signed. It checks its form, not its
// signatures.
func ParseRoot(doc []byte) (*Root, error) {
	md, err := parse(metadata.Root(), doc)
	if err != nil {
		return nil, fmt.Errorf("parse root: %w (hint: this must be N.root.json, or the draft of one)", err)
	}
	r := &Root{md}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("parse root: %w", err)
	}
	return r, nil
}

// Bytes encodes the root. Signatures cover the canonical form and not these
// bytes.
func (r *Root) Bytes() ([]byte, error) {
	doc, err := r.md.ToBytes(true)
	if err != nil {
		return nil, err
	}
	return append(doc, '\n'), nil
}

// Version of the root, from 1.
func (r *Root) Version() int64 { return r.md.Signed.Version }

// Expires is when clients stop to believe it.
func (r *Root) Expires() time.Time { return r.md.Signed.Expires }

// FileName is what clients ask for.
func (r *Root) FileName() string { return RootName(r.Version()) }

// RootName is the file name of a version.
func RootName(version int64) string { return fmt.Sprintf("%d.root.json", version) }

// Spec says who may do what.
func (r *Root) Spec() (Spec, error) {
	s := Spec{Threshold: r.Threshold(), Online: map[Role][]crypto.PublicKey{}, Expires: r.Expires()}
	for _, role := range append([]Role{RoleRoot}, OnlineRoles()...) {
		for _, id := range r.KeyIDs(role) {
			public, err := r.publicKey(id)
			if err != nil {
				return Spec{}, err
			}
			if role == RoleRoot {
				s.Holders = append(s.Holders, public)
			} else {
				s.Online[role] = append(s.Online[role], public)
			}
		}
	}
	return s, nil
}

// KeyIDs are the keys of a role.
func (r *Root) KeyIDs(role Role) []string {
	return slices.Clone(r.md.Signed.Roles[string(role)].KeyIDs)
}

// Threshold is how many holders sign a root.
func (r *Root) Threshold() int { return r.md.Signed.Roles[string(RoleRoot)].Threshold }

// ErrNotHolder says that a key is no root key.
var ErrNotHolder = errors.New("not a root key")

// Sign adds a holder's signature. The key is one of this root's holders, or of
// the previous one's, which may be nil. Signing again changes nothing.
func (r *Root) Sign(key crypto.Signer, previous *Root) (id string, err error) {
	if id, err = KeyID(key.Public()); err != nil {
		return "", fmt.Errorf("sign root: %w", err)
	}
	holder := slices.Contains(r.KeyIDs(RoleRoot), id) || previous != nil && slices.Contains(previous.KeyIDs(RoleRoot), id)
	if !holder {
		return id, fmt.Errorf("sign root: %w: %s is none of this version or of the one before", ErrNotHolder, id)
	}
	// A signature of the same key over another draft would be in the way.
	r.md.Signatures = slices.DeleteFunc(r.md.Signatures, func(s metadata.Signature) bool { return s.KeyID == id })
	if err := sign(r.md, key); err != nil {
		return id, fmt.Errorf("sign root: %w", err)
	}
	return id, nil
}

// Signers are the holders whose signature is there and good: of the keys that
// by lists, which is r itself or the root before it.
func (r *Root) Signers(by *Root) []string {
	var good []string
	for _, id := range by.KeyIDs(RoleRoot) {
		alone := &Root{metadata.Root()}
		alone.md.Signed.Keys = by.md.Signed.Keys
		alone.md.Signed.Roles = map[string]*metadata.Role{string(RoleRoot): {KeyIDs: []string{id}, Threshold: 1}}
		if alone.md.VerifyDelegate(string(RoleRoot), r.md) == nil {
			good = append(good, id)
		}
	}
	return good
}

// ErrUnsigned says that signatures are missing.
var ErrUnsigned = errors.New("signatures are missing")

// Verify says whether clients take r after previous, or as their first if
// previous is nil. It does not look at the clock.
func (r *Root) Verify(previous *Root) error {
	deciders := []*Root{r}
	if previous == nil {
		if r.Version() != 1 {
			return fmt.Errorf("root version %d has no predecessor here", r.Version())
		}
	} else {
		if r.Version() != previous.Version()+1 {
			return fmt.Errorf("root version %d does not follow version %d: clients go from one to the next", r.Version(), previous.Version())
		}
		deciders = append(deciders, previous)
	}
	for _, by := range deciders {
		if have := len(r.Signers(by)); have < by.Threshold() {
			return fmt.Errorf("root version %d: %w: %d of the %d that version %d asks for", r.Version(), ErrUnsigned, have, by.Threshold(), by.Version())
		}
	}
	return nil
}

// VerifyChain reads and verifies the roots from version 1 on.
func VerifyChain(docs [][]byte) ([]*Root, error) {
	var chain []*Root
	var previous *Root
	for _, doc := range docs {
		r, err := ParseRoot(doc)
		if err != nil {
			return nil, err
		}
		if err := r.Verify(previous); err != nil {
			return nil, err
		}
		chain = append(chain, r)
		previous = r
	}
	if len(chain) == 0 {
		return nil, errors.New("no root")
	}
	return chain, nil
}
