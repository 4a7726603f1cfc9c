// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// SigningConfigMediaType is that of format 0.2, the only one stock clients
// read.
const SigningConfigMediaType = "application/vnd.dev.sigstore.signingconfig.v0.2+json"

// Major versions of the APIs, as clients count them: Fulcio says v2 in its
// paths and is version 1 here.
const (
	caVersion   = 1
	oidcVersion = 1
	tsaVersion  = 1
)

// selectAny lets a client use any one of the services offered.
const selectAny = "ANY"

// URLs are the endpoints that stock clients may sign with. An empty one is not
// offered. TSA is the complete path of the endpoint, the others are bases.
type URLs struct {
	// Operator names who runs the services; clients use at most one service of
	// a kind per operator.
	Operator string
	CA       string
	OIDC     string
	// Logs are the logs that take entries, at most one of each version. A
	// client takes the highest version that it knows, so that listing version 2
	// needs TSA: version 2 entries carry no time, and clients refuse to make a
	// signature without one.
	Logs []LogURL
	TSA  string
}

// LogURL is a transparency log as signing clients see it.
type LogURL struct {
	URL string
	// Version is that of its API: 1 or 2.
	Version int
	// Key is the log's key, which is in the material: the log is offered from
	// the day on which the key is believed.
	Key crypto.PublicKey
}

type (
	signingConfig struct {
		MediaType       string        `json:"mediaType"`
		CaURLs          []serviceJSON `json:"caUrls,omitempty"`
		OidcURLs        []serviceJSON `json:"oidcUrls,omitempty"`
		RekorTlogURLs   []serviceJSON `json:"rekorTlogUrls,omitempty"`
		RekorTlogConfig selectorJSON  `json:"rekorTlogConfig"`
		TsaURLs         []serviceJSON `json:"tsaUrls,omitempty"`
		TsaConfig       selectorJSON  `json:"tsaConfig"`
	}
	serviceJSON struct {
		URL             string     `json:"url"`
		MajorAPIVersion int        `json:"majorApiVersion"`
		ValidFor        windowJSON `json:"validFor"`
		Operator        string     `json:"operator"`
	}
	selectorJSON struct {
		Selector string `json:"selector"`
	}
)

// SigningConfig encodes signing_config.v0.2.json for the services that are in
// use: each is offered from the start of the open window of its key. A service
// without such a key is an error, because nothing it signs could be verified.
func SigningConfig(m Material, u URLs) ([]byte, error) {
	if u.Operator == "" {
		return nil, errors.New("encode signing config: no operator (hint: the service's host name)")
	}
	config := signingConfig{
		MediaType:       SigningConfigMediaType,
		RekorTlogConfig: selectorJSON{selectAny},
		TsaConfig:       selectorJSON{selectAny},
	}
	services := []offer{
		{&config.CaURLs, "certificate authority", u.CA, caVersion, authorityWindows(m.CertificateAuthorities)},
		// Tokens are for certificates, so that the issuer is offered as long
		// as the authority is.
		{&config.OidcURLs, "token issuer", u.OIDC, oidcVersion, authorityWindows(m.CertificateAuthorities)},
		{&config.TsaURLs, "time-stamping authority", u.TSA, tsaVersion, authorityWindows(m.TimestampAuthorities)},
	}
	logs, err := offerLogs(m, u, &config.RekorTlogURLs)
	if err != nil {
		return nil, fmt.Errorf("encode signing config: %w", err)
	}
	for _, s := range append(services, logs...) {
		if s.url == "" {
			continue
		}
		service, err := encodeService(s.url, s.version, u.Operator, s.windows)
		if err != nil {
			return nil, fmt.Errorf("encode signing config: %s: %w", s.name, err)
		}
		*s.into = append(*s.into, service)
	}
	return encode(config)
}

// offer is a service that may be offered.
type offer struct {
	into    *[]serviceJSON
	name    string
	url     string
	version int
	windows []Window
}

// offerLogs lists the logs, highest version first, because the format wants
// the preferred one first.
func offerLogs(m Material, u URLs, into *[]serviceJSON) ([]offer, error) {
	var offers []offer
	for _, version := range []int{2, 1} {
		for _, log := range u.Logs {
			if log.Version != version {
				continue
			}
			if version == 2 && u.TSA == "" {
				return nil, errors.New("a log of version 2 without a time-stamping authority (hint: its entries carry no time)")
			}
			offers = append(offers, offer{into, fmt.Sprintf("transparency log of version %d", version), log.URL, version, windowsOf(m.Logs, log.Key)})
		}
	}
	if len(offers) != len(u.Logs) {
		return nil, errors.New("a log is neither of version 1 nor of version 2")
	}
	return offers, nil
}

func encodeService(raw string, version int, operator string, windows []Window) (serviceJSON, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return serviceJSON{}, err
	}
	base, err := encodeURL(u)
	if err != nil {
		return serviceJSON{}, err
	}
	start, ok := openSince(windows)
	if !ok {
		return serviceJSON{}, errors.New("has no key in use")
	}
	window, err := Window{Start: start}.encode()
	if err != nil {
		return serviceJSON{}, err
	}
	return serviceJSON{URL: base, MajorAPIVersion: version, ValidFor: window, Operator: operator}, nil
}

// openSince returns the latest start among windows without an end.
func openSince(windows []Window) (start time.Time, ok bool) {
	for _, w := range windows {
		if w.End.IsZero() && (!ok || w.Start.After(start)) {
			start, ok = w.Start, true
		}
	}
	return start, ok
}

func authorityWindows(authorities []Authority) []Window {
	windows := make([]Window, 0, len(authorities))
	for _, a := range authorities {
		windows = append(windows, a.Window)
	}
	return windows
}

// windowsOf returns the window of the log with a key, if it is known.
func windowsOf(logs []Log, key crypto.PublicKey) []Window {
	for _, l := range logs {
		if sameKey(l.Key, key) {
			return []Window{l.Window}
		}
	}
	return nil
}
