// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// filePlan says which files of a backup a deployment gets.
type filePlan struct {
	from    string
	missing []backedUpFile
	// kept are files that the deployment has and that are not the backup's.
	kept []string
	// material is what verifiers will know: the deployment's own trusted root if
	// it has one, which can only know more than the backup's.
	material trustroot.Material
}

// planFiles compares a backup with what the deployment has. Keys and
// certificates cannot differ: then it is another deployment. A trusted root may
// be newer than the backup; configuration and policy may have been changed.
func planFiles(cfg *Config, from string, m *manifest) (*filePlan, error) {
	plan := &filePlan{from: from}
	for _, f := range m.Files {
		folder, _, _ := strings.Cut(f.Path, "/")
		_, sum, err := hashFile(cfg.path(filepath.FromSlash(f.Path)))
		switch {
		case f.Path == backupDatabaseName:
		case errors.Is(err, os.ErrNotExist):
			plan.missing = append(plan.missing, f)
		case err != nil:
			return nil, fmt.Errorf("restore: %w", err)
		case sum == f.SHA256:
		case folder == "keys" || folder == "certs":
			return nil, noError{fmt.Errorf("restore: %s is not the backup's: that would mix two deployments (hint: an empty --dir)", cfg.path(f.Path))}
		default:
			plan.kept = append(plan.kept, f.Path)
		}
	}
	return plan, plan.readMaterial(cfg)
}

// readMaterial reads the trusted root that the deployment will have.
func (p *filePlan) readMaterial(cfg *Config) error {
	old, err := (&Config{dir: p.from}).readMaterial()
	if err != nil {
		return noError{fmt.Errorf("backup: %w", err)}
	}
	p.material = old
	if !exists(cfg.path("trust", trustedRootName)) {
		return nil
	}
	if p.material, err = cfg.readMaterial(); err != nil {
		return err
	}
	for _, l := range old.Logs {
		if !p.material.HasLog(l.Key) {
			return noError{fmt.Errorf("restore: %s does not know all logs of the backup: it is of another deployment (hint: an empty --dir)", cfg.path("trust", trustedRootName))}
		}
	}
	return nil
}

// copy gives the deployment what it lacks.
func (p *filePlan) copy(cfg *Config) error {
	for _, f := range p.missing {
		to := cfg.path(filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := copyNew(filepath.Join(p.from, filepath.FromSlash(f.Path)), to); err != nil {
			return err
		}
	}
	return nil
}
