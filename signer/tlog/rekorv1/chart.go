// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-openapi/strfmt"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/pki/pgp"
	helm "github.com/sigstore/rekor/pkg/types/helm/v0.0.1"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// kindHelm is the kind of entries of charts' provenance files.
const kindHelm = "helm"

// maxSameChart bounds the entries that are looked at for one chart and key.
const maxSameChart = 32

// Provenance is a chart's provenance file made in this process.
type Provenance struct {
	Content   []byte // the whole .prov
	PublicKey []byte // OpenPGP key ring
	Keys      []string
}

// AppendProvenance logs a provenance file as helm 0.0.1: what is kept of it is
// the archive's digest, the signature and the key. Errors are those of Append.
func (s *Service) AppendProvenance(ctx context.Context, p Provenance) (attest.LogEntry, error) {
	version, content, key := helm.APIVERSION, strfmt.Base64(p.Content), strfmt.Base64(p.PublicKey)
	e, err := s.readSlowly(ctx, &models.Helm{APIVersion: &version, Spec: models.HelmV001Schema{
		PublicKey: &models.HelmV001SchemaPublicKey{Content: &key},
		Chart:     &models.HelmV001SchemaChart{Provenance: &models.HelmV001SchemaChartProvenance{Content: content}},
	}})
	if err != nil {
		return attest.LogEntry{}, err
	}
	rec, err := s.append(ctx, e.leaf, index.Collect(e.keys, p.Keys))
	if err != nil {
		return attest.LogEntry{}, err
	}
	return rec.logEntry(kindHelm)
}

// LoggedSignature is the signature of a provenance file, as a log keeps it.
type LoggedSignature struct {
	Armoured []byte
	Entry    attest.LogEntry
}

// ProvenanceSignatures are the signatures over an archive's digest that the key
// has in the v1 logs, oldest first. An entry says nothing of what else was
// signed: whoever asks knows the text, and verifies.
func (s *Service) ProvenanceSignatures(ctx context.Context, archive attest.Digest, publicKey []byte) ([]LoggedSignature, error) {
	key, err := pgp.NewPublicKey(bytes.NewReader(publicKey))
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key: %w", err)
	}
	canonical, err := key.CanonicalValue()
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key: %w", err)
	}
	hash, err := index.ParseHash(string(archive))
	if err != nil {
		return nil, err
	}
	logs, err := s.shards(ctx)
	if err != nil || len(logs) == 0 {
		return nil, err
	}
	byName := map[string]*tlog.Log{}
	var names []string
	for _, l := range logs {
		byName[l.Row().Name] = l
		names = append(names, l.Row().Name)
	}
	hits, err := s.cfg.Set.Search(ctx, tlog.Query{Keys: []string{hash, index.RawKey(canonical)}, All: true, Logs: names, Limit: maxSameChart})
	if err != nil {
		return nil, err
	}
	var found []LoggedSignature
	for _, hit := range hits {
		l := byName[hit.Log]
		if l == nil {
			continue
		}
		rec, err := at(ctx, l, hit.Index)
		if err != nil {
			return nil, err
		}
		armoured, ok := provenanceSignature(rec.body, archive, canonical)
		if !ok {
			continue // of another kind
		}
		entry, err := rec.logEntry(kindHelm)
		if err != nil {
			return nil, err
		}
		found = append(found, LoggedSignature{armoured, entry})
	}
	return found, nil
}

// provenanceSignature takes the signature out of an entry, if it is one of this
// archive and key.
func provenanceSignature(body []byte, archive attest.Digest, key []byte) ([]byte, bool) {
	proposed, err := unmarshal(body)
	if err != nil {
		return nil, false
	}
	logged, ok := proposed.(*models.Helm)
	if !ok {
		return nil, false
	}
	var spec models.HelmV001Schema
	if err := helm.DecodeEntry(logged.Spec, &spec); err != nil {
		return nil, false
	}
	if err := checkLogged(&spec, archive, key); err != nil {
		return nil, false
	}
	return spec.Chart.Provenance.Signature.Content, true
}

func checkLogged(spec *models.HelmV001Schema, archive attest.Digest, key []byte) error {
	switch {
	case spec.Chart == nil || spec.Chart.Hash == nil || spec.Chart.Hash.Value == nil || spec.Chart.Provenance == nil || spec.Chart.Provenance.Signature == nil,
		spec.PublicKey == nil || spec.PublicKey.Content == nil:
		return errors.New("incomplete")
	case *spec.Chart.Hash.Value != hex.EncodeToString(archive.Bytes()), !bytes.Equal(*spec.PublicKey.Content, key):
		return errors.New("of another chart or key")
	}
	return nil
}
