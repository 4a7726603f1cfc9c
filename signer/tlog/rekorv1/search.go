// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/pki"
	pkix509 "github.com/sigstore/rekor/pkg/pki/x509"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// maxHits bounds the answer to a search, which has no pages: those are the
// newest entries. Our own search has pages.
const maxHits = tlog.MaxPage

// searchIndex answers POST /api/v1/index/retrieve with entry ids, the newest
// last.
func (s *Service) searchIndex(w http.ResponseWriter, r *http.Request, raw []byte) error {
	if _, err := readJSON(raw, "query"); err != nil {
		return err
	}
	var q models.SearchIndex
	if err := decode(raw, &q); err != nil {
		return err
	}
	if err := q.Validate(nil); err != nil {
		return schemaError(err)
	}
	keys, err := searchKeys(&q)
	if err != nil {
		return err
	}
	ids, err := s.search(r.Context(), keys, q.Operator == models.SearchIndexOperatorAnd)
	if err != nil {
		return err
	}
	body, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// searchKeys returns the index keys of a query.
func searchKeys(q *models.SearchIndex) (keys []string, err error) {
	defer recoverParser(&err)
	if q.Hash != "" {
		key, err := index.ParseHash(q.Hash)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "%v", err)
		}
		keys = append(keys, key)
	}
	if q.PublicKey != nil {
		key, err := publicKeyKey(*q.PublicKey.Format, q.PublicKey.Content)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if q.Email != "" {
		keys = append(keys, index.Identity(q.Email.String()))
	}
	if q.Subject != "" {
		keys = append(keys, index.Identity(q.Subject))
	}
	for _, key := range keys {
		if len(key) > tlog.MaxKey {
			return nil, refuse(http.StatusBadRequest, "a search term is longer than %d bytes", tlog.MaxKey)
		}
	}
	return keys, nil
}

// publicKeyKey returns the index key of a public key or certificate.
func publicKeyKey(format string, content []byte) (string, error) {
	malformed := refuse(http.StatusBadRequest, "public key provided could not be parsed")
	if len(content) > maxPart || checkPEM(content) != nil || (format == formatPGP && checkPGPKey(content) != nil) {
		return "", malformed
	}
	factory, err := pki.NewArtifactFactory(pki.Format(format))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "the PKI format requested is not supported by this server")
	}
	key, err := factory.NewPublicKey(bytes.NewReader(content))
	if err != nil {
		return "", malformed
	}
	if x, ok := key.(*pkix509.PublicKey); ok {
		name, err := index.PublicKey(x.CryptoPubKey())
		if err != nil {
			return "", malformed
		}
		return name, nil
	}
	canonical, err := key.CanonicalValue()
	if err != nil {
		return "", malformed
	}
	return index.RawKey(canonical), nil
}

// search returns the ids of the newest v1 entries with any of some keys, or with
// all of them, oldest first.
func (s *Service) search(ctx context.Context, keys []string, all bool) ([]string, error) {
	ids := []string{}
	logs, err := s.shards(ctx)
	if err != nil || len(keys) == 0 || len(logs) == 0 {
		return ids, err
	}
	byName := make(map[string]*tlog.Log, len(logs))
	var names []string
	for _, l := range logs {
		byName[l.Row().Name] = l
		names = append(names, l.Row().Name)
	}
	hits, err := s.cfg.Set.Search(ctx, tlog.Query{Keys: keys, All: all, Logs: names, Newest: true, Limit: maxHits})
	if err != nil {
		return nil, err
	}
	leaves := leafReader{}
	for _, hit := range slices.Backward(hits) {
		l := byName[hit.Log]
		if l == nil {
			continue
		}
		leaf, err := leaves.read(ctx, l, hit.Index)
		if err != nil {
			return nil, err
		}
		ids = append(ids, entryID{tree: l.Row().TreeID, leaf: leaf}.String())
	}
	return ids, nil
}

// leafReader reads leaf hashes of entries that a search has found, a tile at a
// time. Hits come in order, so it keeps the last one. All of them are published:
// the log need not be asked for news.
type leafReader struct {
	log  *tlog.Log
	n    int64
	tile []byte
}

func (t *leafReader) read(ctx context.Context, l *tlog.Log, i int64) (tlog.Hash, error) {
	n, at := i/tlog.TileWidth, int(i%tlog.TileWidth)*len(tlog.Hash{})
	if t.log != l || t.n != n {
		width := min(l.Row().Head.Size-n*tlog.TileWidth, tlog.TileWidth)
		tile, err := l.Tile(ctx, 0, n, int(width))
		if err != nil {
			return tlog.Hash{}, err
		}
		*t = leafReader{log: l, n: n, tile: tile}
	}
	return tlog.Hash(t.tile[at:]), nil
}
