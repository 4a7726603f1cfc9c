// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// MediaType is that of format 0.1. Format 0.2 differs in the name only, and
// stock cosign 2.6 and 3.1 refuse it.
const MediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// merkleHash is the only hash that transparency logs use.
const merkleHash = "SHA2_256"

// The types below are dev.sigstore.trustroot.v1 in JSON; encoding/json writes
// []byte as base64, as protobuf's JSON does. They are spelled out because the
// protobuf encoder varies its white space on purpose.
type (
	trustedRoot struct {
		MediaType              string          `json:"mediaType"`
		Tlogs                  []logInstance   `json:"tlogs"`
		CertificateAuthorities []authorityJSON `json:"certificateAuthorities,omitempty"`
		Ctlogs                 []logInstance   `json:"ctlogs,omitempty"`
		TimestampAuthorities   []authorityJSON `json:"timestampAuthorities,omitempty"`
	}
	logInstance struct {
		BaseURL       string    `json:"baseUrl"`
		HashAlgorithm string    `json:"hashAlgorithm"`
		PublicKey     publicKey `json:"publicKey"`
		LogID         logID     `json:"logId"`
	}
	publicKey struct {
		RawBytes   []byte     `json:"rawBytes"` // SubjectPublicKeyInfo, DER
		KeyDetails string     `json:"keyDetails"`
		ValidFor   windowJSON `json:"validFor"`
	}
	logID struct {
		KeyID []byte `json:"keyId"` // 32 bytes
	}
	windowJSON struct {
		Start string `json:"start"`
		End   string `json:"end,omitempty"`
	}
	authorityJSON struct {
		Subject   distinguishedName `json:"subject"`
		URI       string            `json:"uri"`
		CertChain certificateChain  `json:"certChain"`
		ValidFor  windowJSON        `json:"validFor"`
	}
	distinguishedName struct {
		Organization string `json:"organization"`
		CommonName   string `json:"commonName"`
	}
	certificateChain struct {
		Certificates []certificateJSON `json:"certificates"`
	}
	certificateJSON struct {
		RawBytes []byte `json:"rawBytes"`
	}
)

// TrustedRoot encodes trusted_root.json. The same material gives the same
// bytes. It refuses material that verifiers would misunderstand: no
// transparency log, windows without a start, chains that do not hold together,
// two logs with one key id.
func TrustedRoot(m Material) ([]byte, error) {
	root := trustedRoot{MediaType: MediaType}
	if len(m.Logs) == 0 {
		return nil, errors.New("encode trusted root: no transparency log")
	}
	var err error
	if root.Tlogs, err = encodeLogs(m.Logs, transparencyKey); err != nil {
		return nil, fmt.Errorf("encode trusted root: transparency log %w", err)
	}
	if root.Ctlogs, err = encodeLogs(m.CertificateLogs, certificateLogKey); err != nil {
		return nil, fmt.Errorf("encode trusted root: certificate log %w", err)
	}
	if root.CertificateAuthorities, err = encodeAuthorities(m.CertificateAuthorities, checkIssuing); err != nil {
		return nil, fmt.Errorf("encode trusted root: certificate authority %w", err)
	}
	if root.TimestampAuthorities, err = encodeAuthorities(m.TimestampAuthorities, checkTimestamping); err != nil {
		return nil, fmt.Errorf("encode trusted root: time-stamping authority %w", err)
	}
	return encode(root)
}

func encodeLogs(logs []Log, describe func(Log) (keyInfo, error)) ([]logInstance, error) {
	seen := make(map[string]int)
	var out []logInstance
	for i, log := range logs {
		base, err := encodeURL(log.URL)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		key, err := describe(log)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		window, err := log.encode()
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		if first, taken := seen[string(key.id)]; taken {
			// Verifiers keep logs in a map by key id: one would replace the other.
			return nil, fmt.Errorf("%d: has the key id of log %d (hint: every log needs its own key)", i, first)
		}
		seen[string(key.id)] = i
		out = append(out, logInstance{
			BaseURL:       base,
			HashAlgorithm: merkleHash,
			PublicKey:     publicKey{RawBytes: key.spki, KeyDetails: key.details, ValidFor: window},
			LogID:         logID{KeyID: key.id},
		})
	}
	return out, nil
}

func encodeAuthorities(authorities []Authority, check func(*x509.Certificate) error) ([]authorityJSON, error) {
	var out []authorityJSON
	for i, a := range authorities {
		uri, err := encodeURL(a.URL)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		if err := checkChain(a.Chain, check); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		window, err := a.encode()
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		// The subject is for people; it is the root's, which outlives the rest.
		subject := a.Chain[len(a.Chain)-1].Subject
		encoded := authorityJSON{URI: uri, ValidFor: window, Subject: distinguishedName{CommonName: subject.CommonName}}
		if len(subject.Organization) > 0 {
			encoded.Subject.Organization = subject.Organization[0]
		}
		for _, cert := range a.Chain {
			encoded.CertChain.Certificates = append(encoded.CertChain.Certificates, certificateJSON{RawBytes: cert.Raw})
		}
		out = append(out, encoded)
	}
	return out, nil
}

func (w Window) encode() (windowJSON, error) {
	if w.Start.IsZero() {
		return windowJSON{}, errors.New("window has no start")
	}
	start := w.Start.UTC().Truncate(time.Second)
	out := windowJSON{Start: start.Format(time.RFC3339)}
	if !w.End.IsZero() {
		end := w.End.UTC().Truncate(time.Second)
		if !end.After(start) {
			return windowJSON{}, fmt.Errorf("window ends at %s, before it starts", end.Format(time.RFC3339))
		}
		out.End = end.Format(time.RFC3339)
	}
	return out, nil
}

// encodeURL wants an absolute URL: verifiers take the host name of a log's URL
// for its origin, and an empty one makes every checkpoint unverifiable.
func encodeURL(u *url.URL) (string, error) {
	if u == nil || u.Scheme == "" || u.Hostname() == "" {
		return "", errors.New("no absolute URL")
	}
	return u.String(), nil
}

// encode writes JSON that people can read in a diff, without escaping for
// HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
