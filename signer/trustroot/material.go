// SPDX-License-Identifier: Apache-2.0

// Package trustroot publishes what verifiers need to know of a deployment.
package trustroot

import (
	"crypto"
	"crypto/x509"
	"net/url"
	"time"
)

// Window is when a key is believed. A zero End is open.
type Window struct{ Start, End time.Time }

// Authority is a certificate authority or a time-stamping authority.
type Authority struct {
	URL   *url.URL
	Chain []*x509.Certificate
	Window
}

// Log is a transparency log's public key.
type Log struct {
	URL *url.URL
	Key crypto.PublicKey
	Window
}

// Material is every key a verifier has to know, past ones included.
type Material struct {
	Authorities []Authority
	CTLogs      []Log
	Logs        []Log
	Timestamps  []Authority
}

// Deployment is a service that has never rotated anything: one key of each.
type Deployment struct {
	Origin            *url.URL
	CAChain, TSAChain []*x509.Certificate
	CT, LogV2         crypto.PublicKey
	LogV2URL          *url.URL
	Start             time.Time
}

// Material lists the deployment's keys.
func (d Deployment) Material() Material { panic("unwritten") }

// URLs are the endpoints that clients may use for signing; an empty one is not offered.
type URLs struct{ Operator, CA, OIDC, Log, TSA string }

// TrustedRoot encodes trusted_root.json.
func TrustedRoot(m Material) ([]byte, error) { panic("unwritten") }

// SigningConfig encodes signing_config.v0.2.json.
func SigningConfig(m Material, u URLs) ([]byte, error) { panic("unwritten") }
