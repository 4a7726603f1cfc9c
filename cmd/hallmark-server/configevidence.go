// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/schemas"
	"github.com/hallmark-dev/hallmark/signer/spool"
)

// spoolFolder is where documents are while they are received.
const spoolFolder = "spool"

// DocumentsConfig says how documents are attested. Its members are those of
// signing.
type DocumentsConfig struct {
	// EmbedEvidence is up to which size a document is embedded in its statement,
	// for example 4MiB (the default; at most 16MiB). A larger one is pushed to the
	// registry beside the image, and its statement names it by digest.
	EmbedEvidence ByteSize `yaml:"embedEvidence,omitempty"`
	// Spool is how much room all documents together have that are being received
	// or worked on, in the folder spool of the deployment. Default 1GiB, at least
	// 256MiB. Requests beyond it are told to come again.
	Spool ByteSize `yaml:"spool,omitempty"`
	// SpoolShare is how much of that the documents of one project may have at a
	// time, and so the most that one request brings. Default half of it, at least
	// 256MiB. Requests beyond it are told to come again.
	SpoolShare ByteSize `yaml:"spoolShare,omitempty"`
	// VerificationSummary has a SLSA verification summary made when the gate of a
	// rule is passed: which policy, which evidence, what that amounts to. init
	// switches it on.
	VerificationSummary bool `yaml:"verificationSummary,omitempty"`
}

// AttestationsConfig is about predicates that are not read as evidence.
type AttestationsConfig struct {
	// Schemas are JSON schemas (draft 4 to 2020-12) by predicate type: a statement
	// of the type that does not fit is refused. A schema refers to nothing outside
	// of its file.
	Schemas map[string]string `yaml:"schemas,omitempty"`
}

// The default of signing.spool, and the least: one document has room.
const (
	defaultSpool = 1 << 30
	leastSpool   = signer.MaxDocument + 1<<20
)

func (d DocumentsConfig) check() error {
	if d.EmbedEvidence > signer.HighestEmbed {
		return fmt.Errorf("signing.embedEvidence %d bytes: at most %d fit a statement", d.EmbedEvidence, signer.HighestEmbed)
	}
	if d.Spool != 0 && d.Spool < signer.MaxDocument {
		return fmt.Errorf("signing.spool %d bytes: the largest document has %d", d.Spool, signer.MaxDocument)
	}
	if limit, share := d.room(); d.SpoolShare != 0 && (d.SpoolShare < signer.MaxDocument || share > limit) {
		return fmt.Errorf("signing.spoolShare %d bytes: between the largest document, %d, and signing.spool, %d", d.SpoolShare, signer.MaxDocument, limit)
	}
	return nil
}

// room is the spool's limit, and one project's share of it.
func (d DocumentsConfig) room() (limit, share int64) {
	limit = max(int64(cmp.Or(d.Spool, defaultSpool)), leastSpool)
	return limit, int64(cmp.Or(d.SpoolShare, ByteSize(max(limit/2, signer.MaxDocument))))
}

// ByteSize is a number of bytes as people write it: 4MiB.
type ByteSize int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (b *ByteSize) UnmarshalYAML(node *yaml.Node) error {
	var text string
	if err := node.Decode(&text); err != nil {
		return err
	}
	number, unit := strings.TrimSpace(text), int64(1)
	for suffix, of := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(n), of
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return errors.New("want a number of bytes such as 4MiB, not " + text)
	}
	*b = ByteSize(n * unit)
	return nil
}

// openSpool opens the room for documents.
func (c *Config) openSpool() (api.Spool, error) {
	limit, share := c.Signing.room()
	area, err := spool.Open(c.path(spoolFolder), limit, share)
	if err != nil {
		return nil, err
	}
	return area, nil
}

// openSchemas reads the schemas of predicates; nil: there are none.
func (c *Config) openSchemas() (signer.Schemas, error) {
	if len(c.Attestations.Schemas) == 0 {
		return nil, nil //nolint:nilnil // nothing is checked
	}
	files := map[string][]byte{}
	for predicateType, file := range c.Attestations.Schemas {
		raw, err := readBounded(c.path(file), maxConfig)
		if err != nil {
			return nil, usageError{fmt.Errorf("attestations.schemas: %s: %w", predicateType, err)}
		}
		files[predicateType] = raw
	}
	set, err := schemas.New(files)
	if err != nil {
		return nil, usageError{fmt.Errorf("attestations.schemas: %w", err)}
	}
	return set, nil
}
