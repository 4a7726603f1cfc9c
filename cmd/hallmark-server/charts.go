// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/chartreader"
	"github.com/hallmark-dev/hallmark/signer/evidence"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/verifier"
)

// logOfCharts is signer.ProvenanceLog over the Rekor v1 face: the v2 log has no
// entries for provenance files.
type logOfCharts struct{ face *rekorv1.Service }

// AppendProvenance implements signer.ProvenanceLog.
func (l logOfCharts) AppendProvenance(ctx context.Context, file, ring []byte, chart oci.Artifact) (attest.LogEntry, error) {
	entry, err := l.face.AppendProvenance(ctx, rekorv1.Provenance{Content: file, PublicKey: ring, Keys: artifactKeys(signer.Entry{Artifact: chart})})
	return entry, signerError(err)
}

// ProvenanceSignatures implements signer.ProvenanceLog.
func (l logOfCharts) ProvenanceSignatures(ctx context.Context, archive attest.Digest, ring []byte) ([]signer.LoggedProvenance, error) {
	found, err := l.face.ProvenanceSignatures(ctx, archive, ring)
	if err != nil {
		return nil, signerError(err)
	}
	all := make([]signer.LoggedProvenance, len(found))
	for i, f := range found {
		all[i] = signer.LoggedProvenance{Armoured: f.Armoured, Entry: f.Entry}
	}
	return all, nil
}

// chartWiring is what charts are made of.
type chartWiring struct {
	registry *oci.Client
	db       store.Database
	v1       *rekorv1.Service
	trust    *published
	gone     *revoked
	keys     func() []api.PublicKey // the long-lived ones that are published
	password []byte
	logger   *slog.Logger
}

// openCharts connects what reads charts; nil if the program for it is not here.
// It returns the OpenPGP keys, too; nil if there are none.
func openCharts(ctx context.Context, cfg *Config, w chartWiring) (*signer.Charts, *chartKeys, error) {
	keys, err := newChartKeys(ctx, cfg, w)
	if err != nil {
		return nil, nil, err
	}
	program, err := cfg.chartReader()
	if err != nil {
		return nil, nil, err
	}
	reader, err := chartreader.New(ctx, program, cfg.Charts.Timeout.Duration)
	if errors.Is(err, fs.ErrNotExist) && cfg.Charts.Reader == "" {
		w.logger.WarnContext(ctx, "charts are signed like images, but not read: their program is not here", "program", program)
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, usageError{err}
	}
	if missing := reader.Missing(); len(missing) > 0 {
		w.logger.WarnContext(ctx, "charts are read by a process that this machine does not let be confined in every way; its limits hold", "missing", strings.Join(missing, "; "))
	}
	facts := &evidenceFacts{trust: w.trust, gone: w.gone}
	images, err := evidence.NewSigned(evidence.SignedConfig{
		Registry: w.registry, Facts: facts.Facts, ByKey: ownKeys{facts, w.keys}.signer, Revoked: revokedBy, Origin: cfg.Origin, Logger: w.logger,
	})
	if err != nil {
		return nil, nil, err
	}
	charts := &signer.Charts{Reader: reader, Registry: w.registry, Images: images}
	if keys == nil {
		return charts, nil, nil
	}
	charts.Provenance = &signer.ProvenanceFiles{Keys: keys.keys, Log: logOfCharts{w.v1}, Tokens: w.db}
	return charts, keys, nil
}

// revokedBy is evidence.SignedConfig.Revoked.
func revokedBy(err error) string {
	var refused *verifier.Refusal
	if errors.As(err, &refused) && refused.Reason == verifier.ReasonRevoked {
		return refused.Detail
	}
	return ""
}

// chartReader is the path of the program that reads charts.
func (c *Config) chartReader() (string, error) {
	if c.Charts.Reader != "" {
		return c.path(c.Charts.Reader), nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", chartReaderName, err)
	}
	return filepath.Join(filepath.Dir(self), chartReaderName), nil
}

// ownKeys knows signatures by the deployment's long-lived keys.
type ownKeys struct {
	facts *evidenceFacts
	keys  func() []api.PublicKey
}

// signer is evidence.SignedConfig.ByKey.
func (o ownKeys) signer(ctx context.Context, digest attest.Digest, bundle []byte) string {
	crypto, err := o.facts.current(ctx)
	if err != nil {
		return ""
	}
	for _, k := range o.keys() {
		der, _ := pem.Decode([]byte(k.PEM))
		if k.Use != forSignatures || der == nil {
			continue
		}
		claim := signer.Claim{Digest: digest, PredicateType: policy.PredicateSignature, PublicKey: der.Bytes}
		if checkByKey(ctx, crypto, bundle, claim) == nil {
			return "key " + k.Name
		}
	}
	return ""
}
