// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

const (
	// maxLogAnswer bounds what a search or an entry answers, bytes: a thousand
	// positions, or the largest leaf in base64 with its proof.
	maxLogAnswer = 1 << 20
	// maxLogs bounds the logs of a service: a new shard a month for ten years.
	maxLogs = 128
	// maxPage is the most that the service answers to one search.
	maxPage = 100
)

// logClient asks the service where things are. It checks the form of the
// answers only: whether they are true is for logView.
type logClient struct{ *client }

// logRow is a log as GET /hallmark/v1/logs lists it.
type logRow struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // v1 or v2
	// TreeID is decimal.
	TreeID string `json:"treeID"`
	State  string `json:"state"` // pending, active or frozen
	// FirstIndex is the global index of the log's first entry: how many entries
	// the shards before it have. A pending log has none yet, -1.
	FirstIndex int64  `json:"firstIndex"`
	Origin     string `json:"origin"`
	// LogID is the lower-case hex of the key id, as in the trusted root.
	LogID string `json:"logID"`
	Size  int64  `json:"size"`
}

// logs lists the service's logs.
func (c *logClient) logs(ctx context.Context) ([]logRow, error) {
	var answer struct {
		Logs []logRow `json:"logs"`
	}
	if err := c.get(ctx, "/hallmark/v1/logs", &answer); err != nil {
		return nil, err
	}
	if len(answer.Logs) > maxLogs {
		return nil, no("the service lists more than %d logs", maxLogs)
	}
	return answer.Logs, nil
}

// source reads the tiles of one of the logs.
func (c *logClient) source(name string) (tlog.Source, error) {
	return tiles.NewClient(c.server+"/hallmark/v1/logs/"+url.PathEscape(name), c.http)
}

// logHint is where the service says that an entry is, and what is beside the
// tree: when a v1 log took it, with the log's signature on that.
type logHint struct {
	Log   string `json:"log"`
	Index int64  `json:"index"` // in the log
	// GlobalIndex is the one over all v1 logs, or v2 logs.
	GlobalIndex int64 `json:"globalIndex"`
	// UUID is the lower-case hex of the leaf hash.
	UUID       string `json:"uuid"`
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	// IntegratedTime is in Unix seconds, SignedEntryTimestamp a v1 log's
	// signature over it (ASN.1 ECDSA).
	IntegratedTime       int64  `json:"integratedTime"`
	SignedEntryTimestamp []byte `json:"signedEntryTimestamp,omitempty"`
	// EntryID is a v1 log's name of the entry, Signers whose signatures it has.
	EntryID string      `json:"entryID,omitempty"`
	Signers []logSigner `json:"signers,omitempty"`
}

// logSigner is who signed an entry: the name in a certificate, or a key.
type logSigner struct {
	Identity string `json:"identity,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	Key      string `json:"key,omitempty"`
}

// entry asks one log for an entry by its index or its UUID.
func (c *logClient) entry(ctx context.Context, log, id string) (logHint, error) {
	var hint logHint
	err := c.get(ctx, "/hallmark/v1/logs/"+url.PathEscape(log)+"/entries/"+url.PathEscape(id), &hint)
	return hint, err
}

// searchQuery is GET /hallmark/v1/search.
type searchQuery struct {
	terms       []string // normalised, see package index
	all, newest bool
	limit       int
}

// searchPage is one page of its answer.
type searchPage struct {
	Entries []logHint `json:"entries"`
	// Next is where the next page begins, the value of "after"; empty at the
	// end.
	Next string `json:"next"`
}

func (c *logClient) search(ctx context.Context, q searchQuery, after string) (searchPage, error) {
	values := url.Values{"q": q.terms, "limit": {strconv.Itoa(q.limit)}}
	if q.all {
		values.Set("all", "true")
	}
	if q.newest {
		values.Set("newest", "true")
	}
	if after != "" {
		values.Set("after", after)
	}
	var page searchPage
	err := c.get(ctx, "/hallmark/v1/search?"+values.Encode(), &page)
	return page, err
}

// get reads one JSON answer of the service.
func (c *logClient) get(ctx context.Context, path string, into any) error {
	raw, err := c.read(ctx, path, maxLogAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}
