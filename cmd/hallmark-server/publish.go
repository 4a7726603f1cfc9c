// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// maxTrust bounds a file of trust material, bytes: a hundred rotations.
const maxTrust = 4 << 20

// readMaterial reads what verifiers were told.
func (c *Config) readMaterial() (trustroot.Material, error) {
	doc, err := readTrustFile(c.path("trust", trustedRootName))
	if err != nil {
		return trustroot.Material{}, err
	}
	m, err := trustroot.Parse(doc)
	if err != nil {
		return trustroot.Material{}, fmt.Errorf("%s: %w", c.path("trust", trustedRootName), err)
	}
	return m, nil
}

func readTrustFile(path string) ([]byte, error) {
	doc, err := readBounded(path, maxTrust)
	if err != nil {
		return nil, fmt.Errorf("read trust material: %w", err)
	}
	return doc, nil
}

// publishTrust makes the trusted root and the signing config say what the
// database does: every log with its key, and the active ones to write to. It
// says whether anything had to be changed. It may be repeated: what a crash
// left half-way, the next call ends.
//
// The trusted root is written first. Verifiers that know a key which nobody
// uses lose nothing; a signer that is sent to a log which nobody knows does.
func publishTrust(cfg *Config, rows []tlog.LogRow, now time.Time) (changed bool, err error) {
	m, err := cfg.readMaterial()
	if err != nil {
		return false, err
	}
	var logs []trustroot.Log
	var active []trustroot.LogURL
	for _, row := range kindOrder(rows) {
		key, err := publicKeyOf(row)
		if err != nil {
			return false, err
		}
		base, err := cfg.logURL(row)
		if err != nil {
			return false, err
		}
		logs = append(logs, trustroot.Log{URL: base, Key: key, Window: trustroot.Window{Start: now}})
		if row.State == tlog.Active {
			version := 1
			if row.Kind == tlog.V2 {
				version = 2
			}
			active = append(active, trustroot.LogURL{URL: base.String(), Version: version, Key: key})
		}
	}
	if m, err = cfg.withFulcio(m.WithLogs(logs), now); err != nil {
		return false, err
	}
	root, err := trustroot.TrustedRoot(m)
	if err != nil {
		return false, err
	}
	config, err := cfg.signingConfig(m, active)
	if err != nil {
		return false, err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{trustedRootName, root}, {signingConfigName, config}} {
		replaced, err := replaceFile(cfg.path("trust", f.name), f.content)
		if err != nil {
			return changed, err
		}
		changed = changed || replaced
	}
	return changed, nil
}
