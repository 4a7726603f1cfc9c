// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
)

// Parse reads what TrustedRoot wrote, so that the file itself is the record of
// what verifiers were told and when: rotation reads it, adds to it and writes
// it again, and forgets nothing. It is strict: a member that it does not know
// would be lost on the way back, so there must be none.
func Parse(doc []byte) (Material, error) {
	var root trustedRoot
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&root); err != nil {
		return Material{}, fmt.Errorf("parse trusted root: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Material{}, errors.New("parse trusted root: something follows the JSON object")
	}
	if root.MediaType != MediaType {
		return Material{}, fmt.Errorf("parse trusted root: media type %q, want %q", root.MediaType, MediaType)
	}
	var m Material
	var err error
	if m.Logs, err = decodeLogs(root.Tlogs); err != nil {
		return Material{}, fmt.Errorf("parse trusted root: transparency log %w", err)
	}
	if m.CertificateLogs, err = decodeLogs(root.Ctlogs); err != nil {
		return Material{}, fmt.Errorf("parse trusted root: certificate log %w", err)
	}
	if m.CertificateAuthorities, err = decodeAuthorities(root.CertificateAuthorities); err != nil {
		return Material{}, fmt.Errorf("parse trusted root: certificate authority %w", err)
	}
	if m.TimestampAuthorities, err = decodeAuthorities(root.TimestampAuthorities); err != nil {
		return Material{}, fmt.Errorf("parse trusted root: time-stamping authority %w", err)
	}
	// Whatever is wrong with the keys, encoding them says; and what would be
	// written otherwise than it was read is not understood.
	again, err := TrustedRoot(m)
	if err != nil {
		return Material{}, fmt.Errorf("parse trusted root: %w", err)
	}
	if !bytes.Equal(compact(again), compact(doc)) {
		return Material{}, errors.New("parse trusted root: it was not written by Hallmark (hint: keep the file that init made and add logs with hallmark-server log add)")
	}
	return m, nil
}

// compact takes the white space out of JSON that has been parsed before.
func compact(doc []byte) []byte {
	var out bytes.Buffer
	_ = json.Compact(&out, doc) // it is JSON
	return out.Bytes()
}

func decodeLogs(instances []logInstance) ([]Log, error) {
	var logs []Log
	for i, in := range instances {
		key, err := x509.ParsePKIXPublicKey(in.PublicKey.RawBytes)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		u, err := url.Parse(in.BaseURL)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		window, err := in.PublicKey.ValidFor.decode()
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		logs = append(logs, Log{URL: u, Key: key, Window: window})
	}
	return logs, nil
}

func decodeAuthorities(encoded []authorityJSON) ([]Authority, error) {
	var authorities []Authority
	for i, e := range encoded {
		u, err := url.Parse(e.URI)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		a := Authority{URL: u}
		for _, c := range e.CertChain.Certificates {
			cert, err := x509.ParseCertificate(c.RawBytes)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", i, err)
			}
			a.Chain = append(a.Chain, cert)
		}
		if a.Window, err = e.ValidFor.decode(); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		authorities = append(authorities, a)
	}
	return authorities, nil
}

func (w windowJSON) decode() (window Window, err error) {
	if window.Start, err = time.Parse(time.RFC3339, w.Start); err != nil {
		return Window{}, fmt.Errorf("window: %w", err)
	}
	if w.End != "" {
		if window.End, err = time.Parse(time.RFC3339, w.End); err != nil {
			return Window{}, fmt.Errorf("window: %w", err)
		}
	}
	return window, nil
}

// WithLogs returns the material with these logs in this order, each in the
// window that its key has already, if it has one. Logs of m that are not among
// them stay, behind the others: no key that was published is ever forgotten.
func (m Material) WithLogs(logs []Log) Material {
	all := make([]Log, 0, len(logs)+len(m.Logs))
	for _, l := range logs {
		for _, known := range m.Logs {
			if sameKey(known.Key, l.Key) {
				l = known
			}
		}
		all = append(all, l)
	}
	for _, known := range m.Logs {
		if windowsOf(all, known.Key) == nil {
			all = append(all, known)
		}
	}
	m.Logs = all
	return m
}

// HasLog says whether verifiers know a log's key.
func (m Material) HasLog(key crypto.PublicKey) bool { return windowsOf(m.Logs, key) != nil }

// sameKey compares public keys. Every type of the standard library has Equal.
func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
