// SPDX-License-Identifier: Apache-2.0

// Package writers says who may write to the log over HTTP. The signing service
// itself, which appends in process, always may.
//
// The question is asked about an entry whose signature has been verified. That
// says less than it seems. An entry that holds a digest, and not what has that
// digest, proves nothing under an ECDSA key: for any public key anybody can
// compute pairs of a digest and a signature that verify (choose R = uG + vQ;
// then (R.x, R.x/v) signs u*R.x/v), though nobody knows what has such a digest.
// And whoever has seen one entry can spell it in other ways that verify, see
// spelling.go. A log that took all of these could be filled by strangers, under
// names that are not theirs. Hence:
//
//   - A certificate that was issued here lets its holder repeat what the signing
//     service has logged, in any spelling, and add nothing.
//   - A registered key adds entries, at a rate that somebody answers for, until
//     it expires. Forging under it is possible if it is an ECDSA key, and costs
//     the owner's rate, no more.
package writers

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Mode is the policy of a deployment. There is no default here.
type Mode string

// The modes.
const (
	// Issued admits entries under a certificate that Config.CheckIssued accepts
	// (no new ones, see the package comment) and entries of registered keys.
	Issued Mode = "issued"
	// Closed admits nobody over HTTP.
	Closed Mode = "closed"
	// Open admits everybody whose signature verifies. For development.
	Open Mode = "open"
)

// DefaultPerMinute is the rate of a key that does not say one: a release a
// second is more than a person makes, and a hundred thousand a day are few for a log.
const DefaultPerMinute = 60

// Key is a registered key: somebody outside the signing service who may add
// entries.
type Key struct {
	// Name and Owner are for people: what the key is called, and who answers for
	// it. Names are unique.
	Name, Owner string
	PublicKey   crypto.PublicKey
	// Expires is when the key stops being accepted. Every key expires.
	Expires time.Time
	// PerMinute is how many new entries the key may add per minute, and at
	// once; zero means DefaultPerMinute. Repeating an entry costs nothing.
	PerMinute int
}

// Config describes Writers.
type Config struct {
	Mode Mode
	// CheckIssued returns the key that signed a certificate if this deployment
	// issued it, otherwise why not: the writer is told. Needed for Issued.
	CheckIssued func(leaf *x509.Certificate) (issuer crypto.PublicKey, err error)
	// Keys are used by Issued.
	Keys []Key
	// Clock is for expiry and rate; nil means time.Now.
	Clock func() time.Time
}

// Claim is what an entry says of its writer. Its signature has been verified.
type Claim struct {
	// Certificate is nil for an entry with a bare key.
	Certificate *x509.Certificate
	// PublicKey verified the signature; with a certificate, it is that of the
	// certificate.
	PublicKey crypto.PublicKey
}

// Permission is what a writer may do.
type Permission struct {
	// New says that an entry that the log does not have may be added, after
	// Take. Otherwise it is answered if the log has it, and refused with
	// NotLogged if not.
	New bool
	// Issuer is the key that signed the claim's certificate, if that was issued
	// here: Spellings needs it. The log is to be searched for every spelling
	// of the entry before it is added or refused, unless AnySpelling is set.
	Issuer crypto.PublicKey
	// AnySpelling says that every spelling is welcome as an entry of its own.
	AnySpelling bool
	// Writer names the writer, for logs: "key release (team@corp.example)".
	Writer string

	rate *bucket // of a registered key, else nil
}

// Refused says that a writer may not write. Reason is for the writer.
type Refused struct {
	Reason string
	// RetryAfter is when to come again if only the rate is exceeded, else 0.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Refused) Error() string { return e.Reason }

// Writers decides. Its methods may be called concurrently.
type Writers struct {
	mode        Mode
	checkIssued func(leaf *x509.Certificate) (crypto.PublicKey, error)
	clock       func() time.Time
	keys        map[keyID]*registered
}

// keyID is the SHA-256 of a key's DER SubjectPublicKeyInfo.
type keyID [sha256.Size]byte

type registered struct {
	Key
	rate *bucket
}

var _ sync.Locker = (*sync.Mutex)(nil)

// New returns Writers, or says what is wrong with cfg.
func New(cfg Config) (*Writers, error) {
	return nil, errors.New("unwritten")
}

// Closed returns why nobody may write, or nil. Ask before reading a request.
func (w *Writers) Closed() error { panic("unwritten") }

// Admit returns what the writer of a verified entry may do, or a *Refused.
func (w *Writers) Admit(c Claim) (Permission, error) { panic(fmt.Sprint("unwritten")) }

// Take spends one new entry of the writer's rate: call it when the log turned
// out not to have the entry, before adding it. A *Refused with RetryAfter says
// that the rate is exceeded.
func (p Permission) Take() error { panic("unwritten") }

type bucket struct{ mu sync.Mutex }

// NotLogged is the refusal of an entry that is new, for a Permission without
// New.
func NotLogged() *Refused {
	return &Refused{Reason: "this log does not have the entry, and takes new ones from its signing service and from registered keys only"}
}
