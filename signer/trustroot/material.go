// SPDX-License-Identifier: Apache-2.0

// Package trustroot publishes what verifiers need to know of a deployment.
//
// A verifier never asks the service anything. It holds one file, the trusted
// root, with the public half of every key that ever mattered: certificate
// authorities, certificate logs, transparency logs and time-stamping
// authorities, each with the window of time in which it is believed. Rotating
// a key therefore means adding one item; what was signed before stays valid,
// and there is no day on which everybody has to change.
//
// A frozen log keeps an open window. The end of a window says that a key is not
// believed any more, and the key of a frozen log is: its entries stay good.
// Storage, not a date, makes sure that it takes no entry. An end would refuse
// entries that a replica with a fast clock took in the last second, would say
// nothing about Rekor v2 entries, which carry no time that could be compared
// with it, and would have to be right on every verifier at once. It remains for
// the day on which a key is stolen: until then the key of a frozen log is kept
// as safe as any other.
//
// Two files are made here, both as sigstore/protobuf-specs defines them in JSON:
// trusted_root.json for those who verify and signing_config.v0.2.json for
// stock clients that sign. The bytes depend on the material alone, so that two
// replicas publish the same file and a signature over it can be compared.
package trustroot

import (
	"crypto"
	"crypto/x509"
	"net/url"
	"time"
)

// Window is when a key is believed. Start is compulsory; a zero End means that
// the key is in use. Both are rounded down to whole seconds, the unit of
// certificates and timestamp tokens: a token of the same second as Start must
// not appear to be older.
type Window struct {
	Start time.Time
	End   time.Time
}

// Authority is a certificate authority or a time-stamping authority.
type Authority struct {
	// URL is where it was reached; verifiers only count different ones.
	URL *url.URL
	// Chain is the issuing certificate (CA) or the leaf (TSA) first and the
	// self-signed root last.
	Chain []*x509.Certificate
	Window
}

// Log is a certificate log or a transparency log.
type Log struct {
	// URL of the log. The host name of a Rekor v2 log is its origin: the first
	// line of its checkpoints has to be exactly that. Verifiers do not look at
	// that of a Rekor v1 log.
	URL *url.URL
	// Key is ECDSA P-256, or Ed25519 for transparency logs.
	Key crypto.PublicKey
	Window
}

// Origin is the name in the checkpoints of a Rekor v2 log.
func (l Log) Origin() string { return l.URL.Hostname() }

// Material is every key that a verifier has to know, past ones included. Lists
// are published in the order given.
type Material struct {
	// CertificateAuthorities issue signing certificates.
	CertificateAuthorities []Authority
	// CertificateLogs sign the timestamps embedded in them.
	CertificateLogs []Log
	// Logs are the transparency logs: those of Rekor v1, then those of Rekor v2,
	// each in the order of their creation. Old readers take the first they
	// understand.
	Logs []Log
	// TimestampAuthorities sign RFC 3161 tokens.
	TimestampAuthorities []Authority
}

// Deployment is a service that has never rotated anything: one key of each
// kind, all of them believed from Start on.
type Deployment struct {
	// Origin is the service's public URL, for example https://hallmark.example.
	Origin *url.URL
	// CAChain is the issuing certificate first, root last; TSAChain the leaf
	// first, root last.
	CAChain  []*x509.Certificate
	TSAChain []*x509.Certificate
	CT       crypto.PublicKey
	// LogV1 and LogV2 are the keys of the two logs, which cannot be the same:
	// verifiers know a log by its key. LogV1 is ECDSA P-256.
	LogV1 crypto.PublicKey
	LogV2 crypto.PublicKey
	Start time.Time
}

// timestampPath is the endpoint below Origin; see signer/tsa.
const timestampPath = "/api/v1/timestamp"

// Material lists the deployment's keys.
func (d Deployment) Material() Material {
	since := Window{Start: d.Start}
	var tsaURL *url.URL
	if d.Origin != nil {
		tsaURL = d.Origin.JoinPath(timestampPath)
	}
	return Material{
		CertificateAuthorities: []Authority{{URL: d.Origin, Chain: d.CAChain, Window: since}},
		CertificateLogs:        []Log{{URL: d.Origin, Key: d.CT, Window: since}},
		Logs:                   []Log{{URL: d.Origin, Key: d.LogV1, Window: since}, {URL: d.Origin, Key: d.LogV2, Window: since}},
		TimestampAuthorities:   []Authority{{URL: tsaURL, Chain: d.TSAChain, Window: since}},
	}
}
