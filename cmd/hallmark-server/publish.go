// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

func readTrustFile(path string) (_ []byte, err error) {
	f, err := os.Open(path) //nolint:gosec // a path of the deployment
	if err != nil {
		return nil, fmt.Errorf("read trust material: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	doc, err := io.ReadAll(io.LimitReader(f, maxTrust+1))
	if err != nil {
		return nil, fmt.Errorf("read trust material: %w", err)
	}
	if len(doc) > maxTrust {
		return nil, fmt.Errorf("read trust material: %s is larger than %d bytes", path, maxTrust)
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
	m = m.WithLogs(logs)
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

// replaceFile gives a file new content in one step: readers see the old or the
// new one, also after a crash. It does nothing if the content is the same.
func replaceFile(path string, content []byte) (replaced bool, err error) {
	if old, err := readTrustFile(path); err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	draft := path + ".new"
	if err := os.Remove(draft); err != nil && !os.IsNotExist(err) { // left by a crash
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	if err := writeNew(draft, content); err != nil {
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	return true, syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder of the deployment
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // only read
	return d.Sync()
}
