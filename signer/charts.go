// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// A Helm chart in the registry is signed like an image. Two things more are
// made of charts: provenance files, which Helm's own verification reads
// (chartprovenance.go), and statements about the images that a chart refers to
// (chartimages.go). For both the service reads the chart itself: what it has
// not seen, it does not sign.

// ActionChartProvenance asks for a chart's provenance file.
const ActionChartProvenance Action = "chart-provenance"

// MaxChartBytes bounds a chart's archive. The largest in the field have 2 MiB.
const MaxChartBytes = 20 << 20

// Charts is what charts need. All members are compulsory but Provenance.
type Charts struct {
	Reader   ChartReader
	Registry ChartRegistry
	Images   ImageSigners
	// Provenance makes provenance files; nil: none are made.
	Provenance *ProvenanceFiles
}

// ChartReader reads and renders charts, where they can do no harm. An
// attest.ErrChart means that the chart is not acceptable; any other error, that
// it could not be read now.
type ChartReader interface {
	Read(ctx context.Context, archive []byte, q attest.ChartQuestion) (attest.ChartReport, error)
}

// ChartRegistry is what charts need of the central registry. Errors are those of
// package oci.
type ChartRegistry interface {
	ChartArchive(ctx context.Context, chart oci.Artifact, limit int64) ([]byte, error)
	// Central returns ErrForeignRegistry for a host that is not the central
	// registry's.
	Central(host string) error
}

// ImageSigners tells who has had an image signed by this service, by signatures
// that were verified with the published trusted root. None is no error.
type ImageSigners interface {
	Signatures(ctx context.Context, image oci.Artifact) (ImageSignatures, error)
}

// ImageSignatures are the signatures of an image that this service has made.
type ImageSignatures struct {
	By []string // who asked for those that count
	// Revoked is when and why one was revoked that would count otherwise.
	Revoked string
}

// ProvenanceFiles is what provenance files are made of. All members are
// compulsory.
type ProvenanceFiles struct {
	// Keys are those of the moment: a key is rotated while the service runs.
	Keys func() ProvenanceKeys
	Log  ProvenanceLog
	// Tokens counts uses of tokens, as Journal.Begin does.
	Tokens TokenCounter
}

// ProvenanceKeys are the OpenPGP keys of provenance files at one moment.
type ProvenanceKeys struct {
	// Current signs.
	Current ProvenanceKey
	// Earlier signed before, the newest first. What they signed stays good, and a
	// chart that one of them has signed is not signed again.
	Earlier []ProvenanceRing
}

// ProvenanceKey is an OpenPGP key. Methods may call a KMS.
type ProvenanceKey interface {
	ProvenanceRing
	// ClearSign signs a text and has verified the result.
	ClearSign(text string, now time.Time) ([]byte, error)
}

// ProvenanceRing is the public half of an OpenPGP key.
type ProvenanceRing interface {
	// Rejoin makes a file of a text and a signature that was logged: the same
	// bytes as ClearSign returned. An error if the signature is not over the text,
	// or does not count at now.
	Rejoin(text string, armoured []byte, now time.Time) ([]byte, error)
	Fingerprint() string
	// Ring is the public key ring of this key alone.
	Ring() []byte
	Public() crypto.PublicKey
}

// ProvenanceLog is the log that has an entry for provenance files.
type ProvenanceLog interface {
	// Append returns when the entry is durable, like Log.Append. The same file
	// again returns the existing entry.
	AppendProvenance(ctx context.Context, file, ring []byte, chart oci.Artifact) (attest.LogEntry, error)
	// ProvenanceSignatures are those that the log has of this archive and key,
	// oldest first.
	ProvenanceSignatures(ctx context.Context, archive attest.Digest, ring []byte) ([]LoggedProvenance, error)
}

// LoggedProvenance is a signature of a provenance file, and its log entry.
type LoggedProvenance struct {
	Armoured []byte
	Entry    attest.LogEntry
}

// TokenCounter counts a use of a token: a *Replayed if it has none left. The
// same request again is not counted again.
type TokenCounter interface {
	UseToken(ctx context.Context, use TokenUse, request string) error
}

var (
	// ErrNoCharts says that this service cannot read charts.
	ErrNoCharts = errors.New("this service does not read charts (hint: hallmark-chart belongs beside hallmark-server)")
	// ErrNoProvenance says that this service makes no provenance files.
	ErrNoProvenance = errors.New("this service has no OpenPGP key, so that it makes no provenance files (hint: charts.pgpKey in its configuration, then hallmark-server keys create)")
)

func (c *Charts) check() error {
	if c == nil {
		return nil
	}
	if c.Reader == nil || c.Registry == nil || c.Images == nil {
		return errors.New("charts need a reader, a registry and a way to see who signed images")
	}
	if p := c.Provenance; p != nil && (p.Keys == nil || p.Log == nil || p.Tokens == nil) {
		return errors.New("provenance files need a key, a log and a count of tokens")
	}
	return nil
}

// checkChartName wants a chart to be in the repository of its name, as Helm
// pushes it. Rules say who may sign in which repository, and a chart is known by
// its name.
func checkChartName(name, repository string) error {
	if path.Base(repository) != name {
		return fmt.Errorf("%w: the chart is called %q and would be in the repository %q, whose last part is its name (hint: …/%s)", ErrBadRequest, name, repository, name)
	}
	return nil
}
