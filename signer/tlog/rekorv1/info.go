// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// shardJSON is LogInfo and InactiveShardLogInfo of Rekor's openapi.yaml.
type shardJSON struct {
	RootHash       string `json:"rootHash"`
	SignedTreeHead string `json:"signedTreeHead"`
	TreeID         string `json:"treeID"`
	TreeSize       int64  `json:"treeSize"`
}

// headOf returns a log's checkpoint and what it says. Size and root are read from
// it because the log may grow between two questions.
func headOf(ctx context.Context, l *tlog.Log) (signed []byte, c tlog.Checkpoint, err error) {
	if signed, err = l.Checkpoint(ctx); err != nil {
		return nil, tlog.Checkpoint{}, err
	}
	c, err = tlog.ParseCheckpoint(signed, l.Origin(), l.PublicKey())
	return signed, c, err
}

// describe says where a log stands.
func describe(ctx context.Context, l *tlog.Log) (shardJSON, error) {
	signed, c, err := headOf(ctx, l)
	return shardJSON{
		RootHash: hex.EncodeToString(c.Root[:]), SignedTreeHead: string(signed),
		TreeID: formatTreeID(l.Row().TreeID), TreeSize: c.Size,
	}, err
}

// logInfo answers GET /api/v1/log: the current log and, as inactive shards,
// those before it.
func (s *Service) logInfo(w http.ResponseWriter, r *http.Request) error {
	current, err := s.current(r.Context())
	if err != nil {
		return err
	}
	logs, err := s.shards(r.Context())
	if err != nil {
		return err
	}
	var info struct {
		shardJSON
		InactiveShards []shardJSON `json:"inactiveShards"`
	}
	info.InactiveShards = []shardJSON{}
	if info.shardJSON, err = describe(r.Context(), current); err != nil {
		return err
	}
	for _, l := range logs {
		if l.Row().TreeID == current.Row().TreeID {
			break // what follows became active since
		}
		shard, err := describe(r.Context(), l)
		if err != nil {
			return err
		}
		info.InactiveShards = append(info.InactiveShards, shard)
	}
	body, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// consistency answers GET /api/v1/log/proof.
func (s *Service) consistency(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	first, err := queryInt(q, "firstSize", 1, 1)
	if err != nil {
		return err
	}
	last, err := queryInt(q, "lastSize", 1, -1)
	if err != nil {
		return err
	}
	tree, err := queryTree(q)
	if err != nil {
		return err
	}
	if first > last {
		return refuse(http.StatusBadRequest, "firstSize(%d) must be less than lastSize(%d)", first, last)
	}
	l, err := s.shardOrCurrent(r.Context(), tree)
	if err != nil {
		return err
	}
	_, head, err := headOf(r.Context(), l)
	if err != nil {
		return err
	}
	if last > head.Size {
		return refuse(http.StatusBadRequest, "the tree size requested(%d) was greater than what is currently observable(%d)", last, head.Size)
	}
	proof, err := l.ProveConsistency(r.Context(), first, last)
	if err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Hashes   []string `json:"hashes"`
		RootHash string   `json:"rootHash"` // of the current tree, as in Rekor
	}{hexHashes(proof), hex.EncodeToString(head.Root[:])})
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// publicKey answers GET /api/v1/log/publicKey.
func (s *Service) publicKey(w http.ResponseWriter, r *http.Request) error {
	tree, err := queryTree(r.URL.Query())
	if err != nil {
		return err
	}
	l, err := s.shardOrCurrent(r.Context(), tree)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	// The type is none that a browser would run. A client that is gone may ask again.
	_, _ = w.Write(pem.EncodeToMemory(&pem.Block{Type: pemPublicKey, Bytes: l.Row().Key}))
	return nil
}

// shardOrCurrent returns the log with a tree id, or the current one if the id
// is noTree.
func (s *Service) shardOrCurrent(ctx context.Context, tree int64) (*tlog.Log, error) {
	if tree == noTree {
		return s.current(ctx)
	}
	logs, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if l.Row().TreeID == tree {
			return l, nil
		}
	}
	return nil, refuse(http.StatusBadRequest, "no log range found for tree ID %d", tree)
}
