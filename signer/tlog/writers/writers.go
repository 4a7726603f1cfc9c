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
//   - A certificate that the signing service has signed with lets anybody repeat
//     what was logged, in any spelling, and add nothing.
//   - A certificate that was issued on request lets its holder add the one
//     signature that it was made for, see holder.go.
//   - A registered key adds entries, at a rate that somebody answers for, until
//     it expires. Forging under it is possible if it is an ECDSA key, and costs
//     the owner's rate, no more.
package writers

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"math"
	"strconv"
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

// Claim is what an entry says of its writer. Its signature has been verified.
type Claim struct {
	// Certificate is nil for an entry with a bare key.
	Certificate *x509.Certificate
	// PublicKey verified the signature; with a certificate, it is that of the
	// certificate.
	PublicKey crypto.PublicKey
}

// Permission is what a writer may do with an entry. The order is: look for the
// entry in the log, in every spelling unless AnySpelling is set, and answer it
// if it is there; otherwise Take, then append.
type Permission struct {
	// New says that an entry that the log does not have may be added, if Take
	// agrees.
	New bool
	// AnySpelling says that every spelling is welcome as an entry of its own.
	AnySpelling bool
	// Issuer is the key that signed the claim's certificate, if that was issued
	// here; Spellings needs it.
	Issuer crypto.PublicKey
	// Writer names the writer in refusals and in the service's own log of what
	// was added: "key release of team@corp.example".
	Writer string

	rate   *bucket // of a registered key, else nil
	holder *holder // of a certificate issued on request, else nil
}

// Take spends one new entry of the writer's rate, or the one of a certificate:
// call it when the log turned out not to have the entry, before adding it. Its
// errors are *Refused: the writer may add nothing, or has added too much, with
// RetryAfter. Any other error says that it could not be decided.
func (p Permission) Take(ctx context.Context, add Addition) error {
	switch {
	case !p.New:
		return &Refused{Reason: "this log does not have the entry, and takes new ones from its signing service and from registered keys only"}
	case p.holder != nil:
		return p.holder.take(ctx, add)
	case p.rate == nil:
		return nil
	}
	if wait := p.rate.take(); wait > 0 {
		return &Refused{
			Reason:     fmt.Sprintf("%s adds more than %d entries per minute; retry later", p.Writer, p.rate.perMinute),
			RetryAfter: wait,
		}
	}
	return nil
}

// Refused says that a writer may not write. Reason is for the writer.
type Refused struct {
	Reason string
	// RetryAfter is when to come again if only the rate is exceeded, else 0.
	// HTTP has 429 for that, with a Retry-After header, see Seconds.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Refused) Error() string { return e.Reason }

// Seconds is RetryAfter as the Retry-After header has it: whole seconds, rounded
// up (RFC 9110 10.2.3).
func (e *Refused) Seconds() string {
	return strconv.FormatInt(int64(math.Ceil(e.RetryAfter.Seconds())), 10)
}

// Writers decides. Its methods may be called concurrently. Rates are counted in
// this process: with several replicas a key has its rate at each.
type Writers struct {
	mode        Mode
	checkIssued func(leaf *x509.Certificate) (crypto.PublicKey, error)
	requested   *Requested // nil if nothing is issued on request
	clock       func() time.Time
	keys        map[keyID]registered
}

// Closed returns why nobody may write, a *Refused, or nil. Ask before reading a
// request.
func (w *Writers) Closed() error {
	if w.mode == Closed {
		return &Refused{Reason: "this log takes entries from its signing service only"}
	}
	return nil
}

// Admit returns what the writer of a verified entry may do, or a *Refused.
func (w *Writers) Admit(c Claim) (Permission, error) {
	if err := w.Closed(); err != nil {
		return Permission{}, err
	}
	if w.mode == Open {
		return Permission{New: true, AnySpelling: true, Writer: "anybody"}, nil
	}
	key, known := w.registered(c.PublicKey)
	if c.Certificate != nil {
		return w.admitCertificate(c.Certificate, known)
	}
	switch {
	case !known:
		return Permission{}, &Refused{Reason: "this log takes entries with a certificate issued here and those of registered keys, and " +
			describe(c.PublicKey) + " is not registered (hint: whoever runs the log adds it to log.keys)"}
	case !w.clock().Before(key.Expires):
		return Permission{}, &Refused{Reason: key.title() + " has expired on " + key.Expires.UTC().Format(time.RFC3339) +
			" (hint: whoever runs the log renews it in log.keys)"}
	}
	return Permission{New: true, Writer: key.title(), rate: key.rate}, nil
}

// admitCertificate decides about an entry with a certificate. That its key is
// registered is no reason to take it: anybody can put a public key into a
// certificate, in as many ways as they like, and each is another entry.
func (w *Writers) admitCertificate(cert *x509.Certificate, registered bool) (Permission, error) {
	issuer, err := w.checkIssued(cert)
	if err == nil {
		return Permission{Issuer: issuer, Writer: "holder of a certificate issued here"}, nil
	}
	if holder, issuer, err := w.holderOf(cert); err == nil {
		return Permission{New: true, Issuer: issuer, Writer: "holder of a certificate issued on request", holder: holder}, nil
	}
	if registered {
		return Permission{}, &Refused{Reason: "this log takes entries with a certificate issued here: " + err.Error() +
			" (hint: its key is registered; send the bare public key instead of the certificate)"}
	}
	return Permission{}, &Refused{Reason: "this log takes entries with a certificate issued here: " + err.Error()}
}
